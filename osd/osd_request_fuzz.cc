#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "base/shard.h"
#include "msg/osd_messages.h"
#include "osd/interpreter.h"
#include "osd/placement_group.h"
#include "osd/store_for_tests.h"

/// From a client's bytes to a transaction: whatever they are, the interpreter ends with a result or a transaction that
/// the store takes, and the sums it keeps stay those of what is stored.
namespace {

using namespace spirula;
using namespace spirula::osd;

struct Fixture {
  StoreForTests store;
  ObjectState state;
  SnapSet snaps;
  ObjectId head{1, 7, "", "", "o", msg::snap_head.value};
};

void fill(Fixture& all) {
  auto& object = all.store.objects[all.head];
  object.data = std::string(1000, 'x');
  object.attributes["_a"] = Buffer::copy_of("value");
  object.omap["k1"] = Buffer::copy_of("v1");
  object.omap["k2"] = Buffer::copy_of("v2");
  all.state.stored = true;
  all.state.info.size = 1000;
  all.state.info.user_version = 3;
  all.state.info.flags = ObjectInfo::omap;
  all.state.info.truncate_sequence = 2;
  Clone clone;
  clone.id = SnapId(4);
  clone.snaps = {SnapId(4), SnapId(3)};
  clone.size = 500;
  clone.overlap.insert(0, 400);
  all.snaps.sequence = SnapId(4);
  all.snaps.clones.push_back(clone);
  auto& old = all.store.objects[clone_id(all.head, clone.id)];
  old.data = std::string(500, 'y');
  ObjectInfo info;
  info.size = 500;
  old.attributes[info_attribute] = encode(info);
}

/// A request as the wire has it: two bytes with the length of the front, the front, the data.
Result<msg::OsdRequest> from_wire(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 2) return Errc::malformed;
  std::size_t front = std::min<std::size_t>(bytes[0] | bytes[1] << 8, bytes.size() - 2);
  msg::Message message;
  message.type = msg::OsdRequest::message_type;
  message.version = msg::OsdRequest::header_version;
  message.compat = msg::OsdRequest::header_compat;
  message.front = Buffer::copy_of(std::as_bytes(bytes.subspan(2, front)));
  message.data = BufferList(Buffer::copy_of(std::as_bytes(bytes.subspan(2 + front))));
  return msg::read_osd_request(message);
}

