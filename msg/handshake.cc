#include "msg/handshake.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/coroutine.h"
#include "msg/cephx_crypto.h"
#include "msg/handshake_frames.h"
#include "msg/limits.h"

namespace spirula::msg {

namespace {

constexpr std::string_view banner = "ceph v2\n", banner_v1 = "ceph v027";
constexpr std::uint64_t revision_1 = 1;  // CEPH_MSGR2_FEATURE_REVISION_1: msgr2.1

struct BannerPayload {
  std::uint64_t supported = revision_1, required = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.supported);
    wire(self.required);
  }
};

/// Both sides send their banner and their HELLO without waiting for the other's.
Task<Result<wire::Hello>> greet(Transport& transport, EntityType self) {
  transport.start_transcript();
  transport.batch().append_copy(as_bytes(banner));
  Buffer payload = encode(encode(BannerPayload{}));  // counted by 32 bits; the banner counts by 16
  std::uint16_t size = static_cast<std::uint16_t>(payload.size() - 4);
  transport.batch().append_copy(std::as_bytes(std::span(&size, 1)));
  transport.batch().append_copy(payload.view().subspan(4));
  wire::Hello hello;
  hello.type = self;
  hello.peer = Address::msgr2(transport.remote(), 0);
  transport.put(hello);
  CO_TRY(co_await transport.flush());

  CO_TRY(Buffer prefix, co_await transport.read_raw(banner.size() + 2));
  if (!prefix.text().starts_with(banner)) {
    if (banner_v1.starts_with(prefix.text().substr(0, banner_v1.size())))
      transport.blame("it speaks msgr1: add ms_mode=prefer-crc (or secure) to its mount");
    else
      transport.blame("it does not speak Ceph's protocol");
    co_return Errc::unsupported;
  }
  std::uint16_t peer_size;
  std::memcpy(&peer_size, prefix.data() + banner.size(), sizeof peer_size);
  if (peer_size > limits::banner_payload_bytes_max) co_return Errc::malformed;
  CO_TRY(Buffer peer_bytes, co_await transport.read_raw(peer_size));
  CO_TRY(BannerPayload peer, decode<BannerPayload>(peer_bytes));
  if (!(peer.supported & revision_1) || (peer.required & ~revision_1)) {
    transport.blame("it does not speak msgr2.1");
    co_return Errc::unsupported;
  }

  CO_TRY(co_await transport.read_control());
  co_return transport.take<wire::Hello>();
}

/// What follows AUTH_DONE: SECURE mode starts, and each side signs all it has received so far.
Task<Result<>> sign(Transport& transport, const AuthOutcome& outcome, bool accepting) {
  Digest mine = hmac_sha256(outcome.session_key, transport.reader().transcript());
  Digest theirs = hmac_sha256(outcome.session_key, transport.sent_transcript());
  transport.stop_transcript();
  if (outcome.mode == ConnectionMode::secure) {
    CO_TRY(FrameSecrets secrets, FrameSecrets::split(outcome.connection_secret, accepting));
    transport.secure(secrets);
  }
  wire::AuthSignature signature;
  std::memcpy(signature.digest.data(), mine.data(), mine.size());
  transport.put(signature);
  CO_TRY(co_await transport.flush());
  CO_TRY(co_await transport.read_control());
  CO_TRY(wire::AuthSignature received, transport.take<wire::AuthSignature>());
  if (!equal_secretly(std::as_bytes(std::span(received.digest)), theirs)) {
    transport.blame("its signature of the handshake is wrong");
    co_return Errc::access;
  }
  co_return Result<>{};
}

/// The first mode of the peer's list that we allow too.
ConnectionMode choose_mode(const std::vector<ConnectionMode>& preferred, const std::vector<ConnectionMode>& allowed) {
  for (ConnectionMode mode : preferred)
    if (std::ranges::find(allowed, mode) != allowed.end()) return mode;
  return ConnectionMode::unknown;
}

/// Whoever claims to be a daemon needs a daemon's key. A client may use any: `ceph -n osd.0`.
bool may_be(EntityType claimed, const Identity& identity) {
  return !identity.authenticated || claimed == EntityType::client ||
         identity.name.type == static_cast<std::uint32_t>(claimed);
}

}  // namespace

