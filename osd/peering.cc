#include "osd/peering.h"

#include <fmt/format.h>

#include <algorithm>

namespace spirula::osd {

namespace {
/// Intervals before the last activation serve only the search for unfound objects: of those, this many are kept.
constexpr std::size_t old_intervals_max = 64;

bool contains(const std::vector<std::int32_t>& all, std::int32_t osd) {
  return std::ranges::find(all, osd) != all.end();
}
}  // namespace

Membership membership(const maps::OsdMap& map, PgId pg) {
  Membership members;
  maps::Placement placement = map.place(pg);
  members.up = placement.up;
  members.acting = placement.acting;
  members.primary = placement.acting_primary;
  for (const auto* set : {&members.acting, &members.up})
    for (std::int32_t osd : *set) members.born.push_back(map.osd(osd) ? map.osd(osd)->info.up_from : Epoch{});
  if (const maps::Pool* pool = map.pool(pg.pool)) {
    members.size = pool->size;
    members.min_size = pool->min_size;
  }
  return members;
}

bool advance(PgInfo& info, const maps::OsdMap& map, PgId pg, bool follows) {
  Membership now = membership(map, pg);
  bool first = info.interval_since == Epoch{};
  if (!first && follows && now == info.members) return false;
  if (!first) {
    const Membership& then = info.members;
    Interval past;
    past.first = info.interval_since;
    past.last = Epoch(map.epoch.value - 1);
    past.acting = then.acting;
    const maps::Osd* primary = map.osd(then.primary);
    // Before it writes, a primary has the monitor record that it was up in this interval; with one copy it need not.
    past.maybe_wrote = then.primary >= 0 && then.acting.size() >= then.min_size &&
                       (then.size == 1 || !primary || !primary->exists() || primary->info.up_thru >= past.first);
    if (!follows) past.unknown = past.maybe_wrote = true;
    info.past.push_back(std::move(past));
    while (info.past.size() > old_intervals_max && info.past.front().last < info.last_started)
      info.past.erase(info.past.begin());
  }
  info.interval_since = map.epoch;
  info.up = now.up;
  info.acting = now.acting;
  info.members = std::move(now);
  return true;
}

std::set<std::int32_t> whom_to_ask(const PgInfo& info, const maps::OsdMap& map, std::int32_t whoami) {
  std::set<std::int32_t> all(info.up.begin(), info.up.end());
  all.insert(info.acting.begin(), info.acting.end());
  for (const Interval& past : info.past)
    if (past.maybe_wrote)
      for (std::int32_t osd : past.acting)
        if (map.is_up(osd)) all.insert(osd);
  // Of what was missed everybody might know.
  if (std::ranges::any_of(info.past, &Interval::unknown))
    for (std::int32_t osd = 0; osd < static_cast<std::int32_t>(map.osds.size()); ++osd)
      if (map.is_up(osd)) all.insert(osd);
  all.erase(whoami);
  return all;
}

PeeringChoice choose(const PgInfo& info, const std::map<std::int32_t, CopyInfo>& copies, const maps::OsdMap& map,
                     std::int32_t whoami) {
  PeeringChoice choice;
  Epoch started;
  for (const auto& [osd, copy] : copies)
    if (copy.exists) started = std::max(started, copy.info.last_started);
  auto whole = [&](std::int32_t osd) {
    auto found = copies.find(osd);
    return found != copies.end() && found->second.exists && found->second.info.complete;
  };

  // Of every interval that may have written since, one who was there with a whole copy has all that was acknowledged.
  for (const Interval& past : info.past) {
    if (!past.maybe_wrote || past.last < started) continue;
    if (past.unknown) {
      for (std::int32_t osd = 0; osd < static_cast<std::int32_t>(map.osds.size()); ++osd) {
        const maps::Osd* each = map.osd(osd);
        if (!each->exists() || copies.contains(osd) || each->info.lost_at > past.last) continue;
        choice.kind = PeeringChoice::Kind::down;
        choice.why = fmt::format("maps {} to {} were missed, and osd.{} is not here to tell", past.first.value,
                                 past.last.value, osd);
        return choice;
      }
      continue;
    }
    bool known = std::ranges::any_of(past.acting, [&](std::int32_t osd) {
      const maps::Osd* member = map.osd(osd);
      return whole(osd) || (member && member->info.lost_at > past.last);
    });
    if (known) continue;
    choice.kind = PeeringChoice::Kind::down;
    std::string names;
    for (std::int32_t osd : past.acting) names += fmt::format(" osd.{}", osd);
    choice.why = fmt::format("epochs {} to {} may have been written by{}, of which none is here with a whole copy",
                             past.first.value, past.last.value, names);
    return choice;
  }

  // The newest log of the last interval that was activated. On a tie ourselves, then who is acting already.
  auto rank = [&](std::int32_t osd) {
    if (osd == whoami) return 2;
    return contains(info.acting, osd) ? 1 : 0;
  };
  for (const auto& [osd, copy] : copies) {
    if (!whole(osd) || copy.info.last_started != started) continue;
    if (choice.authority < 0) {
      choice.authority = osd;
      continue;
    }
    const CopyInfo& best = copies.at(choice.authority);
    if (std::pair(copy.last_update, rank(osd)) > std::pair(best.last_update, rank(choice.authority)))
      choice.authority = osd;
  }
  if (choice.authority < 0) {
    choice.kind = PeeringChoice::Kind::incomplete;
    choice.why = fmt::format("nobody has a whole copy of epoch {}", started.value);
    return choice;
  }

  // Who can go on from that log without being filled anew.
  Version tail = copies.at(choice.authority).log_tail;
  auto able = [&](std::int32_t osd) { return whole(osd) && copies.at(osd).last_update >= tail; };
  // While CRUSH's own choice has to be filled, whoever has a copy serves; once it is filled, nobody else is wanted.
  std::size_t count = std::max({std::size_t{1}, info.up.size(), info.acting.size()});
  if (!std::ranges::all_of(info.up, able)) count = std::max<std::size_t>(count, info.members.size);
  std::vector<std::int32_t> wanted;
  auto want = [&](std::int32_t osd) {
    if (able(osd) && !contains(wanted, osd) && wanted.size() < count) wanted.push_back(osd);
  };
  want(whoami);
  for (std::int32_t osd : info.acting) want(osd);
  for (std::int32_t osd : info.up) want(osd);
  want(choice.authority);
  for (const auto& [osd, copy] : copies) want(osd);
  auto able_now = static_cast<std::size_t>(std::ranges::count_if(info.acting, able));
  if (!able(whoami) || able_now < wanted.size()) {
    choice.kind = PeeringChoice::Kind::change_set;
    choice.acting = std::move(wanted);
    return choice;
  }
  choice.kind = PeeringChoice::Kind::activate;
  return choice;
}

ObjectId head_of(ObjectId object) {
  object.snap = msg::snap_head.value;
  return object;
}

LogMerge merge_logs(const std::vector<PgLogEntry>& ours, Version our_tail, const std::vector<PgLogEntry>& theirs,
                    Version since) {
  LogMerge merge;
  std::map<Version, const PgLogEntry*> known;
  for (const PgLogEntry& entry : theirs) known.emplace(entry.at, &entry);
  // The last version that both have; what lies up to `since` is agreed upon if we reach it.
  Version common = our_tail;
  for (const PgLogEntry& entry : ours)
    if (entry.at <= since || known.contains(entry.at)) common = entry.at;
  Version our_head = ours.empty() ? our_tail : ours.back().at;
  if (our_head < since) {
    merge.possible = false;
    return merge;
  }
  for (const PgLogEntry& entry : ours) {
    if (entry.at <= common) continue;
    // It never happened: what the object was before its first such change is what it has to be again.
    merge.drop.push_back(entry.at);
    auto before = known.find(entry.prior);
    bool absent = entry.prior == Version{} || (before != known.end() && !before->second->stored);
    merge.missing.try_emplace(head_of(entry.object), Need{entry.prior, absent});
  }
  for (const PgLogEntry& entry : theirs) {
    if (entry.at <= common) continue;
    merge.add.push_back(entry);
    merge.missing.insert_or_assign(head_of(entry.object), Need{entry.at, !entry.stored});
  }
  return merge;
}

}  // namespace spirula::osd
