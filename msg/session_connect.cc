#include "msg/session.h"

#include <algorithm>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "msg/limits.h"

namespace spirula::msg {
using namespace std::chrono_literals;

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
    if (!transport->blame().empty()) log_info("msg", "{}: {}", describe(), transport->blame());
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

}  // namespace spirula::msg
