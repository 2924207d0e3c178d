#include "mon/command_tables.h"

namespace spirula::mon {

const CommandTable& all_commands() {
  static const CommandTable table({cluster_commands(), health_commands(), osd_commands(), osd_change_commands(),
                                   blocklist_commands(), pool_commands(), crush_commands(), crush_rule_commands(),
                                   crush_map_commands(), pg_commands(), pg_dump_commands(), osd_usage_commands(),
                                   fs_commands(), auth_commands(), config_commands(), refused_commands()});
  return table;
}

const CommandTable& tell_commands() {
  static const CommandTable table({tell_rows()});
  return table;
}

}  // namespace spirula::mon
