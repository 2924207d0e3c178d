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
  bool muted = false;
};

struct Health {
  std::map<std::string, HealthCheck> checks;  ///< by code, "OSD_DOWN"
  std::map<std::string, HealthMute> mutes;    ///< those of checks that are not there, too
  /// The worst of what is not muted.
  HealthStatus status() const;
  std::vector<std::string> muted_codes() const;  ///< of checks that are there
};

/// How the cluster is, from the maps and what daemons reported.
Health assess(const State& state, const Surroundings& around);
JsonObject dump(const Health& health, bool with_detail);
/// "HEALTH_WARN 1 osds down; ..." and, with detail, a paragraph for each.
std::string print(const Health& health, bool with_detail, msg::Time now);
/// Mutes that are over, with the reason: their time has passed, or, unless sticky, the check is gone or has got worse.
std::map<std::string, std::string> mutes_over(const Health& health, msg::Time now);

}  // namespace spirula::mon
