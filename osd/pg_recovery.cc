#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "osd/interpreter.h"
#include "osd/placement_group.h"

/// Bringing copies to where the log is: single objects that a log names (recovery), and all of a range (backfill). The
/// unit is a family: a head and its clones.
namespace spirula::osd {

using namespace std::chrono_literals;
using Kind = PeerRequest::Kind;

namespace {
ObjectId first_of(const ObjectId& head) {
  ObjectId first = head;
  first.snap = 0;
  return first;
}

/// A place among all that the OSD recovers at the same time.
class Place {
 public:
  explicit Place(PgHost& host) : host_(host) {}
  ~Place() {
    if (taken_) host_.end_recovery();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  bool take() { return taken_ || (taken_ = host_.begin_recovery()); }

 private:
  PgHost& host_;
  bool taken_ = false;
};

/// What a clone has in common with the next newer of its family, as the first piece says it.
ChunkPayload sharing(const ObjectId& head, const ObjectId& object, const SnapSet& snaps, const FamilyPayload& family) {
  ChunkPayload chunk;
  auto clone = std::ranges::find(snaps.clones, SnapId(object.snap), &Clone::id);
  if (clone == snaps.clones.end()) return chunk;
  auto next = std::next(clone);
  ObjectId newer = next == snaps.clones.end() ? head : clone_id(head, next->id);
  if (!family.members.contains(newer)) return chunk;
  for (const filestore::Extent& range : clone->overlap.extents())
    if (range.length >= limits::shared_bytes_min && chunk.shared.size() < limits::shared_ranges_max)
      chunk.shared.emplace_back(range.offset, range.length);
  if (!chunk.shared.empty()) chunk.newer = std::move(newer);
  return chunk;
}
}  // namespace

// --- the primary

/// As long as the interval lasts: whatever is not as it should be becomes so.
Task<> PlacementGroup::recover() {
  constexpr auto pause = 1s;
  bool was_clean = false;
  MonotonicTime try_again{};
  for (;;) {
    recovery_wanted_.reset();
    co_await recover_objects();
    if (halted()) co_return;
    for (std::int32_t osd : replicas_) {
      if (peers_.at(osd).complete || !missing_.empty() || !may_fill(osd)) continue;
      Result<> filled = co_await backfill(osd);
      if (halted()) co_return;
      Peer& peer = peers_.at(osd);
      peer.filling = peer.compared = false;
      peer.differing.clear();
      if (filled) continue;
      log_warning("osd", "pg {}: filling osd.{}: {}", id_.describe(), osd, filled.error().message());
      objects_.for_each_waiting([this](ObjectContext& object) { start_queued(object); });
    }
    decide_serving();
    if (is_clean() && (!was_clean || info_.up != info_.acting)) {
      was_clean = true;
      co_await mark_clean();
      if (halted()) co_return;
    }
    // What failed is tried again; what waits for an OSD that is down, when one reports.
    Clock& clock = host_.shard().clock();
    Result<> woken = is_clean() && info_.up == info_.acting
                         ? co_await recovery_wanted_.wait()
                         : co_await recovery_wanted_.wait_until(clock, clock.now() + pause);
    if (halted()) co_return;
    if (!woken || clock.now() >= try_again) {
      unfound_.clear();
      try_again = clock.now() + pause;
    }
  }
}

/// Several objects at a time, until none is left that can be recovered.
Task<> PlacementGroup::recover_objects() {
  recoverers_done_.reset();
  for (std::size_t i = 0; i < limits::recoveries_at_once; ++i) {
    ++recoverers_;
    work_->spawn(recover_some());
  }
  (void)co_await recoverers_done_.wait();
}

Task<> PlacementGroup::recover_some() {
  while (auto next = next_to_recover()) {
    const ObjectId head = std::move(next->head);
    recovering_.insert(head);
    Place place(host_);
    // Clients stay in front: of those that wait for this object, and of all others.
    while (!next->urgent && !place.take() && std::ranges::find(wanted_, head) == wanted_.end()) {
      (void)co_await host_.shard().clock().sleep(limits::recovery_pause);
      if (halted()) co_return;
    }
    Result<> done = co_await recover_one(head);
    if (halted()) co_return;
    recovering_.erase(head);
    if (!done) {
      if (unfound_.insert(head).second)
        log_warning("osd", "pg {}: {} cannot be recovered yet: {}", id_.describe(), head.describe(),
                    done.error().message());
    } else {
      ++usage_.recovered_objects;
    }
    update_state();
    if (missing_.empty())
      for (auto& op : std::exchange(waiting_for_objects_, {})) submit(std::move(op));
    if (!next->urgent && !in_flight_.empty()) {
      (void)co_await host_.shard().clock().sleep(limits::recovery_pause);
      if (halted()) co_return;
    }
  }
  if (--recoverers_ == 0) recoverers_done_.set();
}

/// What a client waits for first.
std::optional<PlacementGroup::Next> PlacementGroup::next_to_recover() {
  auto free = [&](const ObjectId& head) { return !recovering_.contains(head) && !unfound_.contains(head); };
  auto lacking = [&](const ObjectId& head) {
    return missing_.contains(head) ||
           std::ranges::any_of(peers_, [&](const auto& each) { return each.second.missing.contains(head); });
  };
  while (!wanted_.empty()) {
    ObjectId head = std::move(wanted_.front());
    wanted_.pop_front();
    if (lacking(head) && free(head)) return Next{std::move(head), true};
  }
  if (map_->has(maps::map_flag::no_recover)) return std::nullopt;
  // Nobody waits for it: not onto a disk that the map shows full.
  if (!is_full(host_.whoami()))
    for (const auto& [head, need] : missing_)
      if (free(head)) return Next{head};
  for (const auto& [osd, peer] : peers_)
    if (!is_full(osd))
      for (const auto& [head, need] : peer.missing)
        if (free(head) && !missing_.contains(head)) return Next{head};
  return std::nullopt;
}

/// Waits until nobody is in the object's way, and takes it.
Task<Result<ObjectContext*>> PlacementGroup::hold(ObjectId head, Hold hold) {
  for (;;) {
    ObjectContext& object = objects_.get(head);
    if (object.may_start(hold) && !object.starting) {
      object.take(hold);
      co_return &object;
    }
    CO_TRY(co_await host_.shard().clock().sleep(1ms));
    if (halted()) co_return Errc::cancelled;
  }
}

Task<Result<>> PlacementGroup::recover_one(ObjectId head) {
  auto here = missing_.find(head);
  bool pulled = here != missing_.end();
  Hold how = pulled ? Hold::alone : Hold::read;
  CO_TRY(ObjectContext * object, co_await hold(head, how));
  Result<> result;
  if (pulled) result = co_await pull(head, here->second);
  if (halted()) co_return Errc::cancelled;
  if (pulled) object->loaded = false;
  for (std::int32_t osd : replicas_) {
    if (!result) break;
    if (!peers_.at(osd).missing.contains(head)) continue;
    result = co_await send_family(osd, head);
    if (halted()) co_return Errc::cancelled;
    if (result) peers_.at(osd).missing.erase(head);
  }
  object->release(how);
  start_queued(*object);
  co_return result;
}

/// Gets an object that our log names from somebody who has it.
Task<Result<>> PlacementGroup::pull(ObjectId head, Need need) {
  if (need.absent) {
    FamilyPayload nothing;
    nothing.head = head;
    co_return co_await take_family(std::move(nothing));
  }
  for (Source source : sources_of(head)) {
    PullOrder order{head, source.exact, need.at};
    constexpr auto patience = 10min;
    Result<Buffer> pushed = co_await ask(source.osd, Kind::pull, encode(order), {}, patience);
    if (halted()) co_return Errc::cancelled;
    if (pushed && !missing_.contains(head)) co_return Result<>{};
    if (!pushed && pushed.error() != make_error_code(Errc::timed_out)) denied_.emplace(source.osd, head);
  }
  co_return Errc::not_found;
}

bool PlacementGroup::is_too_full(std::int32_t osd) const {
  constexpr std::uint32_t no_room = maps::osd_state::back_fill_full | maps::osd_state::full;
  const maps::Osd* target = map_->osd(osd);
  return target && (target->state & no_room);
}

bool PlacementGroup::is_full(std::int32_t osd) const {
  const maps::Osd* target = map_->osd(osd);
  return target && (target->state & maps::osd_state::full);
}

bool PlacementGroup::may_fill(std::int32_t osd) const {
  return !map_->has(maps::map_flag::no_back_fill) && !is_too_full(osd);
}

/// Walks through all objects after the replica's cursor: what differs is sent, what is too much is removed.
Task<Result<>> PlacementGroup::backfill(std::int32_t osd) {
  Peer& peer = peers_.at(osd);  // stays as long as the interval
  log_info("osd", "pg {}: filling osd.{}", id_.describe(), osd);
  std::size_t page_size = limits::backfill_page;
  while (!peer.complete) {
    if (!may_fill(osd)) co_return Errc::again;
    // Until the range is known, changes after the cursor wait.
    peer.filling = peer.range_to_end = true;
    peer.compared = false;
    peer.touched.clear();
    std::optional<ObjectId> start;
    if (peer.cursor != ObjectId{}) start = peer.cursor;
    auto page = co_await host_.store().list(collection(), start, page_size);
    if (halted()) co_return Errc::cancelled;
    CO_TRY(page);
    std::optional<ObjectId> last;
    for (const ObjectId& object : page->objects)
      if (object.snap == msg::snap_head.value && object > peer.cursor) last = object;
    if (page->next && !last) {
      page_size *= 2;  // more clones than a page holds
      continue;
    }
    peer.range_to_end = !page->next;
    if (last) peer.range_last = *last;
    RangeOrder order;
    order.after = peer.cursor;
    order.to_end = peer.range_to_end;
    order.last = peer.range_last;
    auto ours = co_await list_range(order);
    if (halted()) co_return Errc::cancelled;
    CO_TRY(ours);
    Result<Buffer> told = co_await ask(osd, Kind::list, encode(order));
    if (halted()) co_return Errc::cancelled;
    CO_TRY(told);
    CO_TRY(auto theirs, decode<RangePayload>(*told));
    peer.differing.clear();
    for (const auto& [head, members] : ours->families) {
      auto there = theirs.families.find(head);
      if (there == theirs.families.end() || there->second != members) peer.differing.insert(head);
    }
    for (const auto& [head, members] : theirs.families)
      if (!ours->families.contains(head)) peer.differing.insert(head);
    // These were decided before, and their replica has only their log entries.
    for (const ObjectId& head : peer.touched)
      if (peer.in_range(head)) peer.differing.insert(head);
    peer.compared = true;
    objects_.for_each_waiting([this](ObjectContext& object) { start_queued(object); });
    while (!peer.differing.empty()) {
      ObjectId head = *peer.differing.begin();
      // One that a client waits for comes first.
      while (!wanted_.empty()) {
        ObjectId wanted = std::move(wanted_.front());
        wanted_.pop_front();
        if (!peer.differing.contains(wanted)) continue;
        head = std::move(wanted);
        break;
      }
      Place place(host_);
      while (!place.take() && std::ranges::find(wanted_, head) == wanted_.end()) {
        (void)co_await host_.shard().clock().sleep(limits::recovery_pause);
        if (halted()) co_return Errc::cancelled;
      }
      CO_TRY(ObjectContext * object, co_await hold(head, Hold::read));
      Result<> sent = co_await send_family(osd, head);
      if (halted()) co_return Errc::cancelled;
      if (sent) peer.differing.erase(head);
      object->release(Hold::read);
      start_queued(*object);
      CO_TRY(sent);
      ++usage_.recovered_objects;
      if (!in_flight_.empty()) {
        (void)co_await host_.shard().clock().sleep(limits::recovery_pause);
        if (halted()) co_return Errc::cancelled;
      }
    }
    FilledPayload filled;
    filled.complete = peer.range_to_end;
    filled.cursor = peer.range_last;
    Result<Buffer> noted = co_await ask(osd, Kind::filled, encode(filled));
    if (halted()) co_return Errc::cancelled;
    CO_TRY(noted);
    for (const auto& [head, members] : ours->families) peer.filled += members.size();
    peer.complete = filled.complete;
    peer.cursor = filled.cursor;
    peer.filling = false;
  }
  log_info("osd", "pg {}: osd.{} is full", id_.describe(), osd);
  co_return Result<>{};
}

// --- who has an object

Task<Result<Version>> PlacementGroup::version_of(ObjectId object) {
  auto attributes = co_await host_.store().get_attributes(std::move(object));
  CO_TRY(auto state, decode_state(attributes));
  if (!state.stored) co_return Errc::not_found;
  co_return state.info.changed;
}

Task<Result<FamilyPayload>> PlacementGroup::read_family(ObjectId head) {
  FamilyPayload family;
  family.head = head;
  std::optional<ObjectId> start = first_of(head);
  while (start) {
    auto page = co_await host_.store().list(collection(), start, limits::backfill_page);
    CO_TRY(page);
    start = page->next;
    for (const ObjectId& object : page->objects) {
      if (head_of(object) != head) {
        start.reset();
        break;
      }
      auto attributes = co_await host_.store().get_attributes(object);
      auto state = decode_state(attributes);
      // What came only half is there without an info: it is not as anybody wants it.
      family.members.emplace(object, state && state->stored ? state->info.changed : Version{});
      if (object != head) continue;
      if (auto snaps = decode_snaps(attributes))
        for (const Clone& clone : snaps->clones)
          for (SnapId snap : clone.snaps) family.snap_keys.push_back(snap_key(snap, clone.id, head));
    }
  }
  co_return family;
}

Task<Result<RangePayload>> PlacementGroup::list_range(RangeOrder order) {
  RangePayload range;
  std::optional<ObjectId> start;
  if (order.after != ObjectId{}) start = order.after;
  for (bool more = true; more;) {
    auto page = co_await host_.store().list(collection(), start, limits::backfill_page);
    CO_TRY(page);
    start = page->next;
    more = start.has_value();
    for (const ObjectId& object : page->objects) {
      ObjectId head = head_of(object);
      if (head <= order.after) continue;
      if (!order.to_end && head > order.last) {
        more = false;
        break;
      }
      Result<Version> version = co_await version_of(object);
      range.families[std::move(head)].emplace(object, version ? *version : Version{});
    }
  }
  co_return range;
}

Task<Result<>> PlacementGroup::send_family(std::int32_t osd, ObjectId head, bool older) {
  CO_TRY(auto family, co_await read_family(head));
  family.older = older;
  Result<Buffer> told = co_await ask(osd, Kind::push_begin, encode(family));
  CO_TRY(told);
  CO_TRY(auto there, decode<FamilyPayload>(*told));
  SnapSet snaps;
  if (family.members.size() > 1) {
    auto attributes = co_await host_.store().get_attributes(head);
    CO_TRY(snaps, decode_snaps(attributes));
  }
  // The newest first: what older ones share with it is not sent.
  for (auto member = family.members.rbegin(); member != family.members.rend(); ++member) {
    const ObjectId& object = member->first;
    if (there.members.contains(object)) continue;
    ChunkPayload first = sharing(head, object, snaps, family);
    CO_TRY(co_await send_object(osd, object, std::move(first)));
  }
  Result<Buffer> done = co_await ask(osd, Kind::push_end, encode(family));
  CO_TRY(done);
  co_return Result<>{};
}

/// `first` says what the replica has already.
Task<Result<>> PlacementGroup::send_object(std::int32_t osd, ObjectId object, ChunkPayload first) {
  ObjectStore& store = host_.store();
  CO_TRY(auto stat, co_await store.stat(object));
  CO_TRY(auto attributes, co_await store.get_attributes(object));
  ChunkPayload chunk = std::move(first);
  chunk.object = object;
  chunk.first = true;
  chunk.size = stat.size;
  IntervalSet unsent;
  unsent.insert(0, stat.size);
  for (auto [offset, length] : chunk.shared) unsent.erase(offset, length);
  std::string omap_after;
  bool omap_more = true;
  for (bool more = true; more;) {
    if (chunk.first) {
      auto header = co_await store.omap_header(object);
      CO_TRY(header);
      chunk.omap_header = std::move(*header);
    }
    if (omap_more) {
      auto page = co_await store.omap_list(object, omap_after, "", limits::omap_entries_max, limits::push_bytes_max);
      CO_TRY(page);
      omap_more = page->more;
      for (auto& [key, value] : page->entries) {
        omap_after = key;
        chunk.omap.emplace(std::move(key), std::move(value));
      }
    }
    // The next piece that is not a hole.
    BufferList data;
    while (!unsent.empty() && data.empty()) {
      filestore::Extent next = unsent.first();
      chunk.offset = next.offset;
      std::uint64_t length = std::min(limits::push_bytes_max, next.length);
      unsent.erase(next.offset, length);
      auto extents = co_await store.extents(object, chunk.offset, length);
      CO_TRY(extents);
      if (extents->empty()) continue;
      CO_TRY(data, co_await store.read(object, chunk.offset, length));
      if (data.size() != length) co_return Errc::io;
    }
    usage_.recovered_bytes += data.size();
    more = !unsent.empty() || omap_more;
    if (!more) chunk.attributes = std::move(attributes);  // its info says that it is whole
    Result<Buffer> taken = co_await ask(osd, Kind::push_chunk, encode(chunk), std::move(data));
    CO_TRY(taken);
    chunk = {};
    chunk.object = object;
    chunk.size = stat.size;
  }
  co_return Result<>{};
}

// --- who gets it

Task<Result<>> PlacementGroup::take_chunk(ChunkPayload chunk, BufferList data) {
  Transaction transaction;
  transaction.space = filestore::Space::reserve;
  const ObjectId& object = chunk.object;
  if (chunk.first) {
    transaction.remove(object);
    transaction.touch(object);
    transaction.truncate(object, chunk.size);
    if (!chunk.shared.empty()) CO_TRY(co_await version_of(chunk.newer));  // it was sent before
    for (auto [offset, length] : chunk.shared)
      transaction.add(object, Transaction::CloneRange{chunk.newer, offset, length, offset});
  }
  if (!data.empty()) transaction.write(object, chunk.offset, std::move(data));
  if (!chunk.omap_header.empty()) transaction.omap_set_header(object, std::move(chunk.omap_header));
  if (!chunk.omap.empty()) transaction.omap_set(object, std::move(chunk.omap));
  if (!chunk.attributes.empty()) transaction.set_attributes(object, std::move(chunk.attributes));
  if (transaction.empty()) co_return Result<>{};
  Result<> stored = co_await host_.store().submit(collection(), std::move(transaction));
  if (!stored && !halted()) host_.store_failed(stored.error());
  co_return stored;
}

/// All of a family is here: what does not belong to it goes, and it is missing no more.
Task<Result<>> PlacementGroup::take_family(FamilyPayload family) {
  CO_TRY(auto here, co_await read_family(family.head));
  Transaction transaction;
  transaction.space = filestore::Space::reserve;
  for (const auto& [object, at] : here.members)
    if (!family.members.contains(object)) transaction.remove(object);
  std::map<std::string, Buffer> keys;
  for (std::string& key : family.snap_keys) keys.emplace(std::move(key), Buffer{});
  if (!keys.empty()) transaction.collection_set(std::move(keys));
  if (!family.older) transaction.collection_remove({missing_key(family.head)});
  Result<> stored = co_await host_.store().submit(collection(), std::move(transaction));
  if (halted()) co_return Errc::cancelled;
  if (!stored) host_.store_failed(stored.error());
  CO_TRY(stored);
  if (!family.older) note_found(family.head);
  co_return Result<>{};
}

}  // namespace spirula::osd
