#include <charconv>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "osd/interpreter.h"
#include "osd/placement_group.h"

/// What a PG does without being asked by a client.
namespace spirula::osd {

Task<Result<>> PlacementGroup::save_info() {
  Transaction transaction;
  transaction.space = filestore::Space::reserve;
  std::map<std::string, Buffer> values;
  values.emplace(info_key, encode(info_));
  transaction.collection_set(std::move(values));
  Result<> stored = co_await host_.store().submit(collection(), std::move(transaction));
  co_return stored;
}

std::shared_ptr<ClientOp> PlacementGroup::internal_op(const ObjectId& head) {
  auto op = std::make_shared<ClientOp>();
  op->wire.pg.pg = id_;
  op->wire.object = head.name;
  op->wire.flags = msg::request_flag::full_force;
  op->object.head = head;
  op->object.flags = op->wire.flags;
  op->object.id.client = {msg::EntityType::osd, -1};  // is not remembered as anybody's request
  op->received = host_.shard().clock().now();
  return op;
}

void PlacementGroup::drop_watcher(ObjectContext& object, const WatchKey& key) {
  // As if the client had asked for it. The object stays while the watch is there.
  object.watches.remove(key, true);
  auto op = internal_op(object.head);
  op->object.client = key.client;
  OsdOp unwatch(OpCode::watch);
  unwatch.as<msg::WatchOperand>().cookie = key.cookie;
  unwatch.as<msg::WatchOperand>().op = msg::WatchOp::unwatch;
  op->object.ops.push_back(std::move(unwatch));
  CHECK(classify(op->object.ops, host_.classes(), op->nature) == 0);
  submit(std::move(op));
}

/// Removes every snapshot that the map has queued, one clone at a time, so that clients stay in front.
Task<> PlacementGroup::trim_snaps() {
  constexpr std::size_t page = limits::removal_batch;
  while (!halted() && active_ && !snaps_to_trim_.empty()) {
    SnapId snap = *snaps_to_trim_.begin();
    const std::string prefix = snap_key_prefix(snap);
    auto keys = co_await host_.store().collection_list(collection(), prefix, page);
    if (halted()) co_return;
    if (!keys) {
      log_error("osd", "pg {}: trimming snapshot {:x}: {}", id_.describe(), snap.value, keys.error().message());
      break;
    }
    std::size_t found = 0;
    for (const auto& [key, value] : keys->entries) {
      if (!key.starts_with(prefix)) break;
      ++found;
      std::uint64_t clone = 0;
      constexpr std::size_t digits = 16;
      if (key.size() < prefix.size() + digits + 1) continue;
      const char* number = key.data() + prefix.size();
      std::from_chars(number, number + digits, clone, 16);
      auto head = decode<ObjectId>(Buffer::copy_of(std::string_view(key).substr(prefix.size() + digits + 1)));
      Result<> trimmed = Errc::malformed;
      if (head) trimmed = co_await trim_one(snap, SnapId(clone), *head);
      if (halted()) co_return;
      if (!trimmed) {
        log_error("osd", "pg {}: trimming snapshot {:x}: {}", id_.describe(), snap.value, trimmed.error().message());
        trimming_ = false;
        co_return;
      }
    }
    if (found == 0) {
      snaps_to_trim_.erase(snap);
      note_trimmed(snap);
      ++report_version_;
    }
  }
  trimming_ = false;
}

void PlacementGroup::note_trimmed(SnapId snap) {
  auto next = snaps_trimmed_.lower_bound(snap.value);
  if (next != snaps_trimmed_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == snap.value) {
      ++before->second;
      return;
    }
  }
  snaps_trimmed_.emplace(snap.value, 1);
}

Task<Result<>> PlacementGroup::trim_one(SnapId snap, SnapId clone, ObjectId head) {
  // Nobody uses the object while its snap set changes: wait until it is free, then take it without queueing.
  ObjectContext* object = &objects_.get(head);
  while (!object->may_start(Hold::alone) || object->starting || must_wait(head, true)) {
    if (must_wait(head, true)) {
      wanted_.push_back(head);
      recovery_wanted_.set();
    }
    CO_TRY(co_await host_.shard().clock().sleep(std::chrono::milliseconds(5)));
    if (halted()) co_return Errc::cancelled;
    object = &objects_.get(head);
  }
  object->take(Hold::alone);
  if (!object->loaded) {
    auto attributes = co_await host_.store().get_attributes(head);
    if (halted()) co_return Errc::cancelled;
    auto state = decode_state(attributes);
    auto snaps = decode_snaps(attributes);
    if (state && snaps) {
      object->state = std::move(*state);
      object->snaps = std::move(*snaps);
      object->loaded = true;
    }
  }
  Result<> result = Errc::io;
  if (object->loaded) {
    Transaction transaction;
    transaction.space = filestore::Space::reserve;
    Version at{map_->epoch, ++version_};
    PgTotals delta;
    PgLogEntry entry;
    entry.kind = PgLogEntry::Kind::trim;
    entry.object = clone_id(head, clone);
    entry.at = at;
    entry.prior = object->state.info.changed;
    entry.request.client = {msg::EntityType::osd, -1};
    Version previous = log_.head(), keep_from;
    bool trimmed = plan_trim(head, clone, snap, object->state, object->snaps, at, delta, transaction);
    entry.stored = object->state.stored;
    if (trimmed) keep_from = log_.append(entry, delta, host_.log_entries_max(), transaction);
    ++object->submitted;
    undurable_.insert(at);
    Task<Result<>> stored = trimmed ? commit(entry, previous, keep_from, std::move(transaction))
                                    : host_.store().submit(collection(), std::move(transaction));
    result = co_await std::move(stored);
    ++object->completed;
    if (halted()) co_return Errc::cancelled;
    note_durable(at);
    if (!result) {
      object->loaded = false;
      host_.store_failed(result.error());
    }
  }
  object->release(Hold::alone);
  start_queued(*object);
  co_return result;
}

Task<Result<>> PlacementGroup::remove() {
  active_ = primary_ = false;
  waiting_for_active_.clear();
  backoffs_.end_all(true);
  if (!info_.removing) {
    info_.removing = true;
    stopping_ = true;
    co_await tasks_.stop();  // what was being written is of no use to anybody now
    co_await work_->stop();
    in_flight_.clear();
    unstable_.clear();
    undurable_.clear();
    after_durable_.clear();
    watched_.clear();
    objects_.clear();
    Result<> noted = co_await save_info();
    CO_TRY(noted);
  }
  std::optional<ObjectId> start;
  for (;;) {
    auto page = co_await host_.store().list(collection(), start, limits::removal_batch);
    CO_TRY(page);
    Transaction transaction;
    transaction.space = filestore::Space::reserve;
    for (ObjectId& object : page->objects) transaction.remove(std::move(object));
    start = page->next;
    if (!transaction.empty()) {
      Result<> removed = co_await host_.store().submit(collection(), std::move(transaction));
      CO_TRY(removed);
    }
    if (!start) break;
  }
  Transaction last;
  last.space = filestore::Space::reserve;
  last.add(Transaction::CollectionRemoveRange{"", "\x7f"});
  last.remove_collection();
  Result<> gone = co_await host_.store().submit(collection(), std::move(last));
  co_return gone;
}

}  // namespace spirula::osd
