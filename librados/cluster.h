#pragma once
#include <memory>

#include "base/clock.h"
#include "base/config.h"
#include "base/result.h"
#include "base/shard.h"
#include "base/task.h"
#include "librados/objecter.h"
#include "maps/mon_client.h"
#include "maps/osd_map_feed.h"

namespace spirula::librados {

/// A client's whole line to a cluster: credentials, messenger, monitor client, osdmap and objecter. Lives on one shard;
/// stop() must complete before destruction.
class Cluster {
 public:
  /// From the configuration (mon_host, keyring, ...), until the monitors have let us in.
  /// Errc::not_found: no monitor is named, or there is no key for us. Errc::access: they refused us. Errc::timed_out.
  static Task<Result<std::unique_ptr<Cluster>>> connect(Shard& shard, Config& config, Duration timeout,
                                                        ObjecterOptions options = {});
  ~Cluster();
  Task<> stop();

  maps::MonClient& monitors();
  msg::Messenger& messenger();
  /// Who hears of connections to this kind of peer. Those to MDSs are lossless, as file-system clients have them.
  void route(msg::EntityType peer, msg::Dispatcher& to);
  maps::OsdMapFeed& maps();
  Objecter& objecter();
  /// Errc::not_found, on the newest map.
  Task<Result<std::int64_t>> find_pool(std::string name);

 private:
  Cluster();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spirula::librados
