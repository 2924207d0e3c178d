#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "msg/auth.h"
#include "msg/cephx_crypto.h"

/// The accepting sides of authentication: the monitor, which knows keys, and the services, which know the secrets
/// that seal tickets. Sources: Ceph doc/dev/cephx_protocol.rst, src/auth/cephx/CephxServiceHandler.cc,
/// src/mon/AuthMonitor.cc, src/auth/none/.
namespace spirula::msg {

/// What a login needs of the monitor's state. cmon implements it; called on the shards of connections.
class KeyServer {
 public:
  virtual ~KeyServer() = default;
  struct Entry {
    CryptoKey key;
    std::map<std::string, std::string> caps;  ///< by service: "mon", "osd", "mds", "mgr"
  };
  virtual std::optional<Entry> find(const KeyName& name) const = 0;
  /// Never the same one twice, over restarts too.
  virtual std::uint64_t allocate_global_id() = 0;
  /// The secrets of a kind of service: mon, osd, mds, mgr, and auth for the tickets of the monitor itself.
  virtual RotatingSecrets secrets(EntityType service) const = 0;
  virtual Time now() const = 0;
};

/// How long tickets live (Ceph: auth_mon_ticket_ttl, auth_service_ticket_ttl).
struct TicketLifetimes {
  std::chrono::seconds login = std::chrono::hours(72);
  std::chrono::seconds service = std::chrono::hours(1);
};

/// Admits whoever knows a key: the monitor's AuthService. With it a login gets tickets for the services it asked for.
/// Identity::caps is the entity's "mon" capability string. A login without one is refused, as Ceph does.
class CephxMonitorService : public AuthService {
 public:
  CephxMonitorService(KeyServer& keys, Random& random, TicketLifetimes lifetimes = {})
      : keys_(keys), random_(random), lifetimes_(lifetimes) {}
  std::vector<AuthMethod> methods() const override { return {AuthMethod::cephx}; }
  std::vector<ConnectionMode> modes(EntityType peer) const override { return modes_.with(peer); }
  /// Before the first connection. Both modes, unless something else is said.
  void set_modes(ModeChoice modes) { modes_ = std::move(modes); }
  Result<std::unique_ptr<AuthAcceptance>> accept(AuthMethod method, EntityType peer, ConnectionMode mode) override;

 private:
  KeyServer& keys_;
  Random& random_;
  TicketLifetimes lifetimes_;
  ModeChoice modes_ = ModeChoice::all({ConnectionMode::secure, ConnectionMode::crc});
};

/// Admits whoever has a ticket for our kind of service: the AuthService of OSDs and MDSs. Identity::caps is the
/// capability string the monitor sealed into the ticket. Safe on several shards.
class CephxTicketService : public AuthService {
 public:
  CephxTicketService(EntityType service, Random& random, std::function<Time()> now)
      : service_(service), random_(random), now_(std::move(now)) {}
  /// The newest rotating secrets (CephxClient::take_rotating_secrets()). Until the first, nobody is admitted.
  void set_secrets(RotatingSecrets secrets);

  std::vector<AuthMethod> methods() const override { return {AuthMethod::cephx}; }
  std::vector<ConnectionMode> modes(EntityType peer) const override { return modes_.with(peer); }
  /// Before the first connection. Both modes, unless something else is said.
  void set_modes(ModeChoice modes) { modes_ = std::move(modes); }
  Result<std::unique_ptr<AuthAcceptance>> accept(AuthMethod method, EntityType peer, ConnectionMode mode) override;

  /// The key that sealed a ticket. Errc::access if it is none of ours.
  Result<CryptoKey> secret(EntityType service, std::uint64_t id) const;

 private:
  EntityType service_;
  Random& random_;
  std::function<Time()> now_;
  ModeChoice modes_ = ModeChoice::all({ConnectionMode::crc, ConnectionMode::secure});
  mutable std::mutex mutex_;
  RotatingSecrets secrets_;
};

/// Takes everybody at their word, with every capability: auth none, for the monitor and for services alike.
/// A peer without a global id gets one from `allocate_global_id`.
class NoneService : public AuthService {
 public:
  explicit NoneService(std::function<std::uint64_t()> allocate_global_id)
      : allocate_global_id_(std::move(allocate_global_id)) {}
  std::vector<AuthMethod> methods() const override { return {AuthMethod::none}; }
  std::vector<ConnectionMode> modes(EntityType) const override { return {ConnectionMode::crc}; }
  Result<std::unique_ptr<AuthAcceptance>> accept(AuthMethod method, EntityType peer, ConnectionMode mode) override;

 private:
  std::function<std::uint64_t()> allocate_global_id_;
};

}  // namespace spirula::msg
