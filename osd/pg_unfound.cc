#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>

#include "base/coroutine.h"
#include "base/log.h"
#include "osd/interpreter.h"
#include "osd/placement_group.h"

/// Objects whose newest state nobody who is up has: what is said of them, and giving them up.
namespace spirula::osd {

using namespace std::chrono_literals;
namespace json = boost::json;
using Kind = PeerRequest::Kind;

namespace {
constexpr std::size_t listed_at_once = 256;  // Ceph: osd_command_max_records

json::object to_json(const ObjectId& id) {
  return {{"oid", id.name},
          {"key", id.key},
          {"snapid", static_cast<std::int64_t>(id.snap)},
          {"hash", id.hash},
          {"max", 0},
          {"pool", id.pool},
          {"namespace", id.name_space}};
}

/// An object as to_json() writes it.
std::optional<ObjectId> parse_object(const std::string& text) {
  boost::system::error_code malformed;
  json::value value = json::parse(text, malformed);
  const json::object* object = malformed ? nullptr : value.if_object();
  if (!object) return std::nullopt;
  auto string = [&](const char* name) {
    const json::value* each = object->if_contains(name);
    return each && each->is_string() ? std::string(each->as_string()) : std::string();
  };
  auto number = [&](const char* name) -> std::int64_t {
    const json::value* each = object->if_contains(name);
    if (each && each->is_int64()) return each->as_int64();
    return each && each->is_uint64() ? static_cast<std::int64_t>(each->as_uint64()) : 0;
  };
  return ObjectId{number("pool"),      static_cast<std::uint32_t>(number("hash")),
                  string("namespace"), string("key"),
                  string("oid"),       msg::snap_head.value};
}
}  // namespace

// --- who may have what

std::vector<PlacementGroup::Source> PlacementGroup::sources_of(const ObjectId& head) const {
  std::vector<Source> sources;
  for (const auto& [osd, peer] : peers_)
    if (!peer.missing.contains(head) && (peer.complete || head <= peer.cursor)) sources.push_back({osd, false});
  for (const auto& [osd, copy] : copies_)
    if (!peers_.contains(osd) && copy.exists && copy.info.covers(head) && map_->is_up(osd))
      sources.push_back({osd, true});
  return sources;
}

bool PlacementGroup::is_unfound(const ObjectId& head, const Need& need) const {
  if (need.absent) return false;
  return std::ranges::all_of(sources_of(head), [&](const Source& source) {
    return denied_.contains({source.osd, head}) || (source.exact && copies_.at(source.osd).last_update < need.at);
  });
}

bool PlacementGroup::is_unfound(const ObjectId& head) const {
  auto found = missing_.find(head);
  return found != missing_.end() && is_unfound(head, found->second);
}

/// It misses here no more: what clients keep for it may come.
void PlacementGroup::note_found(const ObjectId& head) {
  missing_.erase(head);
  backoffs_.end(head);
}

std::size_t PlacementGroup::count_unfound() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(missing_, [this](const auto& each) { return is_unfound(each.first, each.second); }));
}

/// Whoever was there when something may have been written since all copies were whole. True: it is gone for good.
std::map<std::int32_t, bool> PlacementGroup::might_have_unfound() const {
  std::map<std::int32_t, bool> all;
  for (const Interval& past : info_.past) {
    if (!past.maybe_wrote) continue;
    std::vector<std::int32_t> members = past.acting;
    if (past.unknown)
      for (std::int32_t osd = 0; osd < static_cast<std::int32_t>(map_->osds.size()); ++osd) members.push_back(osd);
    for (std::int32_t osd : members) {
      if (osd < 0 || osd == host_.whoami()) continue;
      const maps::Osd* member = map_->osd(osd);
      bool gone = !member || !member->exists() || member->info.lost_at > past.last;
      auto [known, is_new] = all.emplace(osd, gone);
      if (!is_new) known->second = known->second && gone;
    }
  }
  return all;
}

