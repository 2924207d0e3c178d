#pragma once
#include <map>
#include <string>
#include <vector>

#include "mon/command.h"

namespace spirula::mon {

enum class HealthStatus { ok, warning, error };
const char* name_of(HealthStatus status);  ///< "HEALTH_OK"

/// One thing that is wrong.
struct HealthCheck {
  HealthStatus severity = HealthStatus::warning;
  std::string summary;
  std::uint64_t count = 1;
  std::vector<std::string> detail;
};

struct Health {
  std::map<std::string, HealthCheck> checks;  ///< by code, "OSD_DOWN"
  HealthStatus status() const;
};

/// How the cluster is, from the maps and what daemons reported.
Health assess(const State& state, const Surroundings& around);
JsonObject dump(const Health& health, bool with_detail);
/// "HEALTH_WARN 1 osds down; ..." and, with detail, a paragraph for each.
std::string print(const Health& health, bool with_detail);

}  // namespace spirula::mon
