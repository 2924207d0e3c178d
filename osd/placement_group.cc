#include "osd/placement_group.h"

#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "osd/interpreter.h"

namespace spirula::osd {

namespace {
constexpr const char* info_key = "info";
}

PeeringPlan plan_peering(const PgInfo& info, const maps::Pool& pool, const maps::Placement& placement,
                         std::int32_t whoami) {
  namespace state = msg::pg_state;
  PeeringPlan plan;
  plan.new_interval = info.interval_since == Epoch{} || info.up != placement.up || info.acting != placement.acting;
  plan.primary = placement.acting_primary == whoami;
  std::size_t present = std::ranges::count_if(placement.acting, [](std::int32_t osd) { return osd >= 0; });
  // Writes go to one copy only as long as replication is not there: count ourselves, not the others.
  std::size_t copies = plan.primary ? 1 : 0;
  plan.activate = plan.primary && copies >= pool.min_size;
  if (!plan.primary) return plan;
  if (plan.activate)
    plan.state = state::active;
  else
    plan.state = state::peered;
  if (std::min(present, copies) < pool.size)
    plan.state |= state::undersized | state::degraded;
  else
    plan.state |= state::clean;
  return plan;
}

PlacementGroup::PlacementGroup(PgHost& host, PgId id) : host_(host), id_(id), tasks_(host.shard()) {}
PlacementGroup::~PlacementGroup() = default;

Task<Result<>> PlacementGroup::create(unsigned bits, Epoch epoch) {
  bits_ = bits;
  info_.created = epoch;
  Transaction transaction;
  transaction.space = filestore::Space::reserve;
  transaction.create_collection(bits);
  std::map<std::string, Buffer> values;
  values.emplace(info_key, encode(info_));
  transaction.collection_set(std::move(values));
  Result<> stored = co_await host_.store().submit(collection(), std::move(transaction));
  CO_TRY(stored);
  loaded_ = true;
  co_return Result<>{};
}

Task<Result<>> PlacementGroup::load(unsigned bits) {
  constexpr std::size_t page = 1024;
  bits_ = bits;
  std::set<std::string> wanted{info_key};
  auto values = co_await host_.store().collection_get(collection(), std::move(wanted));
  CO_TRY(values);
  auto found = values->find(info_key);
  if (found == values->end()) co_return Errc::malformed;
  CO_TRY(info_, decode<PgInfo>(found->second));
  std::string after = PgLog::entries_first;
  for (bool more = true; more;) {
    auto entries = co_await host_.store().collection_list(collection(), after, page);
    CO_TRY(entries);
    more = entries->more;
    for (const auto& [key, value] : entries->entries) {
      after = key;
      if (key >= PgLog::entries_end) {
        more = false;
        break;
      }
      CO_TRY(log_.load(key, value));
    }
  }
  version_ = log_.head().version;
  user_version_ = log_.last_user_version();
  loaded_ = true;
  co_return Result<>{};
}

void PlacementGroup::on_map(OsdMapRef map) {
  CHECK(loaded_);
  if (stopping_ || info_.removing) return;
  const maps::Pool* pool = map->pool(id_.pool);
  CHECK(pool, "the daemon removes PGs of pools that are gone");
  map_ = std::move(map);
  objects_.set_idle_max(host_.idle_objects_max());
  pool_ = pool;
  auto name = map_->pool_names.find(id_.pool);
  if (name != map_->pool_names.end()) pool_name_ = name->second;

  auto placement = map_->place(id_);
  auto plan = plan_peering(info_, *pool_, placement, host_.whoami());
  bool changed = plan.state != state_ || plan.new_interval;
  primary_ = plan.primary;
  active_ = plan.activate;
  state_ = plan.state;
  if (plan.new_interval) {
    info_.interval_since = map_->epoch;
    info_.up = placement.up;
    info_.acting = placement.acting;
    if (active_) info_.last_started = info_.last_clean = map_->epoch;
    tasks_.spawn(save_info());
    // The clients of an old interval resend by themselves.
    waiting_for_active_.clear();
  }
  if (changed) ++report_version_;
  if (active_) {
    auto queued = std::exchange(waiting_for_active_, {});
    for (auto& op : queued) submit(std::move(op));
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
}

msg::PgReport PlacementGroup::report() const {
  msg::PgReport report;
  report.pg = id_;
  report.state = state_;
  if (trimming_) report.state |= msg::pg_state::snaptrim;
  report.reported_epoch = map_ ? map_->epoch : Epoch{};
  report.reported_sequence = report_version_;
  report.last_update = log_.head();
  report.last_epoch_clean = info_.last_clean;
  report.log_entries = static_cast<std::uint32_t>(log_.size());
  report.up = info_.up;
  report.acting = info_.acting;
  report.usage = usage_;
  const PgTotals& totals = log_.totals();
  report.usage.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals.bytes));
  report.usage.objects = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals.objects));
  report.usage.clones = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals.clones));
  if (state_ & msg::pg_state::degraded) report.usage.degraded = report.usage.objects;
  for (auto [first, count] : snaps_trimmed_) report.purged_snaps.emplace_back(SnapId(first), count);
  report.snaps_to_trim = snaps_to_trim_.size();
  return report;
}

void PlacementGroup::on_reset(const msg::ConnectionRef& connection) {
  MonotonicTime now = host_.shard().clock().now();
  for (ObjectContext* object : watched_) object->watches.disconnected(connection, now);
}

void PlacementGroup::tick() {
  if (stopping_ || info_.removing) return;
  MonotonicTime now = host_.shard().clock().now();
  std::vector<ObjectContext*> watched(watched_.begin(), watched_.end());
  for (ObjectContext* object : watched) {
    for (const WatchKey& key : object->watches.expire(now)) drop_watcher(*object, key);
    if (object->watches.empty()) {
      watched_.erase(object);
      objects_.release(*object);
    }
  }
  if (active_ && !trimming_ && !snaps_to_trim_.empty() && !map_->has(maps::map_flag::no_snap_trim)) {
    trimming_ = true;
    tasks_.spawn(trim_snaps());
  }
}

Task<> PlacementGroup::stop() {
  stopping_ = true;
  waiting_for_active_.clear();
  co_await tasks_.stop();
  in_flight_.clear();
  unstable_.clear();
  undurable_.clear();
  after_durable_.clear();
  watched_.clear();
  objects_.clear();
}

}  // namespace spirula::osd