json::array PlacementGroup::describe_sources() const {
  json::array all;
  for (auto [osd, gone] : might_have_unfound()) {
    const char* status = !map_->is_up(osd)                               ? "osd is down"
                         : peers_.contains(osd) || copies_.contains(osd) ? "already probed"
                                                                         : "not queried";
    all.push_back(json::object{{"osd", std::to_string(osd)}, {"status", status}});
  }
  return all;
}

// --- commands

void PlacementGroup::command(std::string name, msg::DaemonCommands::Arguments arguments, CommandDone done) {
  using Answer = msg::DaemonCommands::Answer;
  if (name == "query") return done(Answer{.output = json::serialize(describe())});
  if (halted() || !map_) return done(Answer{.result = -EAGAIN, .text = "pg is peering"});
  if (name == "list_unfound") {
    work_->spawn(list_unfound(std::move(arguments["offset"]), std::move(done)));
    return;
  }
  if (name == "mark_unfound_lost") {
    const std::string& how = arguments["mulcmd"];
    if (how != "revert" && how != "delete")
      return done(Answer{.result = -EINVAL, .text = "mode must be 'revert' or 'delete'"});
    work_->spawn(mark_unfound_lost(how == "revert", std::move(done)));
    return;
  }
  done(Answer{.result = -EINVAL, .text = fmt::format("unknown command '{}'", name.substr(0, 256))});
}

Task<> PlacementGroup::list_unfound(std::string offset, CommandDone done) {
  ObjectId from;
  if (!offset.empty()) {
    auto parsed = parse_object(offset);
    if (!parsed) {
      done({.result = -EINVAL, .text = "offset does not parse"});
      co_return;
    }
    from = std::move(*parsed);
  }
  std::vector<std::pair<ObjectId, Need>> listed;
  bool more = false;
  for (auto it = offset.empty() ? missing_.begin() : missing_.upper_bound(from); it != missing_.end(); ++it) {
    if (!is_unfound(it->first, it->second)) continue;
    more = listed.size() == listed_at_once;
    if (more) break;
    listed.emplace_back(*it);
  }
  json::object all;
  if (!offset.empty()) all["offset"] = to_json(from);
  all["num_missing"] = missing_.size();
  all["num_unfound"] = count_unfound();
  json::array objects;
  for (const auto& [head, need] : listed) {
    Result<Version> have = co_await version_of(head);
    if (halted()) {
      done({.result = -EAGAIN, .text = "pg is peering"});
      co_return;
    }
    objects.push_back(json::object{{"oid", to_json(head)},
                                   {"need", need.at.describe()},
                                   {"have", have ? have->describe() : Version{}.describe()},
                                   {"flags", "none"},
                                   {"locations", json::array()}});
  }
  all["objects"] = std::move(objects);
  all["state"] = activated_ ? "Active" : "Peering";
  all["available_might_have_unfound"] = true;
  json::array unasked;
  for (json::value& each : describe_sources())
    if (each.at("status").as_string() != "already probed") unasked.push_back(std::move(each));
  all["might_have_unfound"] = std::move(unasked);
  all["more"] = more;
  done({.output = json::serialize(all)});
}

Task<> PlacementGroup::mark_unfound_lost(bool revert, CommandDone done) {
  if (!activated_) {
    done({.result = -EAGAIN, .text = "pg is not active: who has its objects is not known"});
    co_return;
  }
  std::vector<ObjectId> lost;
  for (const auto& [head, need] : missing_)
    if (is_unfound(head, need)) lost.push_back(head);
  if (lost.empty()) {
    done({.text = "pg has no unfound objects"});
    co_return;
  }
  bool some_may_come = std::ranges::any_of(
      might_have_unfound(), [this](const auto& each) { return !each.second && !map_->is_up(each.first); });
  if (some_may_come) {
    done({.result = -EINVAL,
          .text = fmt::format("pg has {} unfound objects but we haven't probed all sources, not marking lost",
                              lost.size())});
    co_return;
  }
  log_warning("osd", "pg {}: {} unfound objects are given up ({})", id_.describe(), lost.size(),
              revert ? "what was before is there again" : "they are deleted");
  for (const ObjectId& head : lost) {
    Result<> given_up = co_await give_up(head, revert);
    if (halted() || !given_up) {
      done({.result = -EAGAIN, .text = halted() ? "pg is peering" : given_up.error().message()});
      co_return;
    }
  }
  done({.text = fmt::format("pg has {} objects unfound and apparently lost marking", lost.size())});
}

