#include "msg/messenger.h"

#include <boost/asio/co_spawn.hpp>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "msg/limits.h"
#include "msg/session.h"

namespace spirula::msg {
namespace asio = boost::asio;

// --- what sessions share

MessengerCore::MessengerCore(MessengerOptions o, Dispatcher& d) : options(std::move(o)), dispatcher(d) {
  budget = std::make_shared<ReceiveBudget>(options.bytes_in_flight_max);
  name_ = options.name;
}

EntityName MessengerCore::name() const {
  std::lock_guard lock(mutex);
  return name_;
}

AddressVector MessengerCore::address() const {
  std::lock_guard lock(mutex);
  return address_;
}

void MessengerCore::learn_address(const Address& seen_as) {
  std::lock_guard lock(mutex);
  for (Address& own : address_.addresses) {
    if (own.type == Address::Type::legacy || own.endpoint.address != decltype(own.endpoint.address){}) continue;
    std::uint16_t port = own.endpoint.port;
    own.endpoint = seen_as.endpoint;
    own.endpoint.port = port;
  }
}

std::uint64_t MessengerCore::next_global_sequence(std::uint64_t seen) {
  std::uint64_t now = global_sequence.load();
  while (!global_sequence.compare_exchange_weak(now, std::max(now, seen) + 1)) {
  }
  return std::max(now, seen) + 1;
}

ShardState& MessengerCore::state_of(Shard& shard) {
  std::lock_guard lock(mutex);
  auto& state = shards[&shard];
  if (!state) state = std::make_unique<ShardState>(shard);
  return *state;
}

SessionRef MessengerCore::find(const PeerKey& key) {
  std::lock_guard lock(mutex);
  auto it = lossless.find(key);
  return it == lossless.end() ? nullptr : it->second.lock();
}

SessionRef MessengerCore::insert(const PeerKey& key, const SessionRef& session) {
  std::lock_guard lock(mutex);
  auto& place = lossless[key];
  if (auto there = place.lock(); there && !there->closed()) return there;
  place = session;
  return nullptr;
}

void MessengerCore::remove(const PeerKey& key, const Session* session) {
  std::lock_guard lock(mutex);
  auto it = lossless.find(key);
  if (it == lossless.end()) return;
  auto there = it->second.lock();
  if (!there || there.get() == session) lossless.erase(it);
}

// --- the messenger

namespace {

class MessengerImpl final : public Messenger {
 public:
  MessengerImpl(Shard& home, MessengerOptions options, Dispatcher& dispatcher);
  ~MessengerImpl() override;
  Result<> bind(Endpoint at) override;
  AddressVector address() const override { return core_.address(); }
  void set_address(AddressVector address) override;
  void set_name(EntityName name) override;
  ConnectionRef connect(Shard& home, EntityType type, const AddressVector& peer) override;
  Task<> stop() override;

 private:
  Task<> listen(Listener& listener);
  Task<> welcome(std::shared_ptr<Transport> transport);
  Task<Result<>> admit(std::shared_ptr<Transport>& transport);
  void turn_away(Transport& transport, std::error_code why);
  Task<> admit_on(std::shared_ptr<Transport> transport, Authenticated peer);
  Task<Result<>> settle(std::shared_ptr<Transport>& transport, Authenticated& peer);
  enum class Verdict { settled, moved, again };
  Result<Verdict> settle_ident(std::shared_ptr<Transport>& transport, Authenticated& peer);
  Result<Verdict> settle_reconnect(std::shared_ptr<Transport>& transport, Authenticated& peer);
  bool move_to_session(std::shared_ptr<Transport>& transport, Authenticated& peer, Session& session);
  void start(const SessionRef& session, bool welcome);
  Policy policy_for(EntityType type) const;

  Shard& home_;
  MessengerCore core_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::size_t next_shard_ = 0;
};

/// Counts a handshake for as long as it goes on.
class HandshakeSlot {
 public:
  explicit HandshakeSlot(MessengerCore& core) : core_(core) { ++core_.handshakes; }
  ~HandshakeSlot() { --core_.handshakes; }
  HandshakeSlot(const HandshakeSlot&) = delete;

