#include <algorithm>

#include "msg/osd_messages.h"
#include "osd/interpreter.h"

/// Listings of a PG: pgls and pgnls.
namespace spirula::osd {
namespace {

constexpr std::string_view all_name_spaces = "\x01";  // Ceph: LIBRADOS_ALL_NSPACES
constexpr std::uint8_t old_listing_version = 1;       // Ceph: pg_ls_response_t

}  // namespace

msg::HObject listing_end(std::int64_t pool, std::uint32_t seed, unsigned bits) {
  std::uint64_t end = (std::uint64_t{msg::reverse_bits(seed)} | (0xffffffffull >> bits)) + 1;
  if (end >> 32) return msg::HObject::max();
  msg::HObject place;
  place.hash = msg::reverse_bits(static_cast<std::uint32_t>(end));
  place.snap = msg::snap_head;
  place.pool = pool;
  return place;
}

Outcome interpret_listing(const ObjectRequest& request, std::uint32_t seed, unsigned bits, Inputs& inputs) {
  inputs.begin();
  Outcome out;
  out.ops.resize(request.ops.size());
  const OsdOp& op = request.ops.at(0);
  auto refuse = [&](std::int32_t code) {
    out.result = out.ops[0].result = code;
    return std::move(out);
  };
  bool with_name_spaces = op.code == OpCode::pgnls;
  if (op.code != OpCode::pgls && op.code != OpCode::pgnls) return refuse(-EOPNOTSUPP);
  auto start = decode<msg::HObject>(op.input.flatten());
  if (!start) return refuse(-EINVAL);
  auto count = std::min<std::uint64_t>(op.as<msg::ListingOperand>().count, limits::list_entries_max);
  const std::string& name_space = request.head.name_space;

  std::vector<msg::ListedObject> entries;
  std::optional<ObjectId> next;
  if (!start->is_max) {
    // Objects in the wrong namespace and clones are skipped: a page may come out short, which clients understand.
    next = ObjectId{request.head.pool, start->hash, start->name_space, start->key, start->name, start->snap.value};
    if (start->is_min()) next = ObjectId{request.head.pool, seed, {}, {}, {}, 0};
    if (count > 0) {
      const auto* page = inputs.objects(*next, count);
      if (!page) return out;
      if (!*page) return refuse(-EIO);
      for (const ObjectId& object : (*page)->objects) {
        if (object.snap != msg::snap_head.value) continue;
        if (name_space != all_name_spaces && object.name_space != name_space) continue;
        entries.push_back({object.name_space, object.name, object.key});
      }
      next = (*page)->next;
    }
  }
  msg::HObject handle;
  if (next) {
    handle = place_of(*next);
  } else {
    handle = listing_end(request.head.pool, seed, bits);
    out.result = 1;
  }
  if (with_name_spaces) {
    msg::ListingOutput output{handle, std::move(entries)};
    out.ops[0].output = encode(output);
  } else {
    Encoder encoder;
    encoder(old_listing_version);
    encoder(handle);
    encoder(static_cast<std::uint32_t>(entries.size()));
    for (const auto& each : entries) {
      encoder(each.name);
      encoder(each.key);
    }
    out.ops[0].output = encoder.take();
  }
  return out;
}

}  // namespace spirula::osd
