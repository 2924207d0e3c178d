#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/shard.h"
#include "msg/auth.h"
#include "msg/message.h"
#include "msg/types.h"

namespace spirula::msg {

class Connection;
using ConnectionRef = std::shared_ptr<Connection>;

/// A session with one peer over msgr2.1. Lives on one shard. Messages arrive in the order they were sent.
/// A lossy connection ends with its stream. A lossless one survives it: it reconnects (or waits for the peer to),
/// resends what was not acknowledged, and delivers every message exactly once and in order.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;
  virtual Shard& shard() const = 0;
  /// Queues a message. From any shard. Dropped silently once the connection is closed, as on a wire that was cut.
  virtual void send(Message message) = 0;
  /// Ends it from our side, for good and at once; no on_reset() follows. From its own shard.
  virtual void close() = 0;
  virtual bool closed() const = 0;

  virtual EntityName peer_name() const = 0;  ///< client.4123; what CLIENT_IDENT or SERVER_IDENT said
  virtual AddressVector peer_address() const = 0;
  virtual std::uint64_t peer_features() const = 0;
  /// Who authentication says the peer is, and what it may do. Set once the session stands.
  virtual const Identity& identity() const = 0;
  /// The monitor's end of the peer's login, which answers its MAuth messages; nullptr elsewhere.
  virtual AuthSession* auth_session() const = 0;
  virtual bool is_lossy() const = 0;
  virtual bool is_secure() const = 0;
  std::string describe() const;  ///< "client.4123 v2:10.0.0.1:0/77"

  /// Whatever the dispatcher keeps for this session.
  std::shared_ptr<void> context;
};

/// What a daemon does with its connections. Called on each connection's own shard; must not block.
class Dispatcher {
 public:
  virtual ~Dispatcher() = default;
  virtual void on_message(ConnectionRef connection, Message message) = 0;
  /// A peer has authenticated and its session stands (accepting side) / our own connect has (connecting side).
  virtual void on_accept(ConnectionRef) {}
  virtual void on_connect(ConnectionRef) {}
  /// It is gone for good (closed() is true): a lossy stream broke, the peer refused us, or a lossless peer came back
  /// having forgotten the session (then a new Connection follows: on_accept() if the peer makes it, connect() if we
  /// do).
  virtual void on_reset(ConnectionRef) {}
  /// One attempt to reach the peer failed (Errc::refused: nobody listens; Errc::again: no ticket yet). It is tried
  /// again with growing pauses until somebody calls close(); only Errc::access ends it, and on_reset() follows.
  virtual void on_connect_failed(ConnectionRef, std::error_code) {}
};

/// Which behaviour the sessions with a kind of peer have (Ceph: Messenger::Policy).
struct Policy {
  bool lossy = true;
  /// An accepted connection whose peer went away is kept for a reconnect this long.
  Duration session_idle_max = std::chrono::minutes(15);
  std::uint64_t features_required = 0;
};

struct MessengerOptions {
  EntityName name;                                ///< who we say we are
  std::function<Policy(EntityType)> policy_for;   ///< by kind of peer
  AuthService* auth_service = nullptr;            ///< admits whoever connects to us; nullptr for pure clients
  AuthClient* auth_client = nullptr;              ///< proves who we are when we connect; nullptr if we never do
  std::uint64_t bytes_in_flight_max = 256 << 20;  ///< of received messages still being worked on, a messenger
  std::uint64_t message_bytes_max = 128 << 20;    ///< a larger frame closes its connection
  unsigned connections_max = 4096;
  unsigned handshakes_max = 512;  ///< accepted connections that have not proved who they are yet
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration keepalive_interval = std::chrono::seconds(10);  ///< of connections we made
  Duration idle_max = std::chrono::minutes(15);            ///< a stream without a byte for so long is closed
  std::optional<std::uint32_t> nonce;                      ///< of our address: 0 for a monitor, random if left out
  /// Accepted connections and their shards: round robin over these; connects live on the shard of the caller.
  std::vector<Shard*> shards;
};

/// Listens and connects. Owned by the daemon; stop() must complete before destruction.
class Messenger {
 public:
  virtual ~Messenger() = default;
  static std::unique_ptr<Messenger> create(Shard& home, MessengerOptions options, Dispatcher& dispatcher);

  /// Accepts connections at `at` from now on. May be called more than once.
  virtual Result<> bind(Endpoint at) = 0;
  /// Where peers find us: the first address bound, or none but a nonce for a pure client. The nonce tells two
  /// incarnations at one port apart.
  virtual AddressVector address() const = 0;
  /// Says so instead: for a daemon bound to a wildcard, or to let go of an old incarnation (a new nonce).
  virtual void set_address(AddressVector address) = 0;
  virtual void set_name(EntityName name) = 0;

  /// A connection to `peer` living on `home` (the calling shard), at once; the handshake goes on behind it and what is
  /// sent meanwhile is queued. A lossless connection to the same peer name and address is shared.
  virtual ConnectionRef connect(Shard& home, EntityType type, const AddressVector& peer) = 0;
  virtual Task<> stop() = 0;
};

}  // namespace spirula::msg