 private:
  MessengerCore& core_;
};

/// Closes a transport at the deadline of its handshake.
class Deadline {
 public:
  Deadline(const std::shared_ptr<Transport>& transport, Duration timeout)
      : clock_(transport->shard().clock()), timer_(clock_.call_after(timeout, [weak = std::weak_ptr(transport)] {
          auto strong = weak.lock();
          if (!strong) return;
          if (strong->blame().empty()) strong->blame("its handshake takes too long");
          strong->close();
        })) {}
  ~Deadline() { clock_.cancel(timer_); }
  Deadline(const Deadline&) = delete;

 private:
  Clock& clock_;
  Clock::TimerId timer_;
};

MessengerImpl::MessengerImpl(Shard& home, MessengerOptions options, Dispatcher& dispatcher)
    : home_(home), core_(std::move(options), dispatcher) {
  core_.nonce = core_.options.nonce ? *core_.options.nonce : static_cast<std::uint32_t>(home.random().next() | 1);
  Address blank;
  blank.type = Address::Type::msgr2;
  blank.nonce = core_.nonce;
  blank.has_endpoint = true;
  core_.address_ = AddressVector(blank);
  core_.budget->wake = [this] {
    std::lock_guard lock(core_.mutex);
    for (auto& [shard, state] : core_.shards) shard->post([s = state.get()] { s->receivers.wake_all(); });
  };
}

MessengerImpl::~MessengerImpl() {
  core_.budget->wake = [] {};
  for (auto& [shard, state] : core_.shards) CHECK(state->tasks.size() == 0, "stop() a Messenger before it goes");
}

Policy MessengerImpl::policy_for(EntityType type) const {
  return core_.options.policy_for ? core_.options.policy_for(type) : Policy{};
}

void MessengerImpl::set_address(AddressVector address) {
  std::lock_guard lock(core_.mutex);
  core_.address_ = std::move(address);
}

void MessengerImpl::set_name(EntityName name) {
  std::lock_guard lock(core_.mutex);
  core_.name_ = name;
}

Result<> MessengerImpl::bind(Endpoint at) {
  CHECK(core_.options.auth_service, "who accepts connections must be able to admit them");
  TRY(auto listener, home_.network().listen(home_, at));
  if (listeners_.empty()) set_address(AddressVector(Address::msgr2(listener->local(), core_.nonce)));
  listeners_.push_back(std::move(listener));
  core_.state_of(home_).tasks.spawn(listen(*listeners_.back()));
  return {};
}

/// Runs the session from now on. `welcome` tells the dispatcher first, who may close it on the spot.
void MessengerImpl::start(const SessionRef& session, bool welcome) {
  ShardState& state = core_.state_of(session->shard());
  state.sessions.insert(session);
  if (welcome) core_.dispatcher.on_accept(session);
  if (!session->closed()) state.tasks.spawn(Session::run(session));
}

ConnectionRef MessengerImpl::connect(Shard& home, EntityType type, const AddressVector& peer) {
  CHECK(home.here(), "a connection is made on its own shard");
  Policy policy = policy_for(type);
  auto session = std::make_shared<Session>(core_, home, type, peer, policy);
  if (!policy.lossy)
    if (auto there = core_.insert(session->key(), session)) return there;
  start(session, false);
  return session;
}

Task<> MessengerImpl::stop() {
  core_.stopping = true;
  for (auto& listener : listeners_) listener->close();
  std::vector<ShardState*> states;
  {
    std::lock_guard lock(core_.mutex);
    for (auto& [shard, state] : core_.shards) states.push_back(state.get());
  }
  auto end = [](ShardState& state) -> Task<> {
    while (!state.sessions.empty()) {
      SessionRef session = *state.sessions.begin();
      session->close();
    }
    co_await state.tasks.stop();
  };
  for (ShardState* state : states) co_await asio::co_spawn(state->shard.context(), end(*state), asio::use_awaitable);
}

// --- accepting

Task<> MessengerImpl::listen(Listener& listener) {
  while (true) {
    const auto& shards = core_.options.shards;
    Shard& shard = shards.empty() ? home_ : *shards[next_shard_++ % shards.size()];
    auto stream = co_await listener.accept(shard);
    if (!stream) {
      if (stream.error() == make_error_code(Errc::cancelled)) co_return;
      // Out of descriptors, say: it passes.
      log_warning("msg", "accepting failed: {}", stream.error().message());
      if (!co_await home_.clock().sleep(std::chrono::milliseconds(100))) co_return;
      continue;
    }
    auto transport = std::make_shared<Transport>(shard, std::move(*stream));
    if (core_.handshakes >= core_.options.handshakes_max || core_.accepted >= core_.options.connections_max) {
      log_warning("msg", "{} turned away: {} connections, {} handshakes", transport->remote().describe(),
                  core_.accepted.load(), core_.handshakes.load());
      continue;
    }
    ShardState& state = core_.state_of(shard);
    shard.post([this, &state, transport = std::move(transport)]() mutable {
      state.tasks.spawn(welcome(std::move(transport)));
    });
  }
}

/// A new stream, from its banner to its session.
Task<> MessengerImpl::welcome(std::shared_ptr<Transport> transport) {
  HandshakeSlot slot(core_);
  Result<> admitted = co_await admit(transport);
  if (admitted) co_return;
  turn_away(*transport, admitted.error());
}

/// Says what was wrong, in one line. Attempts that another of the same peer has overtaken are nobody's fault.
void MessengerImpl::turn_away(Transport& transport, std::error_code why) {
  bool overtaken = why == make_error_code(Errc::again) || why == make_error_code(Errc::stale) || core_.stopping;
  if (!transport.blame().empty())
    log_warning("msg", "{} turned away: {}", transport.remote().describe(), transport.blame());
  else if (why == make_error_code(Errc::closed) || why == make_error_code(std::errc::connection_reset))
    log_info("msg", "{} left during its handshake", transport.remote().describe());
  else
    log_at(overtaken ? LogLevel::debug : LogLevel::warning, "msg", "{} turned away: {}", transport.remote().describe(),
           why.message());
  transport.close();
}

Task<Result<>> MessengerImpl::admit(std::shared_ptr<Transport>& transport) {
  Deadline deadline(transport, core_.options.handshake_timeout);
  CO_TRY(Authenticated peer,
         co_await authenticate_accepting(*transport, core_.name().type, *core_.options.auth_service));
  CO_TRY(co_await transport->read_control());
  co_return co_await settle(transport, peer);
}

/// Goes on where another shard left off: the frame to answer has been read.
Task<> MessengerImpl::admit_on(std::shared_ptr<Transport> transport, Authenticated peer) {
  HandshakeSlot slot(core_);
  Deadline deadline(transport, core_.options.handshake_timeout);
  Result<> settled = co_await settle(transport, peer);
  if (!settled) turn_away(*transport, settled.error());
}

/// Answers CLIENT_IDENT or SESSION_RECONNECT until a session takes the transport, or it moves to another shard.
Task<Result<>> MessengerImpl::settle(std::shared_ptr<Transport>& transport, Authenticated& peer) {
  for (unsigned round = 0; round < limits::session_rounds_max; ++round) {
    Result<Verdict> verdict = Errc::malformed;
    switch (transport->reader().frame().tag) {
      case Tag::client_ident:
        verdict = settle_ident(transport, peer);
        break;
      case Tag::session_reconnect:
        verdict = settle_reconnect(transport, peer);
        break;
      default:
        break;
    }
    CO_TRY(Verdict decided, std::move(verdict));
    if (decided != Verdict::again) co_return Result<>{};
    CO_TRY(co_await transport->flush());
    CO_TRY(co_await transport->read_control());
  }
  co_return Errc::malformed;
}

/// A session on another shard decides there. The frame just read moves along inside the transport.
bool MessengerImpl::move_to_session(std::shared_ptr<Transport>& transport, Authenticated& peer, Session& session) {
  Shard& there = session.shard();
  if (&there == &transport->shard()) return false;
  transport->move_to(there);
  ShardState& state = core_.state_of(there);
  there.post([this, &state, transport = std::move(transport), peer = std::move(peer)]() mutable {
    state.tasks.spawn(admit_on(std::move(transport), std::move(peer)));
  });
  return true;
}

Result<MessengerImpl::Verdict> MessengerImpl::settle_ident(std::shared_ptr<Transport>& transport, Authenticated& peer) {
  TRY(auto ident, transport->take<wire::ClientIdent>());
  if (ident.addresses.empty()) return Errc::malformed;
  Policy policy = policy_for(peer.peer);
  if (std::uint64_t missing =
          (policy.features_required & ~ident.features) | (ident.features_required & ~features::all)) {
    transport->put(wire::MissingFeatures{missing});
    return Verdict::again;  // the peer closes
  }
  if (core_.stopping) return Errc::cancelled;
  // A daemon is believed to be the number it has a key for only as far as its dispatcher checks identity().name.
  if (peer.peer == EntityType::client && peer.outcome.identity.global_id)
    ident.global_id = static_cast<std::int64_t>(peer.outcome.identity.global_id);
  bool lossy = policy.lossy || (ident.flags & wire::flag_lossy);
  MessengerCore::PeerKey key{peer.peer, ident.addresses};
  if (SessionRef there = lossy ? nullptr : core_.find(key)) {
    if (move_to_session(transport, peer, *there)) return Verdict::moved;
    Session& old = *there;
    if (!old.closed()) {
      if (old.peer_global_sequence() > ident.global_sequence) return Errc::stale;  // an attempt older than the session
      bool same = old.client_cookie() == ident.cookie;
      bool race = old.made_by_us() && !old.is_established();
      if (race) {
        // Both connected at once. The lower address gives way to the higher, as Ceph has it.
        if (ident.addresses.msgr2() < core_.address().msgr2()) {
          old.restart(transport, peer, ident);
          core_.dispatcher.on_accept(old.shared_from_this());
          return Verdict::settled;
        }
        transport->put(wire::Wait{});
        return Verdict::again;
      }
      if (same && old.same_peer(peer.outcome.identity)) {
        old.restart(transport, peer, ident);  // SERVER_IDENT did not reach it
        return Verdict::settled;
      }
      old.reset("the peer has started anew");
    }
  }
  auto session = std::make_shared<Session>(core_, transport->shard(), peer, ident, policy);
  if (!lossy && core_.insert(key, session)) return Errc::again;  // two at once; the peer comes back
  ++core_.accepted;
  session->restart(transport, peer, ident);
  start(session, true);
  return Verdict::settled;
}

Result<MessengerImpl::Verdict> MessengerImpl::settle_reconnect(std::shared_ptr<Transport>& transport,
                                                               Authenticated& peer) {
  TRY(auto reconnect, transport->take<wire::Reconnect>());
  SessionRef there = core_.find({peer.peer, reconnect.addresses});
  if (there && move_to_session(transport, peer, *there)) return Verdict::moved;
  bool known = there && !there->closed() && there->is_established() && there->server_cookie() != 0 &&
               there->client_cookie() == reconnect.client_cookie && there->server_cookie() == reconnect.server_cookie &&
               there->same_peer(peer.outcome.identity);
  if (!known) {
    transport->put(wire::SessionReset{true});
    return Verdict::again;
  }
  Session& session = *there;
  if (session.peer_global_sequence() > reconnect.global_sequence) {
    transport->put(wire::SessionRetryGlobal{session.peer_global_sequence()});
    return Verdict::again;
  }
  if (session.connect_sequence() > reconnect.connect_sequence) {
    transport->put(wire::SessionRetry{session.connect_sequence()});
    return Verdict::again;
  }
  if (session.connect_sequence() == reconnect.connect_sequence && session.is_connecting() &&
      core_.address().msgr2() < reconnect.addresses.msgr2()) {
    transport->put(wire::Wait{});  // both reconnect at once
    return Verdict::again;
  }
  session.resume(transport, peer, reconnect);
  return Verdict::settled;
}

}  // namespace

std::unique_ptr<Messenger> Messenger::create(Shard& home, MessengerOptions options, Dispatcher& dispatcher) {
  return std::make_unique<MessengerImpl>(home, std::move(options), dispatcher);
}

}  // namespace spirula::msg
