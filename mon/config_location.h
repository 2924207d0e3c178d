#pragma once
#include <string>

#include "mon/config_service.h"
#include "mon/state.h"

namespace spirula::mon {

/// Where an entity ("osd.3", "client.x") is: an OSD where CRUSH has it, everybody else in the bucket that is named as
/// the host it runs on (Ceph: ConfigMonitor::refresh_config).
ConfigLocation locate(const State& state, const std::string& entity, const std::string& hostname);
/// What the central configuration says to an entity at its place.
ConfigService::Section config_for(const State& state, const std::string& entity, const std::string& hostname);

}  // namespace spirula::mon
