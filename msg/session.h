#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/task_group.h"
#include "base/wait.h"
#include "msg/handshake.h"
#include "msg/handshake_frames.h"
#include "msg/messenger.h"
#include "msg/receive_budget.h"
#include "msg/transport.h"

/// The inside of the messenger: sessions, and what they share. Not for other folders.
namespace spirula::msg {

class Session;
using SessionRef = std::shared_ptr<Session>;

/// What the messenger keeps for each shard that has connections.
struct ShardState {
  explicit ShardState(Shard& s) : shard(s), tasks(s) {}
  Shard& shard;
  TaskGroup tasks;
  WaitList receivers;  ///< waiting for the ReceiveBudget
  std::unordered_set<SessionRef> sessions;
};

/// What all sessions of a messenger share. Outlives them.
struct MessengerCore {
  MessengerCore(MessengerOptions o, Dispatcher& d);
  const MessengerOptions options;
  Dispatcher& dispatcher;
  std::shared_ptr<ReceiveBudget> budget;
  std::atomic<std::uint64_t> global_sequence{0};  ///< counts our attempts to connect (Ceph: global_seq)
  std::atomic<unsigned> accepted{0}, handshakes{0};
  std::atomic<bool> stopping{false};

  EntityName name() const;
  AddressVector address() const;
  /// Fills in the part of our address that only a peer can tell: which of our interfaces reaches it.
  void learn_address(const Address& seen_as);
  /// Raises the counter above `seen` too.
  std::uint64_t next_global_sequence(std::uint64_t seen = 0);
  ShardState& state_of(Shard& shard);

  /// Lossless sessions by who the peer is; the only way in which a new stream finds an old session.
  using PeerKey = std::pair<EntityType, AddressVector>;
  SessionRef find(const PeerKey& key);
  /// The session already there, or nullptr after putting `session` in.
  SessionRef insert(const PeerKey& key, const SessionRef& session);
  void remove(const PeerKey& key, const Session* session);

  mutable std::mutex mutex;  ///< of everything below
  EntityName name_;
  AddressVector address_;
  std::uint32_t nonce = 0;
  std::map<PeerKey, std::weak_ptr<Session>> lossless;
  std::unordered_map<Shard*, std::unique_ptr<ShardState>> shards;
};

/// A Connection: queues, sequence numbers, and at most one transport at a time. All of it on one shard.
///
/// Invariants: messages leave queue_ with ascending sequence numbers; a lossless session keeps each in sent_ until the
/// peer has acknowledged it; nothing is delivered twice, because in_sequence_ only grows and a superseded transport
/// delivers nothing more.
class Session final : public Connection {
 public:
  /// We make the connection.
  Session(MessengerCore& core, Shard& shard, EntityType peer, AddressVector address, Policy policy);
  /// The peer made it: CLIENT_IDENT has come over `transport`.
  Session(MessengerCore& core, Shard& shard, const Authenticated& peer, const wire::ClientIdent& ident, Policy policy);
  ~Session() override;

  Shard& shard() const override { return shard_; }
  void send(Message message) override;
  void close() override;
  bool closed() const override { return closed_; }
  EntityName peer_name() const override { return peer_name_; }
  AddressVector peer_address() const override { return peer_address_; }
  std::uint64_t peer_features() const override { return features_; }
  const Identity& identity() const override { return identity_; }
  AuthSession* auth_session() const override { return auth_session_.get(); }
  bool is_lossy() const override { return lossy_; }
  bool is_secure() const override { return secure_; }

  /// The session's life, from the first attempt or the accepted transport on. Spawned once.
  static Task<> run(SessionRef self);

  // What acceptance decides with and does; on the session's shard.
  bool is_established() const { return established_; }
  bool is_connecting() const { return attempting_; }
  bool made_by_us() const { return made_by_us_; }
  std::uint64_t client_cookie() const { return client_cookie_; }
  std::uint64_t server_cookie() const { return server_cookie_; }
  std::uint64_t connect_sequence() const { return connect_sequence_; }
  std::uint64_t peer_global_sequence() const { return peer_global_sequence_; }
  bool same_peer(const Identity& identity) const;
  /// A reconnect won: go on over this transport. Answers SESSION_RECONNECT_OK.
  void resume(std::shared_ptr<Transport> transport, const Authenticated& peer, const wire::Reconnect& reconnect);
  /// A CLIENT_IDENT won: (re)start the session over this transport. Answers SERVER_IDENT.
  void restart(std::shared_ptr<Transport> transport, const Authenticated& peer, const wire::ClientIdent& ident);
  /// Ends it because the peer forgot it; on_reset() follows.
  void reset(const char* why);
  MessengerCore::PeerKey key() const { return {peer_type_, peer_address_}; }

 private:
  friend class SessionTest;
  Task<Result<>> connect_once();
  Task<Result<>> introduce(Transport& transport);
  Task<> pump(std::shared_ptr<Transport> transport);
  Task<Result<>> read_messages(std::shared_ptr<Transport> transport);
  static Task<> write_messages(SessionRef self, std::shared_ptr<Transport> transport);
  Result<> handle_frame(Transport& transport);
  Result<> handle_message(Transport& transport);
  bool fill(Transport& transport);
  void write_now();
  void write_soon();
  void put_message(Transport& transport, Message message);
  void enqueue(Message message);
  void adopt(std::shared_ptr<Transport> transport, const AuthOutcome& outcome);
  void acknowledged(std::uint64_t sequence);
  void requeue_from(std::uint64_t sequence_arrived);
  void forget_sequences();
  void supersede();
  void note_ack();
  void arm_tick();
  void tick();
  void finish();
  bool may_connect() const;
  wire::ServerIdent server_ident() const;

  MessengerCore& core_;
  Shard& shard_;
  const EntityType peer_type_;
  AddressVector peer_address_;
  EntityName peer_name_;
  const Policy policy_;
  const bool made_by_us_;
  bool lossy_;
  bool secure_ = false;
  std::uint64_t features_ = 0;
  std::uint64_t global_id_ = 0;  ///< ours, as the peer that we called told it
  Identity identity_;
  std::shared_ptr<AuthSession> auth_session_;

  std::uint64_t client_cookie_ = 0, server_cookie_ = 0;
  std::uint64_t connect_sequence_ = 0, global_sequence_ = 0, peer_global_sequence_ = 0;
  std::uint64_t in_sequence_ = 0, out_sequence_ = 0;
  bool established_ = false;
  bool attempting_ = false;  ///< shaking hands with the peer that we called
  std::atomic<bool> closed_{false};

  std::deque<Message> queue_, sent_;
  std::size_t unsent_bytes_ = 0;  ///< in queue_
  unsigned unacknowledged_ = 0;   ///< messages received since our last word about them
  bool ack_now_ = false;
  std::optional<Time> keepalive_answer_;
  bool keepalive_due_ = false;
  Clock::TimerId ack_timer_ = 0, tick_timer_ = 0;

  std::shared_ptr<Transport> transport_;  ///< messages flow over it
  std::shared_ptr<Transport> incoming_;   ///< established, to become transport_
  std::shared_ptr<Transport> dialing_;    ///< of an attempt of ours that is still shaking hands
  bool reading_ = false;       ///< frames are being handled: what they cause is written after the last of them
  bool writing_ = false;       ///< write_messages() waits for the stream
  bool write_posted_ = false;  ///< write_now() is on its way
  Event writable_, changed_, drained_;
};

}  // namespace spirula::msg
