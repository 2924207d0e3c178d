#pragma once
#include <span>

#include "mon/command.h"

/// The tables that make up all_commands(), each in a file of its own.
namespace spirula::mon {

std::span<const CommandRow> cluster_commands();  ///< status, health, df, versions, log, monitors
std::span<const CommandRow> health_commands();
std::span<const CommandRow> osd_commands();         ///< the OSD map as it is
std::span<const CommandRow> osd_change_commands();  ///< what is done to it
std::span<const CommandRow> blocklist_commands();
std::span<const CommandRow> pool_commands();
std::span<const CommandRow> crush_commands();       ///< the hierarchy
std::span<const CommandRow> crush_rule_commands();  ///< device classes and rules
std::span<const CommandRow> crush_map_commands();   ///< the map as a whole
std::span<const CommandRow> pg_commands();
std::span<const CommandRow> pg_dump_commands();
std::span<const CommandRow> osd_usage_commands();  ///< OSDs by what they hold
std::span<const CommandRow> fs_commands();         ///< file systems and MDSs
std::span<const CommandRow> auth_commands();
std::span<const CommandRow> config_commands();   ///< config and config-key
std::span<const CommandRow> refused_commands();  ///< stock ones that answer why they are not here

}  // namespace spirula::mon
