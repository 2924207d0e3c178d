#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "maps/mon_client.h"
#include "msg/cephx_server.h"
#include "msg/credentials.h"
#include "msg/daemon_messages.h"
#include "msg/messenger.h"
#include "msg/peer_router.h"

namespace spirula::maps {

/// What we call ourselves to whoever asks. Scripts parse the number; 16 says which protocol and commands to expect.
inline constexpr const char* version_text = "ceph version 16.2.15 (Spirula) pacific (stable)";
/// This machine's name, or nothing.
std::string hostname();
/// What every daemon tells the monitors about itself: hostname, version, kernel.
msg::Metadata daemon_metadata();

/// The line of an OSD or MDS to its cluster, wired together from the configuration (mon_host, keyring, public_addr and
/// the modes): the key it proves itself with, the tickets it admits others by, its messenger and its monitor client.
/// Lives on one shard; stop() must complete before destruction, if listen() was called.
///   CO_TRY(link.listen(plan, *this));
///   link.monitors().on<...>(...);
///   link.monitors().subscribe(...);
///   CO_TRY(co_await link.log_in());
class DaemonLink {
 public:
  struct Plan {
    msg::EntityName name;
    std::function<msg::Policy(msg::EntityType)> policy_for;
    std::vector<Shard*> shards;                             ///< of accepted connections
    std::optional<std::uint64_t> bytes_in_flight_max = {};  ///< the messenger's own if left out
  };

  DaemonLink(Shard& shard, Config& config) : shard_(shard), config_(config) {}

  /// Listens at public_addr; connections of daemons that have no route() go to `clients`. What fails has been logged.
  /// Errc::not_found: no key for us; Errc::invalid: the configuration; or of binding.
  Result<> listen(Plan plan, msg::Dispatcher& clients);
  /// Until a monitor has let us in, however long that takes. Errc::access: it refused us; Errc::cancelled.
  Task<Result<>> log_in();
  /// Idempotent.
  Task<> stop();

  bool is_listening() const { return monitors_.has_value(); }
  /// A session with a monitor stands.
  bool is_logged_in() const { return monitors_ && monitors_->is_ready(); }
  // Once it is listening.
  MonClient& monitors() { return *monitors_; }
  const MonClient& monitors() const { return *monitors_; }
  msg::Messenger& messenger() { return *messenger_; }
  const msg::Messenger& messenger() const { return *messenger_; }
  /// Connections with this kind of daemon go to `to` from now on. Before there are any.
  void route(msg::EntityType peer, msg::Dispatcher& to) { router_.route(peer, to); }

 private:
  Result<> prepare_admission(msg::EntityType own);

  Shard& shard_;
  Config& config_;
  msg::Credentials credentials_;
  std::unique_ptr<msg::AuthService> admission_;
  msg::CephxTicketService* tickets_ = nullptr;  ///< `admission_`, if it is by ticket
  msg::PeerRouter router_;
  std::unique_ptr<msg::Messenger> messenger_;
  std::optional<MonClient> monitors_;
};

}  // namespace spirula::maps
