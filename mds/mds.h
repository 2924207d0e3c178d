#pragma once
#include <memory>
#include <optional>

#include "base/config.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "librados/objecter.h"
#include "maps/daemon_admin.h"
#include "maps/daemon_link.h"
#include "maps/fs_map.h"
#include "maps/osd_map_feed.h"
#include "mds/rados_store.h"
#include "mds/server.h"

namespace spirula::mds {

/// Options of `cmds`.
std::span<const Option> options();

/// The daemon: its line to the cluster, its place in the file system map, and the Server once it has one. Lives on one
/// shard; stop() must complete before destruction.
class Mds : public msg::Dispatcher {
 public:
  Mds(Shard& shard, Config& config);
  ~Mds() override;

  /// Until the monitors have let us in; it then goes on by itself.
  Task<Result<>> start();
  /// `clean`: what is in memory goes to the journal first, if that works at once.
  Task<> stop(bool clean);
  /// Set when this process has to end: it was replaced, or something broke. Another one may start at once.
  Event& over() { return over_; }

  // msg::Dispatcher, for clients
  void on_message(msg::ConnectionRef connection, msg::Message message) override;
  void on_reset(msg::ConnectionRef connection) override;

 private:
  Result<> listen();
  Task<> live();
  Task<Result<>> serve();
  Task<Result<>> step(msg::MdsState wanted);
  Task<> beacon_loop();
  void send_beacon();
  void take_map(const maps::FsMap& map);
  void take_ack(const msg::MdsBeaconAck& ack);
  bool monitor_is_silent() const;
  void end(std::string why);
  Task<Result<msg::Epoch>> blocklist(msg::AddressVector addresses);
  void add_admin_commands();
  std::string status_json() const;
  std::string perf_json() const;

  Shard& shard_;
  Config& config_;
  maps::DaemonLink link_;
  std::optional<maps::OsdMapFeed> osd_maps_;
  std::optional<librados::Objecter> objecter_;
  std::unique_ptr<RadosStore> store_;
  std::unique_ptr<Server> server_;
  maps::DaemonAdmin admin_;
  TaskGroup tasks_;
  Event over_, map_changed_, beacon_now_;

  msg::MdsState state_ = msg::MdsState::boot;   ///< what the map shows of us
  msg::MdsState wanted_ = msg::MdsState::boot;  ///< what we ask for
  bool known_ = false;                          ///< the map has shown us
  maps::MdsMap map_;                            ///< of the file system we serve
  msg::Epoch map_epoch_;
  std::uint64_t beacon_sequence_ = 0;
  MonotonicTime last_ack_{};
  std::vector<std::pair<msg::ConnectionRef, msg::Message>> held_back_;  ///< come while the monitor was silent
};

}  // namespace spirula::mds
