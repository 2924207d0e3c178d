#include "osd/placement_group.h"

#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "osd/interpreter.h"

namespace spirula::osd {

std::string PlacementGroup::missing_key(const ObjectId& head) {
  return std::string(missing_first) + encode(head).to_string();
}

Result<Missing::value_type> PlacementGroup::read_missing(const std::string& key, const Buffer& value) {
  std::string_view name(key);
  TRY(auto head, decode<ObjectId>(Buffer::copy_of(name.substr(std::string_view(missing_first).size()))));
  TRY(auto need, decode<Need>(value));
  return Missing::value_type(std::move(head), need);
}

PlacementGroup::PlacementGroup(PgHost& host, PgId id)
    : host_(host), id_(id), tasks_(host.shard()), work_(std::make_unique<TaskGroup>(host.shard())) {}
PlacementGroup::~PlacementGroup() = default;

Task<Result<>> PlacementGroup::create(unsigned bits, PgInfo info, Epoch seen) {
  bits_ = bits;
  info_ = std::move(info);
  seen_ = seen;
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
  bits_ = bits;
  std::set<std::string> wanted{info_key};
  auto values = co_await host_.store().collection_get(collection(), std::move(wanted));
  CO_TRY(values);
  auto found = values->find(info_key);
  if (found == values->end()) co_return Errc::malformed;
  CO_TRY(info_, decode<PgInfo>(found->second));
  CO_TRY(co_await load_log());
  seen_ = info_.interval_since;
  loaded_ = true;
  co_return Result<>{};
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
  report.usage.bytes = bytes_stored();
  report.usage.objects = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals.objects));
  report.usage.clones = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals.clones));
  report.usage.missing_on_primary = missing_.size();
  report.usage.unfound = count_unfound();
  std::uint64_t degraded = missing_.size();
  // A copy that is being filled adds to redundancy, or is to take the place of one that is whole.
  for (const auto& [osd, peer] : peers_) {
    degraded += peer.missing.size();
    if (peer.complete) continue;
    std::uint64_t lacking = report.usage.objects - std::min(report.usage.objects, peer.filled);
    (std::ranges::find(info_.acting, osd) != info_.acting.end() ? degraded : report.usage.misplaced) += lacking;
  }
  if (pool_ && info_.acting.size() < pool_->size)
    degraded += (pool_->size - info_.acting.size()) * report.usage.objects;
  report.usage.degraded = degraded;
  for (auto [first, count] : snaps_trimmed_) report.purged_snaps.emplace_back(SnapId(first), count);
  report.snaps_to_trim = snaps_to_trim_.size();
  return report;
}

void PlacementGroup::on_reset(const msg::ConnectionRef& connection) {
  MonotonicTime now = host_.shard().clock().now();
  for (ObjectContext* object : watched_) object->watches.disconnected(connection, now);
  // They will be sent again, and must not keep room for requests until then.
  std::erase_if(waiting_for_active_, [&](const ClientOpRef& op) { return op->connection == connection; });
  std::erase_if(waiting_for_objects_,
                [&](const ClientOpRef& op) { return op->connection == connection && in_flight_.erase(op.get()); });
  objects_.for_each_waiting([&](ObjectContext& object) {
    drop_queued(object, connection);
    if (!halted()) start_queued(object);
  });
  backoffs_.forget(connection);
}

void PlacementGroup::tick() {
  if (halted() || info_.removing) return;
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
    work_->spawn(trim_snaps());
  }
}

Task<> PlacementGroup::stop() {
  stopping_ = true;
  waiting_for_active_.clear();
  backoffs_.forget_all();
  after_reset_.clear();
  co_await tasks_.stop();
  co_await work_->stop();
  waiting_for_objects_.clear();
  in_flight_.clear();
  unstable_.clear();
  undurable_.clear();
  after_durable_.clear();
  watched_.clear();
  awaiting_.clear();
  questions_.clear();
  objects_.clear();
}

}  // namespace spirula::osd
