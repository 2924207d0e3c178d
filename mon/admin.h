#pragma once
#include <memory>

#include "mon/monitor.h"
#include "msg/admin_socket.h"

namespace spirula::mon {

/// The admin socket with everything `ceph daemon mon.ID` offers; nullptr if the configuration wants none.
Result<std::unique_ptr<msg::AdminSocket>> open_admin_socket(Shard& shard, const Config& config, Monitor& monitor);

}  // namespace spirula::mon