/// Operations straight from the bytes, so that most inputs get past the decoder: a code, an operand of which small
/// numbers are likely, a short input.
msg::OsdRequest from_operations(std::span<const std::uint8_t> bytes) {
  using msg::OpCode;
  static constexpr OpCode codes[] = {OpCode::read,
                                     OpCode::stat,
                                     OpCode::mapext,
                                     OpCode::sparse_read,
                                     OpCode::notify,
                                     OpCode::notify_ack,
                                     OpCode::assert_version,
                                     OpCode::list_watchers,
                                     OpCode::list_snaps,
                                     OpCode::omap_get_keys,
                                     OpCode::omap_get_vals,
                                     OpCode::omap_get_header,
                                     OpCode::omap_get_vals_by_keys,
                                     OpCode::omap_cmp,
                                     OpCode::checksum,
                                     OpCode::cmpext,
                                     OpCode::write,
                                     OpCode::writefull,
                                     OpCode::truncate,
                                     OpCode::zero,
                                     OpCode::remove,
                                     OpCode::append,
                                     OpCode::trimtrunc,
                                     OpCode::create,
                                     OpCode::rollback,
                                     OpCode::watch,
                                     OpCode::omap_set_vals,
                                     OpCode::omap_set_header,
                                     OpCode::omap_clear,
                                     OpCode::omap_rm_keys,
                                     OpCode::set_alloc_hint,
                                     OpCode::write_same,
                                     OpCode::omap_rm_key_range,
                                     OpCode::copy_from2,
                                     OpCode::getxattr,
                                     OpCode::getxattrs,
                                     OpCode::cmpxattr,
                                     OpCode::setxattr,
                                     OpCode::rmxattr,
                                     OpCode::call,
                                     OpCode::pgnls,
                                     OpCode::pgls};
  msg::OsdRequest request;
  auto take = [&](std::size_t count) {
    auto part = bytes.subspan(0, std::min(count, bytes.size()));
    bytes = bytes.subspan(part.size());
    return part;
  };
  auto head = take(3);
  if (head.size() < 3) return request;
  if (head[0] & 1) request.snap_context = {SnapId(head[1]), {SnapId(head[1])}};
  if (head[0] & 2) request.snap = SnapId(head[1] % 8);
  if (head[0] & 4) request.flags = msg::request_flag::order_snap;
  while (!bytes.empty() && request.ops.size() < 16) {
    auto fixed = take(34);
    if (fixed.size() < 34) break;
    OpCode code = codes[fixed[0] % std::size(codes)];
    Encoder encoder;
    encoder(code);
    encoder(std::uint32_t{fixed[1]});
    encoder.raw(std::as_bytes(fixed.subspan(2, 28)));
    auto input = take(fixed[30] % 64);
    encoder(static_cast<std::uint32_t>(input.size()));
    Decoder decoder(encoder.take());
    OsdOp op;
    op.decode(decoder);
    op.input = BufferList(Buffer::copy_of(std::as_bytes(input)));
    if (auto* extent = std::get_if<msg::ExtentOperand>(&op.operand)) {
      if (fixed[31] & 1) extent->length = input.size();
      if (fixed[31] & 2) extent->offset &= 0xfff;
      if (fixed[31] & 4) extent->truncate_sequence &= 3, extent->truncate_size &= 0xfff;
      if (fixed[31] & 8) extent->length &= 0xfff;
    }
    if (auto* names = std::get_if<msg::XattrOperand>(&op.operand); names && (fixed[31] & 1))
      names->name_length %= 8, names->value_length %= 64;
    if (auto* same = std::get_if<msg::WriteSameOperand>(&op.operand); same && (fixed[31] & 1))
      same->offset &= 0xffff, same->data_length = input.size(), same->length = input.size() * fixed[32];
    if (auto* snap = std::get_if<msg::SnapOperand>(&op.operand)) snap->snap.value %= 8;
    request.ops.push_back(std::move(op));
  }
  return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::span<const std::uint8_t> bytes(data + 1, size - 1);
  auto wire = data[0] & 1 ? from_wire(bytes) : from_operations(bytes);
  if (!wire) return 0;

  Fixture fixture;
  fill(fixture);
  ObjectRequest request;
  request.head = fixture.head;
  request.snap = wire->snap;
  request.ops = wire->ops;
  request.snap_context = wire->snap_context;
  request.flags = wire->flags;
  request.client = {msg::EntityType::client, 1};
  request.id = {request.client, 1, 0};
  RequestNature nature;
  if (classify(request.ops, ObjectClasses::builtin(), nature) < 0) return 0;
  run_main([&](Shard&) -> Task<int> {
    Inputs inputs;
    Outcome outcome;
    for (unsigned pass = 0; pass < 2 * limits::operations_max; ++pass) {
      outcome = nature.is_listing ? interpret_listing(request, 0, 0, inputs)
                                  : interpret(request, fixture.state, fixture.snaps, ObjectClasses::builtin(), inputs);
      if (!inputs.incomplete()) break;
      CollectionId collection{1, 0};
      co_await inputs.fetch(fixture.store, collection);
    }
    CHECK(!inputs.incomplete(), "the interpreter comes to an end");
    if (outcome.result < 0 || !outcome.changes) co_return 0;
    CHECK(outcome.after.info.size <= limits::object_size_max);
    Transaction transaction;
    seal(outcome, request, fixture.state, {msg::Epoch(9), 9}, 4, transaction);
    CollectionId collection{1, 0};
    CHECK((co_await fixture.store.submit(collection, std::move(transaction))).has_value());
    auto found = fixture.store.objects.find(fixture.head);
    CHECK((found != fixture.store.objects.end()) == outcome.after.stored);
    if (outcome.after.stored) CHECK(found->second.data.size() == outcome.after.info.size, "size and data agree");
    CHECK(outcome.after.info.size ==
          1000 + static_cast<std::uint64_t>(outcome.delta.bytes) - (outcome.new_clone ? outcome.new_clone->size : 0));
    co_return 0;
  });
  return 0;
}