// --- giving up

Task<Result<>> PlacementGroup::give_up(ObjectId head, bool revert) {
  while (recovering_.contains(head)) {
    CO_TRY(co_await host_.shard().clock().sleep(5ms));
    if (halted()) co_return Errc::cancelled;
  }
  if (!is_unfound(head)) co_return Result<>{};  // somebody has come
  const Need need = missing_.at(head);
  recovering_.insert(head);  // nobody else works on it
  CO_TRY(ObjectContext * object, co_await hold(head, Hold::alone));
  Result<> done = co_await give_up_held(*object, need, revert);
  if (halted()) co_return Errc::cancelled;
  recovering_.erase(head);
  unfound_.erase(head);
  object->release(Hold::alone);
  start_queued(*object);
  update_state();
  ++report_version_;
  recovery_wanted_.set();
  co_return done;
}

/// The newest state of an object that its log knows to have been before `need`, and who has it.
Task<Result<PlacementGroup::Earlier>> PlacementGroup::find_earlier(ObjectId head, Need need, std::set<Version> known) {
  RangeOrder family;
  family.after = head;
  family.after.snap = 0;  // before its clones
  family.last = head;
  Earlier best;
  auto consider = [&](std::int32_t osd, const RangePayload& range) {
    auto members = range.families.find(head);
    if (members == range.families.end()) return;
    auto at = members->second.find(head);
    if (at == members->second.end() || !known.contains(at->second) || at->second > need.at) return;
    if (at->second > best.at) best = {osd, at->second};
  };
  auto ours = co_await list_range(family);
  if (halted()) co_return Errc::cancelled;
  CO_TRY(ours);
  consider(host_.whoami(), *ours);
  std::set<std::int32_t> others(replicas_.begin(), replicas_.end());
  for (const auto& [osd, copy] : copies_)
    if (copy.exists && map_->is_up(osd) && osd != host_.whoami()) others.insert(osd);
  for (std::int32_t osd : others) {
    Result<Buffer> told = co_await ask(osd, Kind::list, encode(family));
    if (halted()) co_return Errc::cancelled;
    CO_TRY(told);
    CO_TRY(auto theirs, decode<RangePayload>(*told));
    consider(osd, theirs);
  }
  co_return best;
}

