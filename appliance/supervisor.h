#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/blocking.h"
#include "base/result.h"
#include "base/shard.h"
#include "base/task.h"

namespace spirula::appliance {

/// A daemon that is to run.
struct Service {
  std::string name;  ///< "osd.0"
  std::vector<std::string> argv;
};

struct ServiceStatus {
  bool running = false;
  unsigned restarts = 0;  ///< how often it died and was started again
};

/// Keeps daemons running: whoever dies is started again, after a pause that grows while it keeps dying. Lives on one
/// shard; close() must complete before destruction.
class Supervisor {
 public:
  virtual ~Supervisor() = default;
  /// From now on it runs. Nothing happens if it does already. Errc::io: it cannot be started.
  virtual Task<Result<>> start(Service service) = 0;
  /// SIGTERM, and SIGKILL to who does not leave; it is not started again.
  virtual Task<Result<>> stop(std::string name) = 0;
  virtual Task<std::map<std::string, ServiceStatus>> status() = 0;
  /// We end. Whether the daemons go with us is the kind's business: see below.
  virtual Task<> close() = 0;
  /// Whether the daemons go on without us.
  virtual bool outlives_us() const = 0;
};

/// Children of this process, which end with it, however it ends: for `make run` and tests. Their output goes to
/// `log_folder`/NAME.out.
std::unique_ptr<Supervisor> supervise_children(Shard& shard, std::string log_folder);
/// Units of systemd, spirula-NAME.service, rendered below /run; they go on when we end: for the image.
std::unique_ptr<Supervisor> supervise_with_systemd(BlockingPool& workers);

}  // namespace spirula::appliance
