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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::uint16_t front = 0;
  std::memcpy(&front, data, 2);
  data += 2;
  size -= 2;
  std::size_t front_size = std::min<std::size_t>(front, size);
  msg::Message message;
  message.type = msg::OsdRequest::message_type;
  message.version = msg::OsdRequest::header_version;
  message.compat = msg::OsdRequest::header_compat;
  message.front = Buffer::copy_of(std::as_bytes(std::span(data, front_size)));
  message.data = BufferList(Buffer::copy_of(std::as_bytes(std::span(data + front_size, size - front_size))));
  auto wire = msg::read_osd_request(message);
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
