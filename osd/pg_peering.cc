#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "osd/placement_group.h"

/// From one interval to the next: what README.md calls peering.
namespace spirula::osd {

using namespace std::chrono_literals;
namespace state = msg::pg_state;
using Kind = PeerRequest::Kind;

void PlacementGroup::pass_map(const maps::OsdMap& map) {
  if (seen_ != Epoch{} && map.epoch <= seen_) return;
  bool follows = seen_ == Epoch{} || map.epoch == seen_.next();
  advance(info_, map, id_, follows);
  seen_ = map.epoch;
}

void PlacementGroup::on_map(OsdMapRef map, bool serving) {
  CHECK(loaded_);
  if (stopping_ || info_.removing) return;
  const maps::Pool* pool = map->pool(id_.pool);
  CHECK(pool, "the daemon removes PGs of pools that are gone");
  Epoch interval = info_.interval_since;
  pass_map(*map);
  bool first = !map_;
  map_ = std::move(map);
  objects_.set_idle_max(host_.idle_objects_max());
  pool_ = pool;
  auto name = map_->pool_names.find(id_.pool);
  if (name != map_->pool_names.end()) pool_name_ = name->second;
  bool changed = first || serving != serving_ || interval != info_.interval_since;
  serving_ = serving;
  if (changed) return begin_interval();
  map_changed_.set();
  if (!active_) return;
  auto queued = std::exchange(waiting_for_active_, {});
  for (auto& op : queued) submit(std::move(op));
  note_snaps();
}

void PlacementGroup::note_snaps() {
  auto removed = map_->removed_snaps_queue.find(id_.pool);
  if (removed != map_->removed_snaps_queue.end())
    for (auto [first, count] : removed->second)
      for (std::uint64_t snap = first; snap < first + count; ++snap) {
        auto done = snaps_trimmed_.upper_bound(snap);
        bool trimmed = done != snaps_trimmed_.begin() && (--done, snap < done->first + done->second);
        if (!trimmed) snaps_to_trim_.insert(SnapId(snap));
        if (snaps_to_trim_.size() >= limits::clones_max) break;
      }
  // What the monitor has dropped from the map is over.
  auto purged = map_->new_purged_snaps.find(id_.pool);
  if (purged != map_->new_purged_snaps.end())
    for (auto [first, count] : purged->second) snaps_trimmed_.erase(first);
}

/// Stops all that belongs to the interval and starts over from what the store has. May be called again at any time.
void PlacementGroup::begin_interval() {
  ++interval_number_;
  primary_ = serving_ && info_.members.primary == host_.whoami();
  active_ = false;
  unwanted_ = false;  // said of an interval that is over
  resetting_ = true;
  show(primary_ ? state::peering : 0);
  if (std::exchange(changing_, true)) return;  // it will see the number
  tasks_.spawn(change_interval());
}

Task<> PlacementGroup::change_interval() {
  for (std::uint64_t number = 0; number != interval_number_;) {
    number = interval_number_;
    co_await work_->stop();
    if (stopping_) co_return;
    work_ = std::make_unique<TaskGroup>(host_.shard());
    // Requests that are not answered yet wait with the rest: what they may have done is in the log.
    for (auto& [pointer, op] : in_flight_) {
      for (auto& again : std::exchange(op->duplicates, {})) waiting_for_active_.push_back(std::move(again));
      op->take_back_reading();
      waiting_for_active_.push_back(op);
    }
    for (const auto& op : waiting_for_active_) op->stage = "waiting for peering";
    std::ranges::sort(waiting_for_active_, {}, &ClientOp::arrival);
    in_flight_.clear();
    unstable_.clear();
    undurable_.clear();
    after_durable_.clear();
    watched_.clear();
    waiting_for_objects_.clear();
    objects_.clear();
    copies_.clear();
    replicas_.clear();
    peers_.clear();
    awaiting_.clear();
    questions_.clear();
    recovering_.clear();
    unfound_.clear();
    denied_.clear();
    wanted_.clear();
    recoverers_ = 0;
    trimming_ = activated_ = false;
    activation_ = 0;
    Result<> loaded = co_await load_log();
    if (stopping_) co_return;
    // Once this is durable, so is all that earlier intervals gave to the store: what we tell others stays true.
    Result<> saved = loaded;
    if (loaded) saved = co_await save_info();
    if (stopping_) co_return;
    if (!saved) {
      log_error("osd", "pg {}: {}", id_.describe(), saved.error().message());
      host_.store_failed(saved.error());
      co_return;
    }
  }
  changing_ = resetting_ = false;
  if (primary_) {
    back_off_waiting();
    work_->spawn(peer());
  } else {
    waiting_for_active_.clear();  // the map tells clients whom to ask
    backoffs_.end_all();
    notify_primary();
  }
  for (auto& action : std::exchange(after_reset_, {})) action();
}

/// What the collection's metadata has under keys from `first` on, but before `end`.
Task<Result<>> PlacementGroup::for_each_key(std::string first, std::string end, VisitKey visit) {
  constexpr std::size_t page_size = 1024;
  for (bool more = true; more;) {
    auto page = co_await host_.store().collection_list(collection(), first, page_size);
    CO_TRY(page);
    more = page->more;
    for (const auto& [key, value] : page->entries) {
      if (key >= end) co_return Result<>{};
      CO_TRY(visit(key, value));
      first = key;
    }
  }
  co_return Result<>{};
}

Task<Result<>> PlacementGroup::load_log() {
  log_ = {};
  missing_.clear();
  std::set<std::string> wanted{PgLog::tail_key};
  auto values = co_await host_.store().collection_get(collection(), std::move(wanted));
  CO_TRY(values);
  if (auto tail = values->find(PgLog::tail_key); tail != values->end()) CO_TRY(log_.load_tail(tail->second));
  VisitKey load_entry = [this](const std::string& key, const Buffer& value) { return log_.load(key, value); };
  CO_TRY(co_await for_each_key(PgLog::entries_first, PgLog::entries_end, std::move(load_entry)));
  VisitKey load_missing = [this](const std::string& key, const Buffer& value) -> Result<> {
    TRY(auto missing, read_missing(key, value));
    missing_.insert(std::move(missing));
    return {};
  };
  CO_TRY(co_await for_each_key(missing_first, missing_end, std::move(load_missing)));
  version_ = log_.head().version;
  user_version_ = log_.last_user_version();
  co_return Result<>{};
}

Task<Result<std::vector<PgLogEntry>>> PlacementGroup::read_log() {
  std::vector<PgLogEntry> all;
  VisitKey take = [&all](const std::string&, const Buffer& value) -> Result<> {
    TRY(auto entry, decode<PgLogEntry>(value));
    all.push_back(std::move(entry));
    return {};
  };
  CO_TRY(co_await for_each_key(PgLog::entries_first, PgLog::entries_end, std::move(take)));
  co_return all;
}

CopyInfo PlacementGroup::copy_info() const {
  CopyInfo copy;
  copy.exists = true;
  copy.info = info_;
  copy.last_update = log_.head();
  copy.log_tail = log_.tail();
  copy.missing = missing_.size();
  copy.followed = followed_;
  return copy;
}

void PlacementGroup::notify_primary() {
  std::int32_t primary = info_.members.primary;
  if (serving_ && primary >= 0 && primary != host_.whoami()) tell(primary, Kind::notify, encode(copy_info()));
}

void PlacementGroup::show(std::uint64_t bits) {
  if (bits == state_) return;
  state_ = bits;
  state_since_ = Time::from(host_.shard().clock().wall());
  ++report_version_;
}

// --- the primary

Task<> PlacementGroup::peer() {
  constexpr auto pause = 2s;
  for (;;) {
    map_changed_.reset();
    Result<bool> done = co_await try_peering();
    if (halted()) co_return;
    if (!done) log_warning("osd", "pg {}: peering: {}", id_.describe(), done.error().message());
    if (done && *done) break;
    (void)co_await map_changed_.wait_until(host_.shard().clock(), host_.shard().clock().now() + pause);
    if (halted()) co_return;
  }
  work_->spawn(recover());
}

/// Asks everybody who may know of newer writes, until nobody new turns up.
Task<Result<>> PlacementGroup::collect_copies() {
  for (;;) {
    // Who missed maps takes the history from one who was there.
    bool unknown = std::ranges::any_of(info_.past, &Interval::unknown);
    for (const auto& [osd, copy] : copies_) {
      if (!unknown || !copy.exists || copy.info.members != info_.members) continue;
      if (std::ranges::any_of(copy.info.past, &Interval::unknown)) continue;
      info_.past = copy.info.past;
      unknown = false;
    }
    std::set<std::int32_t> whom = whom_to_ask(info_, *map_, host_.whoami());
    std::erase_if(whom, [&](std::int32_t osd) { return copies_.contains(osd); });
    if (whom.empty()) co_return Result<>{};
    for (std::int32_t osd : whom) {
      Result<Buffer> told = co_await ask(osd, Kind::info, {});
      if (halted()) co_return Errc::cancelled;
      CO_TRY(told);
      CO_TRY(copies_[osd], decode<CopyInfo>(*told));
    }
  }
}

/// True: the log is agreed upon and the replicas follow us. False: not now; a map may change that.
Task<Result<bool>> PlacementGroup::try_peering() {
  const std::int32_t me = host_.whoami();
  for (std::int32_t osd : whom_to_ask(info_, *map_, me)) copies_.erase(osd);  // what they said before may be over
  CO_TRY(co_await collect_copies());
  std::map<std::int32_t, CopyInfo> copies = copies_;
  copies[me] = copy_info();
  PeeringChoice choice = choose(info_, copies, *map_, me);
  if (choice.why != peering_problem_) {
    peering_problem_ = choice.why;
    if (!choice.why.empty()) log_warning("osd", "pg {} is not served: {}", id_.describe(), choice.why);
  }
  switch (choice.kind) {
    case PeeringChoice::Kind::down:
      show(state::down | state::peering);
      co_return false;
    case PeeringChoice::Kind::incomplete:
      show(state::incomplete);
      co_return false;
    case PeeringChoice::Kind::change_set:
      show(state::peering | state::remapped);
      host_.request_acting(id_, choice.acting);
      co_return false;
    case PeeringChoice::Kind::activate:
      break;
  }

  // The authoritative log becomes ours.
  if (choice.authority != me && copies.at(choice.authority).last_update != log_.head()) {
    Result<Buffer> told = co_await ask(choice.authority, Kind::log, {});
    if (halted()) co_return Errc::cancelled;
    CO_TRY(told);
    CO_TRY(auto log, decode<LogPayload>(*told));
    CO_TRY(co_await adopt_log(std::move(log.entries), log.tail, info_));
    if (!info_.complete) co_return Errc::malformed;  // the logs were said to touch
  }

  // Before anything can be written: that we were up in this interval.
  while (pool_->size > 1 && map_->osd(me)->info.up_thru < info_.interval_since) {
    map_changed_.reset();
    host_.request_up_thru(info_.interval_since);
    (void)co_await map_changed_.wait_until(host_.shard().clock(), host_.shard().clock().now() + 1s);
    if (halted()) co_return Errc::cancelled;
  }

  replicas_.clear();
  peers_.clear();
  for (const auto* set : {&info_.acting, &info_.up})
    for (std::int32_t osd : *set)
      if (osd >= 0 && osd != me && std::ranges::find(replicas_, osd) == replicas_.end()) replicas_.push_back(osd);
  info_.last_started = info_.interval_since;
  if (!replicas_.empty()) {
    show(state::peering | state::activating);
    CO_TRY(co_await activate_replicas());
  }
  Result<> saved = co_await save_info();
  if (halted()) co_return Errc::cancelled;
  if (!saved) host_.store_failed(saved.error());
  CO_TRY(saved);
  activate();
  co_return true;
}

/// Brings every replica's log to where ours is, and learns what it lacks.
Task<Result<>> PlacementGroup::activate_replicas() {
  CO_TRY(auto log, co_await read_log());
  activation_ = host_.shard().random().next() | 1;
  for (std::int32_t osd : replicas_) {
    auto copy = copies_.find(osd);
    Activation activation;
    activation.number = activation_;
    activation.info = info_;
    activation.tail = activation.since = log_.tail();
    activation.bits = bits_;
    if (copy != copies_.end() && copy->second.exists && log_.contains(copy->second.last_update))
      activation.since = copy->second.last_update;
    for (bool whole : {false, true}) {
      if (whole) activation.since = activation.tail;
      activation.entries.clear();
      for (const PgLogEntry& entry : log)
        if (entry.at > activation.since) activation.entries.push_back(entry);
      Result<Buffer> told = co_await ask(osd, Kind::activate, encode(activation));
      if (halted()) co_return Errc::cancelled;
      CO_TRY(told);
      CO_TRY(auto activated, decode<Activated>(*told));
      if (activated.log_needed) {
        if (whole) co_return Errc::malformed;
        continue;
      }
      Peer& peer = peers_[osd];
      peer.complete = activated.complete;
      peer.cursor = std::move(activated.cursor);
      peer.missing = std::move(activated.missing);
      break;
    }
  }
  co_return Result<>{};
}

void PlacementGroup::activate() {
  activated_ = true;
  decide_serving();
}

/// Serves when enough whole copies follow.
void PlacementGroup::decide_serving() {
  std::size_t whole = 1;
  for (std::int32_t osd : info_.acting) whole += peers_.contains(osd) && peers_.at(osd).complete;
  bool serve = activated_ && primary_ && whole >= pool_->min_size;
  bool begins = serve && !active_;
  active_ = serve;
  update_state();
  if (!begins) return;
  log_debug("osd", "pg {}: active in the interval of epoch {}", id_.describe(), info_.interval_since.value);
  backoffs_.end_all();
  auto queued = std::exchange(waiting_for_active_, {});
  for (auto& op : queued) submit(std::move(op));
  note_snaps();
}

bool PlacementGroup::is_clean() const {
  return activated_ && missing_.empty() && std::ranges::all_of(peers_, [](const auto& each) {
           return each.second.complete && each.second.missing.empty();
         });
}

void PlacementGroup::update_state() {
  if (!activated_) return;
  std::uint64_t bits = active_ ? state::active : state::peered;
  bool complete = std::ranges::all_of(peers_, [](const auto& each) { return each.second.complete; });
  bool lacking =
      !missing_.empty() || std::ranges::any_of(peers_, [](const auto& each) { return !each.second.missing.empty(); });
  bool undersized = info_.acting.size() < pool_->size;
  if (undersized) bits |= state::undersized;
  if (undersized || lacking || !complete) bits |= state::degraded;
  bool lost = std::ranges::any_of(unfound_, [this](const ObjectId& head) { return is_unfound(head); });
  auto kept_out = [this](const auto& each) { return !each.second.missing.empty() && is_full(each.first); };
  if ((!missing_.empty() && is_full(host_.whoami())) || std::ranges::any_of(peers_, kept_out))
    bits |= state::recovery_toofull;
  if (lacking) bits |= lost ? state::recovery_unfound : state::recovering;
  for (const auto& [osd, copy] : peers_)
    if (!copy.complete)
      bits |= is_too_full(osd) ? state::backfill_toofull : !may_fill(osd) ? state::backfill_wait : state::backfilling;
  if (info_.up != info_.acting) bits |= state::remapped;
  if (!(bits & (state::degraded | state::remapped))) bits |= state::clean;
  show(bits);
}

/// Every copy is whole: history is over, and copies elsewhere may go.
Task<> PlacementGroup::mark_clean() {
  if (info_.up != info_.acting && !info_.up.empty()) {
    host_.request_acting(id_, {});
    co_return;
  }
  info_.last_clean = map_->epoch;
  info_.past.clear();
  Result<> saved = co_await save_info();
  if (halted()) co_return;
  if (!saved) {
    host_.store_failed(saved.error());
    co_return;
  }
  for (std::int32_t osd : replicas_) tell(osd, Kind::clean, {});
  for (const auto& [osd, copy] : copies_)
    if (copy.exists && !peers_.contains(osd) && map_->is_up(osd)) tell(osd, Kind::remove, {});
  update_state();
}

// --- a replica, and both

/// Our log becomes `theirs`, which has every entry after `since`; our info becomes `info` but for what is complete
/// here.
Task<Result<>> PlacementGroup::adopt_log(std::vector<PgLogEntry> theirs, Version since, PgInfo info) {
  CO_TRY(auto ours, co_await read_log());
  LogMerge merge = merge_logs(ours, log_.tail(), theirs, since);
  Transaction transaction;
  transaction.space = filestore::Space::reserve;
  std::map<std::string, Buffer> values;
  info.complete = info_.complete;
  info.cursor = info_.cursor;
  // A new copy is whole, all of it missing, if the log goes back to the PG's beginning.
  if (ours.empty() && log_.tail() == Version{} && since == Version{} && info.cursor == ObjectId{}) info.complete = true;
  if (!merge.possible) {
    info.complete = false;
    info.cursor = {};
    transaction.add(Transaction::CollectionRemoveRange{PgLog::entries_first, PgLog::entries_end});
    transaction.add(Transaction::CollectionRemoveRange{missing_first, missing_end});
    values.emplace(PgLog::tail_key, encode(since));
    merge.add = std::move(theirs);
    merge.missing.clear();
  }
  std::set<std::string> dropped;
  for (Version at : merge.drop) dropped.insert(PgLog::entry_key(at));
  if (!dropped.empty()) transaction.collection_remove(std::move(dropped));
  for (const PgLogEntry& entry : merge.add) values.emplace(PgLog::entry_key(entry.at), encode(entry));
  for (const auto& [head, need] : merge.missing)
    if (info.covers(head)) values.emplace(missing_key(head), encode(need));
  values.emplace(info_key, encode(info));
  transaction.collection_set(std::move(values));
  Result<> stored = co_await host_.store().submit(collection(), std::move(transaction));
  if (halted()) co_return Errc::cancelled;
  if (!stored) host_.store_failed(stored.error());
  CO_TRY(stored);
  info_ = std::move(info);
  co_return co_await load_log();
}

Task<Result<Activated>> PlacementGroup::follow(Activation activation) {
  Activated activated;
  if (log_.head() < activation.since && activation.since > activation.tail) {
    activated.log_needed = true;
    co_return activated;
  }
  bool known = activation.since == activation.tail || log_.contains(activation.since);
  if (!known) {
    activated.log_needed = true;
    co_return activated;
  }
  PgInfo info = info_;
  info.past = activation.info.past;
  info.last_started = activation.info.last_started;
  info.last_clean = activation.info.last_clean;
  activation_ = 0;
  CO_TRY(co_await adopt_log(std::move(activation.entries), activation.since, std::move(info)));
  activation_ = followed_ = activation.number;
  show(0);
  activated.complete = info_.complete;
  activated.cursor = info_.cursor;
  activated.missing = missing_;
  co_return activated;
}

}  // namespace spirula::osd
