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
constexpr Duration backoff_min = 100ms, backoff_max = 10s;
}  // namespace

// --- making

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

// --- life

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
  unsent_bytes_ = 0;
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

// --- accepting

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

}  // namespace spirula::msg
