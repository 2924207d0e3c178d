#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "maps/osd_map.h"
#include "osd/pg_info.h"

/// The decisions of peering, as plain functions. PlacementGroup::peer() carries them out.
namespace spirula::osd {

using OsdMapRef = std::shared_ptr<const maps::OsdMap>;

Membership membership(const maps::OsdMap& map, PgId pg);

/// Takes the next map into account: true if a new interval begins with it, and then the old one is in `info.past`.
/// `follows`: `map` is the epoch after the last one taken.
bool advance(PgInfo& info, const maps::OsdMap& map, PgId pg, bool follows);

/// Whom the primary has to ask before it knows what has been written: everybody up who was acting in an interval that
/// may have written since the PG was last activated, and everybody of now. Without ourselves.
std::set<std::int32_t> whom_to_ask(const PgInfo& info, const maps::OsdMap& map, std::int32_t whoami);

/// What peering comes to.
struct PeeringChoice {
  enum class Kind {
    activate,    ///< on the log of `authority`
    change_set,  ///< ask the monitor for `acting` instead
    down,        ///< somebody who may have the newest writes is not there
    incomplete,  ///< nobody who is there has a whole copy
  };
  Kind kind = Kind::incomplete;
  std::int32_t authority = -1;
  std::vector<std::int32_t> acting;
  std::string why;  ///< of down and incomplete, for people
};
/// `copies`: what everybody who was asked answered, ourselves included.
PeeringChoice choose(const PgInfo& info, const std::map<std::int32_t, CopyInfo>& copies, const maps::OsdMap& map,
                     std::int32_t whoami);

/// How a copy's log becomes the authoritative one.
struct LogMerge {
  bool possible = true;         ///< false: the logs do not touch; the copy has to be filled anew
  std::vector<Version> drop;    ///< our entries that nobody else has: they never happened
  std::vector<PgLogEntry> add;  ///< entries we lack
  Missing missing;              ///< objects whose content here is not what the log now says
};
/// `theirs` holds every entry of the authoritative log after `since`. `ours` is our whole log, `tail` what lies before.
LogMerge merge_logs(const std::vector<PgLogEntry>& ours, Version our_tail, const std::vector<PgLogEntry>& theirs,
                    Version since);

ObjectId head_of(ObjectId object);

}  // namespace spirula::osd
