#include "base/coroutine.h"
#include "base/log.h"
#include "base/shard.h"
#include "msg/auth_messages.h"
#include "msg/cephx_client.h"
#include "msg/cephx_protocol.h"
#include "msg/fuzz_bodies.h"
#include "msg/handshake_frames.h"
#include "msg/test_cluster.h"

/// The payloads of cephx. A stranger's: what a monitor, a service and a client make of any bytes; and, as whoever has a
/// key could send them, any bytes properly sealed: authorizers, tickets, and what a monitor would answer.
namespace {

using namespace spirula;
using namespace spirula::msg;
using namespace spirula::msg::cephx;

struct World {
  test::Keys keys;
  CryptoKey client_key = keys.add("client.a", {{"mon", "allow *"}, {"osd", "allow *"}});
  SeededRandom random{1};
};

World& world() {
  static World instance;
  return instance;
}

void step_twice(AuthService& service, const Buffer& bytes) {
  for (ConnectionMode mode : {ConnectionMode::crc, ConnectionMode::secure}) {
    auto acceptance = service.accept(AuthMethod::cephx, EntityType::client, mode);
    auto first = (*acceptance)->step(bytes);
    if (first && !first->done) (void)(*acceptance)->step(bytes);
  }
}

/// Bytes as the inside of a ticket, then as the inside of an authorizer under a good ticket.
Buffer authorizer(unsigned choice, const Buffer& bytes) {
  World& all = world();
  RotatingSecrets secrets = all.keys.secrets(EntityType::osd);
  const auto* current = secrets.current();
  TicketInfo info;
  info.session_key = all.client_key;
  info.ticket.name = *KeyName::parse("client.a");
  info.ticket.global_id = 4101;
  info.ticket.expires.seconds = ~0u;
  AuthorizerHead head;
  head.global_id = 4101;
  head.service = static_cast<std::uint32_t>(EntityType::osd);
  head.ticket.secret_id = current->first;
  head.ticket.sealed = choice & 1 ? *seal_bytes(current->second.key, bytes) : *seal(current->second.key, info);
  Encoder encoder;
  encoder(head);
  encoder(choice & 1 ? *seal(all.client_key, Authorize{}) : *seal_bytes(all.client_key, bytes));
  return encoder.take();
}

void as_monitor_and_service(unsigned choice, const Buffer& bytes) {
  World& all = world();
  CephxMonitorService monitor(all.keys, all.random);
  step_twice(monitor, bytes);
  CephxTicketService tickets(EntityType::osd, all.random, [&] { return all.keys.now(); });
  tickets.set_secrets(all.keys.secrets(EntityType::osd));
  step_twice(tickets, bytes);
  step_twice(tickets, authorizer(choice, bytes));
}

/// A monitor that has our key and answers these bytes, in the clear or sealed where tickets are.
Task<int> as_client(Shard& shard, unsigned choice, Buffer bytes) {
  World& all = world();
  CephxClient login(*KeyName::parse("client.a"), all.client_key, 4, EntityType::osd, all.random, shard.clock());
  auto attempt = login.attempt(EntityType::mon);
  (void)(*attempt)->request();
  (void)(*attempt)->more(choice & 1 ? bytes : encode(Challenge{7}));
  Buffer reply = bytes;
  if (choice & 2) {
    Encoder encoder;
    encoder(ResponseHeader{Request::login, 0});
    encoder(std::uint8_t{1});
    encoder(std::uint32_t{1});
    encoder(static_cast<std::uint32_t>(EntityType::auth));
    encoder(std::uint8_t{1});
    encoder(*seal_bytes(all.client_key, bytes));
    encoder(std::uint8_t{0});
    encoder(bytes);
    reply = encoder.take();
  }
  (void)(*attempt)->done(4101, ConnectionMode::secure, reply);
  (void)login.handle_reply(0, reply);
  Encoder rotating;
  rotating(ResponseHeader{Request::rotating, 0});
  rotating(*seal_bytes(all.client_key, bytes));
  (void)login.handle_reply(0, rotating.take());
  (void)login.take_rotating_secrets();
  co_return 0;
}

template <class... Types>
void check_each(const Buffer& bytes) {
  (check_value<Types>(bytes), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  log_set_level("", LogLevel::error);
  Buffer bytes = Buffer::copy_of(std::as_bytes(std::span(data + 1, size - 1)));
  unsigned choice = data[0];
  check_each<TicketBlob, Authenticate, ResponseHeader, CapsInfo, Ticket, TicketInfo, TicketGrant, AuthorizerHead,
             Authorize, Challenge, AuthorizeReply, TicketRequest, NameClaim, CryptoKey, RotatingSecrets>(bytes);
  check_each<wire::Hello, wire::AuthRequest, wire::AuthBadMethod, wire::AuthReplyMore, wire::AuthDone,
             wire::AuthSignature, wire::ClientIdent, wire::ServerIdent, wire::MissingFeatures, wire::Reconnect,
             wire::ReconnectOk, wire::SessionRetry, wire::SessionRetryGlobal, wire::SessionReset, wire::Wait, wire::Ack,
             wire::Keepalive, wire::KeepaliveAck>(bytes);
  as_monitor_and_service(choice, bytes);
  if (choice & 4) run_main([=](Shard& shard) { return as_client(shard, choice, bytes); });
  return 0;
}
