#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/metrics.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "maps/daemon_admin.h"
#include "maps/daemon_link.h"
#include "msg/caps_osd.h"
#include "msg/messenger.h"
#include "osd/map_history.h"
#include "osd/media_verifier.h"
#include "osd/pg_shard.h"

namespace spirula::osd {

/// What a client's connection may do, parsed once. Lives on the connection's shard.
struct ClientSession {
  PgShard* local = nullptr;  ///< the PGs on the connection's own shard
  msg::OsdCaps caps;
  bool from_mds = false;
  Epoch told;     ///< newest map this client has been told of by us
  Epoch checked;  ///< of the map that `blocklisted` was read from
  bool blocklisted = false;
  std::uint64_t waiting_bytes = 0;  ///< of requests that wait for a map
};

/// One object storage daemon. Lives on its home shard, which is the first of its shards; clients' messages are taken
/// where their connections live. stop() must complete before destruction.
///   load -> ask the monitor for maps -> boot -> (the map shows us up) serve -> mark down -> stop
class Osd : public msg::Dispatcher {
 public:
  /// `home` is the shard of the caller; more are made if the configuration says so. The store is open and its owner
  /// checked. The daemon owns it from now on.
  Osd(Shard& home, Config& config, std::unique_ptr<filestore::ObjectStore> store);
  ~Osd() override;

  /// Until we have logged in at a monitor and asked to be shown up. Errc::access, Errc::malformed (the store),
  /// Errc::invalid (another cluster's store) and errors of binding.
  Task<Result<>> start();
  /// Set when the daemon cannot go on: the store failed, or another daemon has our id.
  Event& failed() { return failed_; }
  Task<> stop();

  bool is_serving() const { return serving_; }
  Epoch epoch() const { return history_.epoch(); }
  msg::AddressVector address() const { return link_.messenger().address(); }

  /// What people may ask it.
  msg::DaemonCommands& commands() { return admin_.commands(); }

  // msg::Dispatcher, for clients
  void on_message(msg::ConnectionRef connection, msg::Message message) override;
  void on_accept(msg::ConnectionRef connection) override;
  void on_reset(msg::ConnectionRef connection) override;
  void on_connect_failed(msg::ConnectionRef connection, std::error_code why) override;

 private:
  // sessions.cc
  void on_request(const msg::ConnectionRef& connection, ClientSession& session, msg::Message& message);
  void on_backoff(const msg::ConnectionRef& connection, ClientSession& session, const msg::Message& message);
  void start(ClientOpRef op, ClientSession& session);
  std::int32_t check(ClientOp& op, const ClientSession& session, const maps::OsdMap& map, const maps::Pool& pool) const;
  void refuse(ClientOp& op, std::int32_t error, Epoch epoch);
  void share_map(const msg::ConnectionRef& connection, ClientSession& session, Epoch have);
  PgShard* shard_of(const Shard& shard) const;

  // osd.cc
  Task<Result<>> open_store();
  Result<> listen();
  void run_on(unsigned index, Task<> task);
  void take_maps(msg::OsdMapMessage message);
  Task<> work_on_maps();
  void publish(const MapViewRef& view);
  bool shown_up(const maps::OsdMap& map) const;
  Task<> note_mounted(Epoch epoch);
  Task<> keep_booted();
  void send_boot();
  Task<> tick();
  msg::OsdSpace space() const;
  msg::Metadata metadata() const;

  // peers.cc
  msg::ConnectionRef connect_to(std::int32_t osd, PgShard& from);
  void drop_links(PgShard& shard, const maps::OsdMap& map, bool serving);
  void on_peer_message(const msg::ConnectionRef& connection, msg::Message message);
  template <class M>
  void hand_over(const msg::ConnectionRef& connection, const msg::Message& message);
  Task<> watch_peers();
  void report_failure(std::int32_t osd, const maps::Osd& peer, Duration silence, bool refused, bool alive);
  void request_up_thru(Epoch wanted);
  void request_acting(PgId pg, std::vector<std::int32_t> acting);
  Task<> send_acting();
  static std::int32_t osd_number(const msg::ConnectionRef& connection);

  // admin.cc
  void add_admin_commands();
  std::string status() const;
  Task<std::string> operations_in_flight();
  Task<msg::DaemonCommands::Answer> pg_command(std::string name, msg::DaemonCommands::Arguments arguments);

  Shard& home_;
  Config& config_;
  std::unique_ptr<filestore::ObjectStore> store_;
  const std::int32_t whoami_;
  Metrics metrics_;
  OsdFigures figures_;
  Gauge& in_flight_;
  MapHistory history_;
  MediaVerifier verifier_;
  ShardCommons commons_;
  std::vector<std::unique_ptr<ShardThread>> threads_;
  std::vector<std::unique_ptr<PgShard>> shards_;  ///< the first one lives at home
  std::vector<std::unique_ptr<TaskGroup>> shard_tasks_;
  /// Sessions with other OSDs, by shard: each is touched on its own shard only.
  struct Link {
    msg::AddressVector address;
    msg::ConnectionRef connection;
  };
  std::vector<std::map<std::int32_t, Link>> links_;
  /// What we know of other OSDs' health: of one incarnation.
  struct PeerHealth {
    Epoch born;
    MonotonicTime heard{}, reported{};
    bool refused = false;
  };
  std::map<std::int32_t, PeerHealth> health_;
  Epoch up_thru_asked_;
  MonotonicTime up_thru_asked_at_{};
  std::map<PgId, std::vector<std::int32_t>> acting_wanted_;  ///< collected for one message
  maps::DaemonLink link_;
  maps::DaemonAdmin admin_;
  TaskGroup tasks_;
  Event failed_, maps_waiting_, boot_wanted_;
  std::deque<msg::OsdMapMessage> incoming_maps_;
  bool serving_ = false, stopping_ = false, complete_beacon_ = true;
  MonotonicTime last_boot_{};
  msg::AddressVector last_boot_address_;
  std::uint64_t write_size_max_ = limits::write_size_max;
  std::uint64_t data_stored_ = 0;
};

}  // namespace spirula::osd
