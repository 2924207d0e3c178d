#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crush/edit.h"
#include "mon/command.h"

/// What arguments of commands mean: OSDs, pools, placement groups, places in CRUSH. Each reader answers what was named,
/// or in `problem` why not, in the words that the user shall read.
namespace spirula::mon {

/// "osd.3" or "3". Errc::invalid.
Result<std::int32_t> parse_osd(std::string_view text);

/// One OSD, in the argument `id`; it must exist.
struct OsdArgument {
  std::int32_t id = -1;
  const maps::Osd* osd = nullptr;
  CommandResult problem;
  explicit operator bool() const { return osd; }
};
OsdArgument find_osd(const CommandCall& call, const State& state);
/// An OSD of the map that exists, or null.
const maps::Osd* existing_osd(const maps::OsdMap& map, std::int32_t id);

/// "0 osd.1 all any *", or hosts and other buckets, in the argument `name`. `everything`: it was one of all, any, *.
struct OsdList {
  std::vector<std::int32_t> ids;
  bool everything = false;
  std::optional<CommandResult> problem;
};
OsdList find_osds(const CommandCall& call, const State& state, std::string_view name);

struct PoolArgument {
  std::int64_t id = -1;
  const maps::Pool* pool = nullptr;
  std::string name;
  CommandResult problem;
  explicit operator bool() const { return pool; }
};
PoolArgument find_pool(const State& state, const std::string& name);

/// A placement group that exists, in the argument `pgid`.
struct PgArgument {
  msg::PgId pg;
  const maps::Pool* pool = nullptr;
  CommandResult problem;
  explicit operator bool() const { return pool; }
};
PgArgument find_pg(const CommandCall& call, const State& state);

/// "root=default host=a", in the argument `args`.
struct PlaceArgument {
  crush::Location location;
  std::optional<CommandResult> problem;
};
PlaceArgument find_place(const CommandCall& call);
std::string print_location(const crush::Location& location);  ///< "{host=a,root=default}"

/// 1.5 as CRUSH counts, in the argument `weight`.
std::optional<crush::Weight> find_weight(const CommandCall& call);

/// Whether the user has said --yes-i-really-mean-it (or --force).
bool is_sure(const CommandCall& call);
/// What a change says once it is drafted.
CommandResult outcome(const Result<>& done, std::string text);
JsonArray numbers(const std::vector<std::int32_t>& ids);

}  // namespace spirula::mon
