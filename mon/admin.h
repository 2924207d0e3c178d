#pragma once
#include "mon/monitor.h"
#include "msg/daemon_commands.h"

namespace spirula::mon {

/// Everything `ceph daemon mon.ID` offers. `monitor` outlives `commands`.
void add_admin_commands(msg::DaemonCommands& commands, Monitor& monitor);

}  // namespace spirula::mon