/// A new entry of the log says what the object is from now on, on every copy: what was before, or nothing. A crash
/// after that entry leaves it unfound again, to be given up once more.
Task<Result<>> PlacementGroup::give_up_held(ObjectContext& object, Need need, bool revert) {
  const ObjectId head = object.head;
  auto log = co_await read_log();
  if (halted()) co_return Errc::cancelled;
  CO_TRY(log);
  std::set<Version> known;
  for (const PgLogEntry& entry : *log)
    if (head_of(entry.object) == head && entry.at <= need.at) known.insert({entry.at, entry.prior});
  known.erase(Version{});
  CO_TRY(Earlier earlier, co_await find_earlier(head, need, std::move(known)));
  if (earlier.osd >= 0 && earlier.osd != host_.whoami()) {
    PullOrder order{head, true, earlier.at, true};
    constexpr auto patience = 10min;
    Result<Buffer> pushed = co_await ask(earlier.osd, Kind::pull, encode(order), {}, patience);
    if (halted()) co_return Errc::cancelled;
    CO_TRY(pushed);
  }
  ObjectState state;
  SnapSet snaps;
  FamilyPayload family;
  bool back = earlier.osd >= 0;
  if (back) {
    auto attributes = co_await host_.store().get_attributes(head);
    if (halted()) co_return Errc::cancelled;
    CO_TRY(state, decode_state(attributes));
    CO_TRY(snaps, decode_snaps(attributes));
    auto here = co_await read_family(head);
    if (halted()) co_return Errc::cancelled;
    CO_TRY(here);
    family = std::move(*here);
    for (const Clone& clone : snaps.clones) {
      auto member = family.members.find(clone_id(head, clone.id));
      back = back && member != family.members.end() && member->second != Version{};
    }
  }
  // Clones are of snapshots that nobody asked to delete: their head goes the usual way.
  const bool whole = back && (revert || !snaps.clones.empty());

  PgLogEntry entry;
  PgTotals delta;
  std::optional<PgTotals> before;  // what the first of a log that was trimmed has changed is not known
  if (log_.tail() == Version{}) before.emplace();
  for (const PgLogEntry& each : *log) {
    if (before && head_of(each.object) == head && each.at > earlier.at && each.at <= need.at)
      delta += *before - each.totals;
    before = each.totals;
  }
  if (back && !whole) {
    delta.bytes -= static_cast<std::int64_t>(state.info.size);
    --delta.objects;
    if (state.info.flags & ObjectInfo::omap) --delta.omap_objects;
  }
  entry.kind = whole ? PgLogEntry::Kind::modify : PgLogEntry::Kind::remove;
  entry.object = head;
  entry.at = {map_->epoch, ++version_};
  entry.prior = need.at;
  entry.user_version = ++user_version_;
  entry.request.client = {msg::EntityType::osd, -1};
  entry.stored = whole;
  const Need now{entry.at, !whole};
  Transaction transaction;
  transaction.space = filestore::Space::reserve;
  Version previous = log_.head();
  Version keep_from = log_.append(entry, delta, host_.log_entries_max(), transaction);
  transaction.collection_set({{missing_key(head), encode(now)}});
  ++object.submitted;
  undurable_.insert(entry.at);
  missing_[head] = now;
  for (auto& [osd, peer] : peers_)
    if (peer.complete || head <= peer.cursor) peer.missing[head] = now;
  Result<> stored = co_await commit(entry, previous, keep_from, std::move(transaction));
  if (halted()) co_return Errc::cancelled;
  ++object.completed;
  note_durable(entry.at);
  if (!stored) host_.store_failed(stored.error());
  CO_TRY(stored);
  if (!whole) co_return Result<>{};  // recovery removes what there is

  Transaction settled;
  settled.space = filestore::Space::reserve;
  state.info.prior = need.at;
  state.info.changed = entry.at;
  state.info.user_version = entry.user_version;
  std::map<std::string, Buffer> attributes{{info_attribute, encode(state.info)}};
  settled.set_attributes(head, std::move(attributes));
  for (const auto& [member, at] : family.members)
    if (member != head && !snaps.find(SnapId(member.snap))) settled.remove(member);
  std::map<std::string, Buffer> keys;
  for (std::string& key : family.snap_keys) keys.emplace(std::move(key), Buffer{});
  if (!keys.empty()) settled.collection_set(std::move(keys));
  settled.collection_remove({missing_key(head)});
  stored = co_await host_.store().submit(collection(), std::move(settled));
  if (halted()) co_return Errc::cancelled;
  if (!stored) host_.store_failed(stored.error());
  CO_TRY(stored);
  note_found(head);
  object.loaded = false;
  if (!revert && !(state.info.flags & ObjectInfo::whiteout)) {
    // Before all that clients want of it.
    auto op = internal_op(head);
    op->object.ops.emplace_back(OpCode::remove);
    (void)classify(op->object.ops, host_.classes(), op->nature);
    op->stage = "waiting for its object";
    in_flight_.emplace(op.get(), op);
    object.queue.push_front(std::move(op));
  }
  co_return Result<>{};
}

}  // namespace spirula::osd
