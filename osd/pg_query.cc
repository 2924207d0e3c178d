#include <boost/json.hpp>

#include "msg/pg_state.h"
#include "osd/placement_group.h"

/// What `ceph pg ID query` shows, in the shape of a stock OSD's answer; what a stock one knows of scrubs, cache tiers
/// and past statistics is left out.
namespace spirula::osd {
namespace json = boost::json;

namespace {
json::array numbers(const std::vector<std::int32_t>& osds) {
  return json::array(osds.begin(), osds.end());
}

json::object describe_copy(PgId pg, const PgInfo& info, Version head, Version tail, std::size_t missing) {
  std::string filled_to = info.cursor.name;
  if (info.complete) filled_to = "MAX";
  if (!info.complete && info.cursor == ObjectId{}) filled_to = "MIN";
  json::object history{
      {"epoch_created", info.created.value},
      {"last_epoch_started", info.last_started.value},
      {"last_interval_started", info.last_started.value},
      {"last_epoch_clean", info.last_clean.value},
      {"same_interval_since", info.interval_since.value},
  };
  return {{"pgid", pg.describe()},
          {"last_update", head.describe()},
          {"log_tail", tail.describe()},
          {"last_backfill", filled_to},
          {"num_missing", missing},
          {"history", std::move(history)},
          {"empty", head == Version{} ? 1 : 0},
          {"dne", 0},
          {"incomplete", info.complete ? 0 : 1},
          {"last_epoch_started", info.last_started.value}};
}
}  // namespace

json::object PlacementGroup::describe_stats() const {
  msg::PgReport now = report();
  const msg::PgUsage& usage = now.usage;
  json::object sums{
      {"num_bytes", usage.bytes},
      {"num_objects", usage.objects},
      {"num_object_clones", usage.clones},
      {"num_object_copies", pool_ ? usage.objects * pool_->size : 0},
      {"num_objects_missing_on_primary", usage.missing_on_primary},
      {"num_objects_degraded", usage.degraded},
      {"num_objects_misplaced", usage.misplaced},
      {"num_objects_unfound", usage.unfound},
      {"num_read", usage.reads},
      {"num_read_kb", usage.read_bytes >> 10},
      {"num_write", usage.writes},
      {"num_write_kb", usage.written_bytes >> 10},
      {"num_objects_recovered", usage.recovered_objects},
      {"num_bytes_recovered", usage.recovered_bytes},
  };
  return {{"version", log_.head().describe()},
          {"reported_seq", now.reported_sequence},
          {"reported_epoch", now.reported_epoch.value},
          {"state", msg::describe_pg_state(now.state)},
          {"last_change", state_since_.describe()},
          {"mapping_epoch", info_.interval_since.value},
          {"log_start", log_.tail().describe()},
          {"ondisk_log_start", log_.tail().describe()},
          {"created", info_.created.value},
          {"last_epoch_clean", info_.last_clean.value},
          {"log_size", log_.size()},
          {"ondisk_log_size", log_.size()},
          {"snaptrimq_len", snaps_to_trim_.size()},
          {"stat_sum", std::move(sums)},
          {"up", numbers(info_.up)},
          {"acting", numbers(info_.acting)},
          {"up_primary", info_.up.empty() ? -1 : info_.up.front()},
          {"acting_primary", info_.members.primary}};
}

json::array PlacementGroup::describe_recovery() const {
  json::object state;
  state["enter_time"] = state_since_.describe();
  if (activated_) {
    state["name"] = "Started/Primary/Active";
    state["might_have_unfound"] = describe_sources();
    json::array targets, recovering;
    for (const auto& [osd, peer] : peers_)
      if (!peer.complete) targets.emplace_back(std::to_string(osd));
    for (const ObjectId& head : recovering_) recovering.emplace_back(head.name);
    state["recovery_progress"] =
        json::object{{"backfill_targets", std::move(targets)}, {"recovering", std::move(recovering)}};
  } else {
    bool is_down = state_ & msg::pg_state::down, is_incomplete = state_ & msg::pg_state::incomplete;
    state["name"] = is_down         ? "Started/Primary/Peering/Down"
                    : is_incomplete ? "Started/Primary/Peering/Incomplete"
                                    : "Started/Primary/Peering";
    if (!peering_problem_.empty()) state["comment"] = peering_problem_;
    json::array past, probing, down;
    for (const Interval& each : info_.past)
      past.push_back(json::object{{"first", each.first.value},
                                  {"last", each.last.value},
                                  {"acting", numbers(each.acting)},
                                  {"maybe_went_rw", each.maybe_wrote}});
    state["past_intervals"] = std::move(past);
    for (const auto& [osd, copy] : copies_) probing.emplace_back(std::to_string(osd));
    state["probing_osds"] = std::move(probing);
    for (auto [osd, gone] : might_have_unfound())
      if (!gone && !map_->is_up(osd)) down.emplace_back(osd);
    state["down_osds_we_would_probe"] = std::move(down);
  }
  return {std::move(state), json::object{{"name", "Started"}, {"enter_time", state_since_.describe()}}};
}

json::object PlacementGroup::describe() const {
  json::object all;
  std::string queue;
  for (SnapId snap : snaps_to_trim_) queue += (queue.empty() ? "" : ",") + std::to_string(snap.value) + "~1";
  all["snap_trimq"] = "[" + queue + "]";
  all["snap_trimq_len"] = snaps_to_trim_.size();
  all["state"] = msg::describe_pg_state(report().state);
  all["epoch"] = map_ ? map_->epoch.value : 0;
  all["up"] = numbers(info_.up);
  all["acting"] = numbers(info_.acting);
  json::array followers;
  if (activated_) {
    std::set<std::int32_t> sorted(replicas_.begin(), replicas_.end());
    sorted.insert(host_.whoami());
    for (std::int32_t osd : sorted) followers.emplace_back(std::to_string(osd));
  }
  all["acting_recovery_backfill"] = std::move(followers);
  json::object info = describe_copy(id_, info_, log_.head(), log_.tail(), missing_.size());
  info["last_user_version"] = user_version_;
  info["stats"] = describe_stats();
  all["info"] = std::move(info);
  json::array peers;
  for (const auto& [osd, copy] : copies_) {
    auto peer = peers_.find(osd);
    std::size_t missing = peer == peers_.end() ? copy.missing : peer->second.missing.size();
    PgInfo info = copy.info;
    if (peer != peers_.end()) {
      info.complete = peer->second.complete;
      info.cursor = peer->second.cursor;
      info.last_started = info_.last_started;
    }
    json::object described =
        describe_copy(id_, info, peer == peers_.end() ? copy.last_update : log_.head(), copy.log_tail, missing);
    described["peer"] = std::to_string(osd);
    peers.push_back(std::move(described));
  }
  all["peer_info"] = std::move(peers);
  all["recovery_state"] = map_ ? describe_recovery() : json::array();
  all["scrubber"] = json::object{{"epoch_start", "0"}, {"active", false}};
  all["agent_state"] = json::object();
  return all;
}

}  // namespace spirula::osd
