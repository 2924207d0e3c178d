#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "msg/auth.h"
#include "msg/cephx_crypto.h"

/// The connecting sides of authentication. Sources: Ceph src/auth/cephx/CephxClientHandler.cc; Linux net/ceph/auth_x.c.
namespace spirula::msg {

/// Logs in to monitors with a key, collects tickets, and proves with them to OSDs and MDSs who we are. Only a mon
/// client keeps it fresh: after on_connect of its session, and whenever needs_renewal(), it sends renewal_request() as
/// MAuth and gives the MAuthReply's payload to handle_reply(). Safe on several shards.
class CephxClient : public AuthClient {
 public:
  /// `services`: a mask of EntityType, the tickets wanted (mon | osd | mds ...). `rotating`: our own kind if we are a
  /// service that admits others by ticket, else none.
  CephxClient(KeyName name, CryptoKey key, std::uint32_t services, EntityType rotating, Random& random, Clock& clock);

  /// Before the first connection. By default monitors are asked for encryption first and others for none.
  void set_modes(ModeChoice modes) { modes_ = std::move(modes); }

  Result<std::unique_ptr<AuthAttempt>> attempt(EntityType peer) override;
  void refused(EntityType peer) override;

  /// Whether a ticket is missing or three quarters of its life are over, or rotating secrets are due.
  bool needs_renewal() const;
  /// The next MAuth payload, or nothing when all is fresh. One at a time: ask again after its answer.
  std::optional<Buffer> renewal_request();
  /// Errc::access, Errc::malformed: log in again (a new session to a monitor).
  Result<> handle_reply(std::int32_t result, const Buffer& payload);
  /// Secrets that came since the last call, for CephxTicketService::set_secrets().
  std::optional<RotatingSecrets> take_rotating_secrets();

  bool has_ticket(EntityType service) const;
  /// What the monitor calls us; 0 before the first login. It stays ours over later logins.
  std::uint64_t global_id() const;

 private:
  friend class CephxLogin;
  friend class CephxAuthorizer;
  struct Ticket {
    CryptoKey session_key;
    std::uint64_t secret_id = 0;
    Buffer blob;
    MonotonicTime renew_after, expires;
  };
  Buffer login_request(std::uint64_t client_challenge);  // mutex_ held, as in the ones below
  Result<> read_tickets(const CryptoKey& key, Decoder& decoder);
  std::uint32_t services_due() const;
  bool is_fresh(EntityType service) const;
  Result<Buffer> authorizer_base(EntityType service) const;

  const KeyName name_;
  bool rotating_is_due() const;  ///< with mutex_ held

  const CryptoKey key_;
  const std::uint32_t services_;
  const EntityType rotating_;
  Random& random_;
  Clock& clock_;
  ModeChoice modes_{{ConnectionMode::secure, ConnectionMode::crc},
                    {ConnectionMode::crc, ConnectionMode::secure},
                    {ConnectionMode::crc, ConnectionMode::secure}};

  mutable std::mutex mutex_;
  std::uint64_t global_id_ = 0;
  std::uint64_t server_challenge_ = 0;  ///< of the latest monitor session; renewing the login answers it again
  std::map<EntityType, Ticket> tickets_;
  std::optional<RotatingSecrets> rotating_new_;
  MonotonicTime rotating_due_{};  ///< asked for again by then, and not before rotating_again_
  MonotonicTime rotating_again_{};
  WallTime rotating_expires_ = WallTime::max();  ///< of the key in use; a clock that jumps may be past it at any moment
  MonotonicTime services_asked_again_{};         ///< tickets the monitor did not grant are not asked for before
};

/// Says a name and proves nothing: auth none.
class NoneClient : public AuthClient {
 public:
  explicit NoneClient(KeyName name) : name_(std::move(name)) {}
  Result<std::unique_ptr<AuthAttempt>> attempt(EntityType peer) override;
  std::uint64_t global_id() const;

 private:
  friend class NoneAttempt;
  const KeyName name_;
  mutable std::mutex mutex_;
  std::uint64_t global_id_ = 0;
};

}  // namespace spirula::msg
