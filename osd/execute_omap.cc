#include <algorithm>

#include "msg/osd_messages.h"
#include "osd/execution.h"

/// The operations on an object's key-value map.
namespace spirula::osd {

std::int32_t Execution::omap_list(const OsdOp& op, bool values, OpResult& result) {
  Decoder input(op.input.flatten());
  std::string after, prefix;
  std::uint64_t count = 0;
  input(after);
  input(count);
  if (values) input(prefix);
  if (!input.finish()) return -EINVAL;
  count = std::min<std::uint64_t>(count, limits::omap_entries_max);

  Encoder out;
  std::size_t counter = out.reserve_u32();
  std::uint32_t entries = 0;
  bool more = false;
  if (has_content() && (before_.info.flags & ObjectInfo::omap || is_clone_) && count > 0) {
    const auto* page = inputs_.omap_page(id_, after, prefix, count, limits::omap_bytes_max);
    if (!page) return 0;
    if (!*page) return -EIO;
    more = (*page)->more;
    for (const auto& [key, value] : (*page)->entries) {
      if (!prefix.empty() && !key.starts_with(prefix)) {
        more = false;  // keys are ordered: we are past the prefix
        break;
      }
      out(key);
      if (values) out(value);
      ++entries;
    }
  } else if (count == 0) {
    more = exists() && (before_.info.flags & ObjectInfo::omap);
  }
  out.patch_u32(counter, entries);
  out(more);
  result.output = out.take();
  return 0;
}

std::int32_t Execution::omap_values(const OsdOp& op, OpResult& result) {
  auto keys = decode<std::set<std::string>>(op.input.flatten());
  if (!keys) return -EINVAL;
  std::map<std::string, Buffer> found;
  if (has_content() && !keys->empty()) {
    const auto* stored = inputs_.omap_values(id_, *keys);
    if (!stored) return 0;
    if (!*stored) return -EIO;
    found = **stored;
  }
  result.output = encode(found);
  return 0;
}

std::int32_t Execution::omap_header(OpResult& result) {
  if (!has_content()) return 0;
  const auto* header = inputs_.omap_header(id_);
  if (!header) return 0;
  if (!*header) return -EIO;
  result.output = **header;
  return 0;
}

std::int32_t Execution::omap_compare(const OsdOp& op) {
  // Ceph: map<string, pair<bufferlist, int>>
  auto assertions = decode<std::map<std::string, std::pair<Buffer, std::int32_t>>>(op.input.flatten());
  if (!assertions) return -EINVAL;
  std::map<std::string, Buffer> stored;
  if (has_content() && !assertions->empty()) {
    std::set<std::string> keys;
    for (const auto& [key, assertion] : *assertions) keys.insert(key);
    const auto* values = inputs_.omap_values(id_, keys);
    if (!values) return 0;
    if (!*values) return -EIO;
    stored = **values;
  }
  for (const auto& [key, assertion] : *assertions) {
    auto found = stored.find(key);
    std::string_view value = found == stored.end() ? std::string_view{} : found->second.text();
    std::string_view given = assertion.first.text();
    bool holds = false;
    switch (static_cast<msg::Comparison>(assertion.second)) {
      case msg::Comparison::eq:
        holds = value == given;
        break;
      case msg::Comparison::lt:
        holds = value < given;
        break;
      case msg::Comparison::gt:
        holds = value > given;
        break;
      default:
        return -EINVAL;
    }
    if (!holds) return -ECANCELED;
  }
  return 0;
}

std::int32_t Execution::omap_set(std::map<std::string, Buffer> values) {
  make_exist();
  if (!(info().flags & ObjectInfo::omap)) {
    info().flags |= ObjectInfo::omap;
    ++out_.delta.omap_objects;
  }
  if (!values.empty()) change(Transaction::OmapSet{std::move(values)});
  return 0;
}

std::int32_t Execution::omap_change(const OsdOp& op) {
  switch (op.code) {
    case OpCode::omap_set_vals: {
      auto values = decode<std::map<std::string, Buffer>>(op.input.flatten());
      if (!values) return -EINVAL;
      return omap_set(std::move(*values));
    }
    case OpCode::omap_set_header: {
      std::int32_t error = omap_set({});
      change(Transaction::OmapSetHeader{op.input.flatten()});
      return error;
    }
    default:
      break;
  }
  if (!exists()) return -ENOENT;
  switch (op.code) {
    case OpCode::omap_clear:
      if (info().flags & ObjectInfo::omap) {
        info().flags &= ~std::uint32_t{ObjectInfo::omap};
        --out_.delta.omap_objects;
        change(Transaction::OmapClear{});
      }
      out_.changes = true;
      return 0;
    case OpCode::omap_rm_keys: {
      auto keys = decode<std::set<std::string>>(op.input.flatten());
      if (!keys) return -EINVAL;
      if (keys->empty())
        out_.changes = true;
      else
        change(Transaction::OmapRemove{std::move(*keys)});
      return 0;
    }
    case OpCode::omap_rm_key_range: {
      auto range = decode<std::pair<std::string, std::string>>(op.input.flatten());
      if (!range) return -EINVAL;
      out_.changes = true;
      if (range->first < range->second) change(Transaction::OmapRemoveRange{range->first, range->second});
      return 0;
    }
    default:
      return -EOPNOTSUPP;
  }
}

}  // namespace spirula::osd
