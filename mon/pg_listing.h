#pragma once
#include <functional>
#include <string>
#include <vector>

#include "mon/command.h"
#include "msg/daemon_messages.h"

/// Placement groups as `pg ls`, `pg dump` and their kin list them; all from what OSDs reported.
namespace spirula::mon {

/// A PG with whatever is known of it: where the map puts it, if its primary has not reported.
struct PgLine {
  msg::PgId pg;
  std::uint64_t state = 0;  ///< msg::pg_state; 0 is unknown
  msg::PgReport report;
  std::size_t size = 1;  ///< copies that the pool asks for
};

/// Those of all pools that are wanted, by pool and number.
std::vector<PgLine> list_pgs(const CommandCall& call, const std::function<bool(const PgLine&)>& wanted);

JsonObject dump(const msg::PgUsage& sum, std::uint64_t copies);
JsonObject dump(const PgLine& line);
JsonObject dump_briefly(const PgLine& line);  ///< who serves a PG, and how: `pgs_brief`
std::string print(const std::vector<PgLine>& lines);
std::string print_briefly(const std::vector<PgLine>& lines);

}  // namespace spirula::mon
