#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/task.h"
#include "msg/types.h"

/// The seam between the handshake of a connection and an authentication method (cephx, none).
namespace spirula::msg {

/// CEPH_AUTH_*.
enum class AuthMethod : std::uint32_t { unknown = 0, none = 1, cephx = 2 };
/// CEPH_CON_MODE_*.
enum class ConnectionMode : std::uint32_t { unknown = 0, crc = 1, secure = 2 };

/// The modes that may be used with each kind of peer, preferred first.
struct ModeChoice {
  std::vector<ConnectionMode> monitors, daemons, clients;
  const std::vector<ConnectionMode>& with(EntityType peer) const {
    return peer == EntityType::mon || peer == EntityType::mgr ? monitors
           : peer == EntityType::client                       ? clients
                                                              : daemons;
  }
  static ModeChoice all(std::vector<ConnectionMode> modes) { return {modes, modes, modes}; }
};

/// Who a peer proved to be. `caps` is the capability string for our kind of service ("allow rw pool=x"), or all of
/// them when the monitor itself looked the key up.
struct Identity {
  KeyName name;
  std::uint64_t global_id = 0;
  bool authenticated = false;
  std::string caps;
};

/// What the monitor keeps of a login for as long as the session stands, to answer MAuth messages (ticket renewal).
class AuthSession {
 public:
  virtual ~AuthSession() = default;
  /// MAuth's payload; the answer is MAuthReply's. An error goes into MAuthReply's result with an empty payload.
  virtual Result<Buffer> handle(const Buffer& payload) = 0;
};

/// What an exchange yields in the end. Both sides derive the same secrets: the session key signs the handshake
/// transcript (AUTH_SIGNATURE), the connection secret (64 bytes) keys SECURE mode.
struct AuthOutcome {
  Identity identity;
  ConnectionMode mode = ConnectionMode::crc;
  Buffer session_key;
  Buffer connection_secret;
  std::shared_ptr<AuthSession> session;  ///< the monitor's side only
};

/// One handshake, accepting side. Decides without waiting: what it needs is in memory.
class AuthAcceptance {
 public:
  virtual ~AuthAcceptance() = default;
  struct Step {
    bool done = false;
    Buffer reply;         ///< AUTH_REPLY_MORE's payload, or AUTH_DONE's when done
    AuthOutcome outcome;  ///< when done
  };
  /// The payload of AUTH_REQUEST, then of each AUTH_REQUEST_MORE. An error refuses the peer:
  /// Errc::unsupported becomes AUTH_BAD_METHOD with our methods, Errc::access the same with EACCES.
  virtual Result<Step> step(const Buffer& payload) = 0;
  /// Of a step that failed: who claims to be whom, and why we do not believe it. Empty: the error says it all.
  virtual std::string problem() const { return {}; }
};

/// Admits peers: the monitor against its key database, other daemons against tickets.
class AuthService {
 public:
  virtual ~AuthService() = default;
  virtual std::vector<AuthMethod> methods() const = 0;
  virtual std::vector<ConnectionMode> modes(EntityType peer) const = 0;
  virtual Result<std::unique_ptr<AuthAcceptance>> accept(AuthMethod method, EntityType peer, ConnectionMode mode) = 0;
};

/// One handshake, connecting side.
class AuthAttempt {
 public:
  virtual ~AuthAttempt() = default;
  virtual AuthMethod method() const = 0;
  virtual std::vector<ConnectionMode> modes() const = 0;  ///< preferred first
  virtual Buffer request() = 0;                           ///< AUTH_REQUEST's payload
  virtual Result<Buffer> more(const Buffer& reply) = 0;   ///< answers AUTH_REPLY_MORE
  /// AUTH_DONE: checks the peer's proof. Errc::access if it has none.
  virtual Result<AuthOutcome> done(std::uint64_t global_id, ConnectionMode mode, const Buffer& payload) = 0;
};

/// Proves who we are: with our key to a monitor, with a ticket to every other daemon.
class AuthClient {
 public:
  virtual ~AuthClient() = default;
  /// Errc::again when a ticket for that kind of peer is not here yet (connect() tries again).
  virtual Result<std::unique_ptr<AuthAttempt>> attempt(EntityType peer) = 0;
  /// Such a peer did not accept our proof: what it rests on must be fetched anew.
  virtual void refused(EntityType /*peer*/) {}
};

}  // namespace spirula::msg
