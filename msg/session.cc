#include "msg/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "msg/limits.h"

namespace spirula::msg {
using namespace std::chrono_literals;

namespace {
constexpr Duration ack_delay = 20ms;  ///< how long an acknowledgement waits for a message to carry it
constexpr Duration backoff_min = 100ms, backoff_max = 10s;
constexpr int keepalives_unanswered_max = 6;
}  // namespace

// --- the budget
// -------------------------------------------------------------------------------------------------------

bool ReceiveBudget::try_take(std::size_t bytes) {
  auto amount = static_cast<std::int64_t>(bytes);
  std::int64_t before = used_.fetch_add(amount);
  if (before == 0 || before + amount <= bytes_max_) return true;
  used_.fetch_sub(amount);
  return false;
}

void ReceiveBudget::give(std::size_t bytes) {
  used_.fetch_sub(static_cast<std::int64_t>(bytes));
  if (wanted.load() && wanted.exchange(false)) wake();
}

namespace {

/// Held by a message for as long as it lives.
struct BudgetHold {
  std::shared_ptr<ReceiveBudget> budget;
  std::size_t bytes;
  BudgetHold(std::shared_ptr<ReceiveBudget> b, std::size_t n) : budget(std::move(b)), bytes(n) {}
  ~BudgetHold() { budget->give(bytes); }
};

}  // namespace

// --- making
// -----------------------------------------------------------------------------------------------------------

Session::Session(MessengerCore& core, Shard& shard, EntityType peer, AddressVector address, Policy policy)
    : core_(core),
      shard_(shard),
      peer_type_(peer),
      peer_address_(std::move(address)),
      peer_name_{peer, -1},
      policy_(policy),
      made_by_us_(true),
      lossy_(policy.lossy) {
  if (!lossy_)
    while (client_cookie_ == 0) client_cookie_ = shard.random().next();
}

Session::Session(MessengerCore& core, Shard& shard, const Authenticated& peer, const wire::ClientIdent& ident,
                 Policy policy)
    : core_(core),
      shard_(shard),
      peer_type_(peer.peer),
      peer_address_(ident.addresses),
      peer_name_{peer.peer, ident.global_id},
      policy_(policy),
      made_by_us_(false),
      lossy_(policy.lossy || (ident.flags & wire::flag_lossy)) {}

Session::~Session() {
  // Timers hold weak references, so none of them fires on a dead session.
}

std::string Connection::describe() const {
  return fmt::format("{} {}", peer_name().describe(), peer_address().describe());
}

bool Session::same_peer(const Identity& identity) const {
  // Who we called has not said its name yet; that it is such a daemon must do.
  if (identity_.name.id.empty())
    return !identity.authenticated || identity.name.type == static_cast<std::uint32_t>(peer_type_);
  return identity_.name == identity.name && identity_.global_id == identity.global_id;
}

// --- sending
// ----------------------------------------------------------------------------------------------------------

void Session::send(Message message) {
  message.sequence = 0;
  message.budget_hold.reset();
  if (shard_.here()) return enqueue(std::move(message));
  shard_.post([self = std::static_pointer_cast<Session>(shared_from_this()), message = std::move(message)]() mutable {
    self->enqueue(std::move(message));
  });
}

void Session::enqueue(Message message) {
  if (closed_) return;
  if (queue_.size() + sent_.size() >= limits::queued_messages_max) {
    log_warning("msg", "{}: takes no messages, {} are waiting; cut off", describe(), queue_.size() + sent_.size());
    return reset("its queue is full");
  }
  queue_.push_back(std::move(message));
  if (transport_)
    write_soon();
  else
    changed_.set();
}

void Session::acknowledged(std::uint64_t sequence) {
  while (!sent_.empty() && sent_.front().sequence <= sequence) sent_.pop_front();
}

/// After a break: what had not arrived is sent again, in its old order and under its old numbers.
void Session::requeue_from(std::uint64_t sequence_arrived) {
  acknowledged(sequence_arrived);
  while (!sent_.empty()) {
    queue_.push_front(std::move(sent_.back()));
    sent_.pop_back();
  }
  // A message may have arrived although we never saw it leave: it was in flight when the stream broke.
  while (!queue_.empty() && queue_.front().sequence != 0 && queue_.front().sequence <= sequence_arrived)
    queue_.pop_front();
}

/// A fresh session with the same peer: everything not acknowledged goes out anew, numbered from one.
void Session::forget_sequences() {
  requeue_from(0);
  for (Message& message : queue_) message.sequence = 0;
  in_sequence_ = out_sequence_ = connect_sequence_ = 0;
  unacknowledged_ = 0;
}

// --- life
// -------------------------------------------------------------------------------------------------------------

/// Only a lossless peer with a port of its own can be called back; a client cannot.
bool Session::may_connect() const {
  if (made_by_us_) return true;
  return !lossy_ && peer_type_ != EntityType::client && peer_address_.msgr2().endpoint.port != 0;
}

Task<> Session::run(SessionRef self) {
  Session& s = *self;
  Duration backoff = backoff_min;
  while (!s.closed_) {
    s.changed_.reset();
    if (!s.incoming_ && s.may_connect() && (!s.established_ || !s.queue_.empty() || !s.sent_.empty())) {
      Result<> connected = co_await s.connect_once();
      if (s.closed_) break;
      if (!connected && !s.incoming_) {
        std::error_code why = connected.error();
        log_debug("msg", "{}: connecting failed: {}", s.describe(), why.message());
        s.core_.dispatcher.on_connect_failed(self, why);
        if (s.closed_) break;
        if (why == make_error_code(Errc::access)) {
          s.reset("it refused our authentication");
          break;
        }
        if (why == make_error_code(Errc::stale)) {
          s.reset("it has forgotten the session");
          break;
        }
        MonotonicTime until = s.shard_.clock().now() + backoff;
        backoff = std::min(backoff * 2, backoff_max);
        Result<> waited = co_await s.changed_.wait_until(s.shard_.clock(), until);
        while (waited && !s.closed_ && !s.incoming_) {  // only a message was queued: that is no reason to hurry
          s.changed_.reset();
          waited = co_await s.changed_.wait_until(s.shard_.clock(), until);
        }
        if (!waited && waited.error() == make_error_code(Errc::cancelled)) break;
        continue;
      }
    } else if (!s.incoming_) {
      // Standing by: the peer comes back, or a message is queued that we must deliver ourselves.
      MonotonicTime until = s.shard_.clock().now() + s.policy_.session_idle_max;
      Result<> waited = co_await s.changed_.wait_until(s.shard_.clock(), until);
      if (!waited && waited.error() == make_error_code(Errc::cancelled)) break;
      if (!waited && !s.incoming_) {
        s.reset("it did not come back");
        break;
      }
      continue;
    }
    if (!s.incoming_ || s.closed_) continue;
    backoff = backoff_min;
    s.transport_ = std::exchange(s.incoming_, nullptr);
    co_await s.pump(s.transport_);
    if (s.transport_) s.transport_->close();
    s.transport_.reset();
    if (s.core_.stopping) break;
    if (s.lossy_ && !s.closed_) {
      s.reset("its stream ended");
      break;
    }
  }
  s.finish();
}

/// Takes the session out of all tables; idempotent.
void Session::finish() {
  closed_ = true;
  supersede();
  if (!policy_.lossy) core_.remove(key(), this);
  Clock& clock = shard_.clock();
  clock.cancel(ack_timer_);
  clock.cancel(tick_timer_);
  queue_.clear();
  sent_.clear();
  if (core_.state_of(shard_).sessions.erase(std::static_pointer_cast<Session>(shared_from_this())) && !made_by_us_)
    --core_.accepted;
}

/// No stream of the session moves any more.
void Session::supersede() {
  for (auto* transport : {&transport_, &incoming_, &dialing_})
    if (*transport) (*transport)->close();
  transport_.reset();
  incoming_.reset();
  dialing_.reset();
}

void Session::close() {
  if (closed_) return;
  finish();
  writable_.set();
  changed_.set();
}

void Session::reset(const char* why) {
  if (closed_) return;
  log_debug("msg", "{}: gone: {}", describe(), why);
  close();
  core_.dispatcher.on_reset(shared_from_this());
}

// --- connecting
// -------------------------------------------------------------------------------------------------------

namespace {

/// A connect that may be given up before the kernel is through with it.
struct Dial {
  Event done;
  bool abandoned = false;
  Result<std::unique_ptr<Stream>> stream = Errc::timed_out;
};

Task<> dial(std::shared_ptr<Dial> dial, Shard& shard, Endpoint to) {
  auto stream = co_await shard.network().connect(shard, to);
  if (!dial->abandoned) dial->stream = std::move(stream);
  dial->done.set();
}

}  // namespace

Task<Result<>> Session::connect_once() {
  Address peer = peer_address_.msgr2();
  if (!peer.has_endpoint || !core_.options.auth_client) co_return Errc::invalid;
  CO_TRY(auto attempt, core_.options.auth_client->attempt(peer_type_));

  Clock& clock = shard_.clock();
  MonotonicTime deadline = clock.now() + core_.options.handshake_timeout;
  auto call = std::make_shared<Dial>();
  core_.state_of(shard_).tasks.spawn(dial(call, shard_, peer.endpoint));
  Result<> in_time = co_await call->done.wait_until(clock, deadline);
  call->abandoned = true;
  if (!in_time) co_return in_time;
  CO_TRY(auto stream, std::move(call->stream));
  if (closed_ || incoming_) co_return Errc::cancelled;

  auto transport = std::make_shared<Transport>(shard_, std::move(stream));
  dialing_ = transport;
  auto timer = clock.call_at(deadline, [weak = std::weak_ptr(transport)] {
    if (auto strong = weak.lock()) strong->close();
  });
  EntityType self = core_.name().type;
  Result<> done;
  auto authenticated = co_await authenticate_connecting(*transport, self, peer_type_, *attempt);
  if (!authenticated) {
    done = authenticated.error();
    if (done.error() == make_error_code(Errc::access)) {
      core_.options.auth_client->refused(peer_type_);
      // A service that does not like our ticket may like the next one; a monitor will not like our key.
      if (peer_type_ != EntityType::mon) done = Errc::again;
    }
  } else {
    core_.learn_address(authenticated->seen_as);
    global_id_ = authenticated->outcome.identity.global_id;
    attempting_ = true;
    done = co_await introduce(*transport);
    attempting_ = false;
  }
  clock.cancel(timer);
  bool superseded = dialing_ != transport;  // a stream from the peer won, or close() was called
  dialing_.reset();
  if (superseded || closed_) {
    transport->close();
    co_return Errc::cancelled;
  }
  if (!done) {
    transport->close();
    co_return done;
  }
  bool first = !established_;
  adopt(std::move(transport), authenticated->outcome);
  if (first) core_.dispatcher.on_connect(shared_from_this());
  co_return Result<>{};
}

/// CLIENT_IDENT or SESSION_RECONNECT, until the session stands.
Task<Result<>> Session::introduce(Transport& transport) {
  global_sequence_ = core_.next_global_sequence();
  if (server_cookie_ != 0) ++connect_sequence_;
  for (unsigned round = 0; round < limits::session_rounds_max; ++round) {
    AddressVector own = core_.address();
    bool reconnecting = server_cookie_ != 0;
    if (reconnecting) {
      transport.put(
          wire::Reconnect{own, client_cookie_, server_cookie_, global_sequence_, connect_sequence_, in_sequence_});
    } else {
      wire::ClientIdent ident;
      ident.addresses = own;
      ident.target = peer_address_.msgr2();
      ident.global_id = core_.name().number;
      if (ident.global_id < 0 && global_id_) ident.global_id = static_cast<std::int64_t>(global_id_);
      ident.global_sequence = global_sequence_;
      ident.features = features::all;
      ident.features_required = policy_.features_required;
      ident.flags = lossy_ ? wire::flag_lossy : 0;
      ident.cookie = client_cookie_;
      transport.put(ident);
    }
    CO_TRY(co_await transport.flush());
    CO_TRY(co_await transport.read_control());
    switch (transport.reader().frame().tag) {
      case Tag::server_ident: {
        if (reconnecting) co_return Errc::malformed;
        CO_TRY(auto ident, transport.take<wire::ServerIdent>());
        Address target = peer_address_.msgr2();
        if (std::ranges::find(ident.addresses.addresses, target) == ident.addresses.addresses.end()) {
          log_info("msg", "{} is {} now", peer_address_.describe(), ident.addresses.describe());
          co_return Errc::refused;
        }
        if (ident.features_required & ~features::all) co_return Errc::unsupported;
        if (policy_.features_required & ~ident.features) co_return Errc::unsupported;
        lossy_ = lossy_ || (ident.flags & wire::flag_lossy);
        peer_name_.number = ident.number;
        features_ = ident.features & features::all;
        peer_global_sequence_ = ident.global_sequence;
        server_cookie_ = lossy_ ? 0 : ident.cookie;
        forget_sequences();
        co_return Result<>{};
      }
      case Tag::session_reconnect_ok: {
        if (!reconnecting) co_return Errc::malformed;
        CO_TRY(auto ok, transport.take<wire::ReconnectOk>());
        requeue_from(ok.value);
        co_return Result<>{};
      }
      case Tag::session_retry: {
        CO_TRY(auto retry, transport.take<wire::SessionRetry>());
        connect_sequence_ = std::max(connect_sequence_, retry.value) + 1;
        break;
      }
      case Tag::session_retry_global: {
        CO_TRY(auto retry, transport.take<wire::SessionRetryGlobal>());
        global_sequence_ = core_.next_global_sequence(retry.value);
        break;
      }
      case Tag::session_reset:
        // Our contract: the owner hears of it and connects again, with a new Connection.
        co_return Errc::stale;
      case Tag::wait:
        // The peer's own attempt is on its way to us and wins; if it gets lost we try again.
        co_return Errc::again;
      case Tag::ident_missing_features: {
        CO_TRY(auto missing, transport.take<wire::MissingFeatures>());
        log_warning("msg", "{} demands features we lack: {:x}", describe(), missing.value);
        co_return Errc::unsupported;
      }
      default:
        co_return Errc::malformed;
    }
  }
  co_return Errc::malformed;
}

// --- accepting
// --------------------------------------------------------------------------------------------------------

void Session::adopt(std::shared_ptr<Transport> transport, const AuthOutcome& outcome) {
  supersede();
  transport->reader().allow_messages(core_.options.message_bytes_max);
  secure_ = transport->is_secure();
  identity_ = outcome.identity;
  auth_session_ = outcome.session;
  established_ = true;
  unacknowledged_ = 0;
  incoming_ = std::move(transport);
  changed_.set();
  writable_.set();
}

wire::ServerIdent Session::server_ident() const {
  wire::ServerIdent ident;
  ident.addresses = core_.address();
  ident.number = core_.name().number;
  ident.global_sequence = global_sequence_;
  ident.features = features::all;
  ident.features_required = policy_.features_required;
  ident.flags = lossy_ ? wire::flag_lossy : 0;
  ident.cookie = server_cookie_;
  return ident;
}

void Session::restart(std::shared_ptr<Transport> transport, const Authenticated& peer, const wire::ClientIdent& ident) {
  supersede();
  forget_sequences();
  client_cookie_ = ident.cookie;
  server_cookie_ = 0;
  if (!lossy_)
    while (server_cookie_ == 0) server_cookie_ = shard_.random().next();
  peer_name_.number = ident.global_id;
  peer_global_sequence_ = ident.global_sequence;
  global_sequence_ = core_.next_global_sequence();
  features_ = ident.features & features::all;
  transport->put(server_ident());
  adopt(std::move(transport), peer.outcome);
}

void Session::resume(std::shared_ptr<Transport> transport, const Authenticated& peer,
                     const wire::Reconnect& reconnect) {
  supersede();  // from here on in_sequence_ is final
  connect_sequence_ = reconnect.connect_sequence;
  peer_global_sequence_ = reconnect.global_sequence;
  requeue_from(reconnect.in_sequence);
  transport->put(wire::ReconnectOk{in_sequence_});
  adopt(std::move(transport), peer.outcome);
}

// --- messages
// ---------------------------------------------------------------------------------------------------------

/// Until the stream ends, from either side.
Task<> Session::pump(std::shared_ptr<Transport> transport) {
  auto self = std::static_pointer_cast<Session>(shared_from_this());
  writing_ = false;
  writable_.set();
  core_.state_of(shard_).tasks.spawn(write_messages(self, transport));
  arm_tick();
  Result<> ended = co_await read_messages(transport);
  reading_ = false;
  if (!ended) {
    auto level = ended.error() == make_error_code(Errc::malformed) || ended.error() == make_error_code(Errc::too_large)
                     ? LogLevel::warning
                     : LogLevel::debug;
    if (!transport->closed()) log_at(level, "msg", "{}: stream ended: {}", describe(), ended.error().message());
  }
  transport->close();
  writable_.set();  // the writer looks up and sees it
}

Task<Result<>> Session::read_messages(std::shared_ptr<Transport> transport) {
  FrameReader& reader = transport->reader();
  while (true) {
    CO_TRY(FrameReader::Step step, reader.next());
    if (step == FrameReader::Step::bytes) {
      reading_ = false;
      write_now();
      CO_TRY(co_await transport->read_more());
      continue;
    }
    if (step == FrameReader::Step::permit) {
      std::size_t bytes = reader.announced();
      ReceiveBudget& budget = *core_.budget;
      while (!budget.try_take(bytes)) {
        budget.wanted = true;
        if (budget.try_take(bytes)) break;  // room came between the two
        reading_ = false;
        write_now();
        CO_TRY(co_await core_.state_of(shard_).receivers.wait());
      }
      reader.permit();
      continue;
    }
    reading_ = true;
    CO_TRY(handle_frame(*transport));
    // Whatever the dispatcher did in there may have ended this stream.
    if (transport->closed()) co_return Errc::closed;
  }
}

Result<> Session::handle_frame(Transport& transport) {
  switch (transport.reader().frame().tag) {
    case Tag::message:
      return handle_message(transport);
    case Tag::ack: {
      TRY(auto ack, transport.take<wire::Ack>());
      acknowledged(ack.value);
      return {};
    }
    case Tag::keepalive2: {
      TRY(auto keepalive, transport.take<wire::Keepalive>());
      keepalive_answer_ = keepalive.time;
      write_soon();
      return {};
    }
    case Tag::keepalive2_ack:
      return {};
    default:
      return Errc::malformed;
  }
}

Result<> Session::handle_message(Transport& transport) {
  Frame& frame = transport.reader().frame();
  if (frame.control.size() != MessageHeader::wire_size) return Errc::malformed;
  MessageHeader header = MessageHeader::get(frame.control.data());
  std::size_t bytes = frame.segments[0].size() + frame.segments[1].size() + frame.segments[2].size();
  std::shared_ptr<void> hold;
  if (bytes) hold = std::make_shared<BudgetHold>(core_.budget, bytes);
  acknowledged(header.ack_sequence);
  if (header.sequence <= in_sequence_) return {};  // it came over an earlier stream already
  if (header.sequence != in_sequence_ + 1 && !lossy_)
    log_debug("msg", "{}: message {} after {}: the peer took some back", describe(), header.sequence, in_sequence_);
  in_sequence_ = header.sequence;
  if (!lossy_) note_ack();
  Message message;
  message.type = header.type;
  message.version = header.version;
  message.compat = header.compat;
  message.priority = header.priority;
  message.tid = header.tid;
  message.sequence = header.sequence;
  message.data_offset = header.data_offset;
  message.front = std::move(frame.segments[0]);
  message.middle = std::move(frame.segments[1]);
  if (!frame.segments[2].empty()) message.data.append(std::move(frame.segments[2]));
  message.budget_hold = std::move(hold);
  core_.dispatcher.on_message(shared_from_this(), std::move(message));
  return {};
}

void Session::note_ack() {
  if (++unacknowledged_ >= limits::ack_messages_max) {
    ack_now_ = true;
    write_soon();
  } else if (unacknowledged_ == 1) {
    auto weak = std::weak_ptr<Connection>(weak_from_this());
    ack_timer_ = shard_.clock().call_after(ack_delay, [weak] {
      auto self = std::static_pointer_cast<Session>(weak.lock());
      if (!self || self->unacknowledged_ == 0) return;
      self->ack_now_ = true;
      self->write_soon();
    });
  }
}

void Session::put_message(Transport& transport, Message message) {
  if (message.sequence == 0) message.sequence = ++out_sequence_;
  MessageHeader header;
  header.sequence = message.sequence;
  header.tid = message.tid;
  header.type = message.type;
  header.priority = message.priority;
  header.version = message.version;
  header.compat = message.compat;
  header.data_offset = message.data_offset;
  header.ack_sequence = in_sequence_;
  if (unacknowledged_) {
    unacknowledged_ = 0;
    ack_now_ = false;
    shard_.clock().cancel(ack_timer_);
  }
  transport.writer().message(header, message, transport.batch());
  if (!lossy_) sent_.push_back(std::move(message));
}

/// Gathers the next write; false if there is nothing to say.
bool Session::fill(Transport& transport) {
  WriteBatch& batch = transport.batch();
  FrameWriter& writer = transport.writer();
  if (writer.is_busy()) {
    writer.resume(batch);
    if (writer.is_busy()) return true;
  }
  if (keepalive_answer_) {
    transport.put(wire::KeepaliveAck{*keepalive_answer_});
    keepalive_answer_.reset();
  }
  if (std::exchange(keepalive_due_, false)) transport.put(wire::Keepalive{Time::from(shard_.clock().wall())});
  while (!queue_.empty() && !batch.is_full() && !writer.is_busy()) {
    Message message = std::move(queue_.front());
    queue_.pop_front();
    put_message(transport, std::move(message));
  }
  if (ack_now_ && !writer.is_busy()) {
    ack_now_ = false;
    unacknowledged_ = 0;
    transport.put(wire::Ack{in_sequence_});
  }
  return !batch.empty();
}

/// After what is running now, so that everything queued meanwhile goes out with one call of the kernel.
void Session::write_soon() {
  if (reading_ || writing_ || write_posted_) return;
  write_posted_ = true;
  shard_.post([self = std::static_pointer_cast<Session>(shared_from_this())] {
    self->write_posted_ = false;
    self->write_now();
  });
}

/// What the stream takes without waiting; write_messages() waits for the rest.
void Session::write_now() {
  if (!transport_ || writing_) return;
  Transport& transport = *transport_;
  while (!transport.closed() && (!transport.batch().empty() || fill(transport))) {
    auto done = transport.try_flush();
    if (!done) return transport.close();
    if (!*done) return writable_.set();
  }
  transport.batch().clear(true);
}

Task<> Session::write_messages(SessionRef self, std::shared_ptr<Transport> transport) {
  while (!transport->closed() && self->transport_ == transport) {
    self->writable_.reset();
    if (!transport->batch().empty() || self->fill(*transport)) {
      self->writing_ = true;
      Result<> written = co_await transport->flush();
      if (self->transport_ == transport) self->writing_ = false;
      if (!written) break;
      continue;
    }
    transport->batch().clear(true);
    Result<> woken = co_await self->writable_.wait();
    if (!woken) break;
  }
  transport->close();
}

// --- time
// -------------------------------------------------------------------------------------------------------------

void Session::arm_tick() {
  shard_.clock().cancel(tick_timer_);
  auto weak = std::weak_ptr<Connection>(weak_from_this());
  tick_timer_ = shard_.clock().call_after(core_.options.keepalive_interval, [weak] {
    if (auto self = std::static_pointer_cast<Session>(weak.lock())) self->tick();
  });
}

/// Keepalives on the connections we made; an end to streams that have been silent for too long.
void Session::tick() {
  if (closed_ || !transport_) return;
  Duration silent = shard_.clock().now() - transport_->last_read();
  bool dead = made_by_us_ ? silent > core_.options.keepalive_interval * keepalives_unanswered_max
                          : silent > core_.options.idle_max;
  if (dead) {
    log_debug("msg", "{}: silent for too long", describe());
    transport_->close();
    return;
  }
  if (made_by_us_) {
    keepalive_due_ = true;
    write_soon();
  }
  arm_tick();
}

}  // namespace spirula::msg
