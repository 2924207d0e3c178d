#pragma once
#include <span>

#include "mon/command.h"

/// The tables that make up all_commands(), each in a file of its own.
namespace spirula::mon {

std::span<const CommandRow> cluster_commands();  ///< status, health, df, versions, log, monitors
std::span<const CommandRow> osd_commands();      ///< the OSD map and OSDs
std::span<const CommandRow> pool_commands();
std::span<const CommandRow> crush_commands();
std::span<const CommandRow> pg_commands();
std::span<const CommandRow> fs_commands();  ///< file systems and MDSs
std::span<const CommandRow> auth_commands();
std::span<const CommandRow> config_commands();  ///< config and config-key

/// "osd.3" or "3". Errc::invalid.
Result<std::int32_t> parse_osd(std::string_view text);
/// The pool an argument names, or why there is none.
struct PoolArgument {
  std::int64_t id = -1;
  const maps::Pool* pool = nullptr;
  std::string name;
  CommandResult problem;
  explicit operator bool() const { return pool; }
};
PoolArgument find_pool(const State& state, const std::string& name);

}  // namespace spirula::mon