Task<Result<Authenticated>> authenticate_connecting(Transport& transport, EntityType self, EntityType peer,
                                                    AuthAttempt& attempt) {
  CO_TRY(wire::Hello hello, co_await greet(transport, self));
  if (hello.type != peer) {
    transport.blame(fmt::format("it is a {}, not a {}", describe(hello.type), describe(peer)));
    co_return Errc::refused;
  }
  wire::AuthRequest request;
  request.method = attempt.method();
  request.modes = attempt.modes();
  request.payload = attempt.request();
  transport.put(request);
  CO_TRY(co_await transport.flush());
  for (unsigned round = 0; round < limits::auth_rounds_max; ++round) {
    CO_TRY(co_await transport.read_control());
    switch (transport.reader().frame().tag) {
      case Tag::auth_reply_more: {
        CO_TRY(auto reply, transport.take<wire::AuthReplyMore>());
        wire::AuthRequestMore more;
        CO_TRY(more.payload, attempt.more(reply.payload));
        transport.put(more);
        CO_TRY(co_await transport.flush());
        break;
      }
      case Tag::auth_done: {
        CO_TRY(auto done, transport.take<wire::AuthDone>());
        if (std::ranges::find(request.modes, done.mode) == request.modes.end()) co_return Errc::malformed;
        Authenticated result{hello.type, hello.peer, {}};
        CO_TRY(result.outcome, attempt.done(done.global_id, done.mode, done.payload));
        CO_TRY(co_await sign(transport, result.outcome, false));
        co_return result;
      }
      case Tag::auth_bad_method: {
        CO_TRY(auto bad, transport.take<wire::AuthBadMethod>());
        transport.blame(fmt::format("it refuses our authentication: result {}", bad.result));
        co_return Errc::access;
      }
      default:
        co_return Errc::malformed;
    }
  }
  co_return Errc::malformed;
}

Task<Result<Authenticated>> authenticate_accepting(Transport& transport, EntityType self, AuthService& service) {
  CO_TRY(wire::Hello hello, co_await greet(transport, self));
  std::unique_ptr<AuthAcceptance> acceptance;
  AuthMethod method = AuthMethod::unknown;
  for (unsigned round = 0; round < limits::auth_rounds_max; ++round) {
    CO_TRY(co_await transport.read_control());
    Buffer payload;
    Result<> admissible;
    if (transport.reader().frame().tag == Tag::auth_request) {
      CO_TRY(auto request, transport.take<wire::AuthRequest>());
      method = request.method;
      payload = request.payload;
      ConnectionMode mode = choose_mode(request.modes, service.modes(hello.type));
      // Without keys there is nothing to encrypt under (Ceph: AuthRegistry and AuthServer::pick_con_mode).
      if (method == AuthMethod::none) mode = ConnectionMode::crc;
      auto accepted = service.accept(method, hello.type, mode);
      if (mode == ConnectionMode::unknown) accepted = Errc::unsupported;
      if (accepted)
        acceptance = std::move(*accepted);
      else
        admissible = accepted.error();
    } else {
      if (!acceptance) co_return Errc::malformed;
      CO_TRY(auto more, transport.take<wire::AuthRequestMore>());
      payload = more.payload;
    }
    Result<AuthAcceptance::Step> step = admissible ? acceptance->step(payload) : admissible.error();
    if (!step) transport.blame(acceptance ? acceptance->problem() : "it offers no way of authentication that we allow");
    if (step && step->done && !may_be(hello.type, step->outcome.identity)) {
      transport.blame(
          fmt::format("{} says that it is a {}", step->outcome.identity.name.describe(), describe(hello.type)));
      step = Errc::access;
    }
    if (!step) {
      wire::AuthBadMethod bad;
      bad.method = method;
      bad.result = to_wire(step.error());
      bad.methods = service.methods();
      bad.modes = service.modes(hello.type);
      transport.put(bad);
      CO_TRY(co_await transport.flush());
      // The peer may come again with another method, but not with a second guess of the same proof. It closes: were
      // we to, a kernel that sees the end of the stream first would never read why, and try again until it times out.
      if (step.error() != make_error_code(Errc::unsupported)) {
        (void)co_await transport.read_control();
        co_return Errc::access;
      }
      acceptance.reset();
      continue;
    }
    if (!step->done) {
      transport.put(wire::AuthReplyMore{step->reply});
      CO_TRY(co_await transport.flush());
      continue;
    }
    wire::AuthDone done{step->outcome.identity.global_id, step->outcome.mode, step->reply};
    transport.put(done);
    CO_TRY(co_await transport.flush());
    CO_TRY(co_await sign(transport, step->outcome, true));
    co_return Authenticated{hello.type, hello.peer, std::move(step->outcome)};
  }
  co_return Errc::malformed;
}

}  // namespace spirula::msg
