#include "msg/cephx_client.h"

#include <algorithm>

#include "msg/cephx_protocol.h"

namespace spirula::msg {
using namespace cephx;

namespace {

constexpr std::uint32_t mask(EntityType type) {
  return static_cast<std::uint32_t>(type);
}
constexpr EntityType ticket_types[] = {EntityType::mon, EntityType::mds, EntityType::osd, EntityType::mgr};

/// How soon rotating secrets are asked for again when the newest set names no earlier moment.
constexpr std::chrono::seconds rotating_interval_max = std::chrono::minutes(15);
/// How soon at the earliest.
constexpr std::chrono::seconds rotating_interval_min{1};
/// A monitor that has no secrets for a kind of service yet is asked again after this long.
constexpr std::chrono::seconds ungranted_pause = std::chrono::seconds(1);

}  // namespace

CephxClient::CephxClient(KeyName name, CryptoKey key, std::uint32_t services, EntityType rotating, Random& random,
                         Clock& clock)
    : name_(std::move(name)),
      key_(std::move(key)),
      services_(services),
      rotating_(rotating),
      random_(random),
      clock_(clock) {}

// --- tickets

/// What stands in a reply of tickets, opened with `key` (Ceph: CephXTicketManager::verify_service_ticket_reply).
Result<> CephxClient::read_tickets(const CryptoKey& key, Decoder& decoder) {
  decoder.skip(1);
  auto count = decoder.read<std::uint32_t>();
  if (count > 16) return Errc::malformed;
  while (count-- > 0) {
    auto service = static_cast<EntityType>(decoder.read<std::uint32_t>());
    decoder.skip(1);
    auto sealed_grant = decoder.read<Buffer>();
    bool hidden = decoder.read<std::uint8_t>() != 0;
    auto blob_bytes = decoder.read<Buffer>();
    if (decoder.failed()) return Errc::malformed;
    TRY(auto grant, unseal<TicketGrant>(key, sealed_grant));
    if (hidden) {
      auto old = tickets_.find(service);
      if (old == tickets_.end()) return Errc::access;
      TRY(blob_bytes, unseal<Buffer>(old->second.session_key, blob_bytes));
    }
    TRY(auto blob, decode<TicketBlob>(blob_bytes));
    Ticket ticket;
    ticket.session_key = grant.session_key;
    ticket.secret_id = blob.secret_id;
    ticket.blob = Buffer::copy_of(blob.sealed.view());
    auto lifetime = std::chrono::seconds(grant.validity.seconds);
    ticket.expires = clock_.now() + lifetime;
    ticket.renew_after = ticket.expires - lifetime / 4;
    tickets_[service] = std::move(ticket);
  }
  return {};
}

bool CephxClient::is_fresh(EntityType service) const {
  auto it = tickets_.find(service);
  return it != tickets_.end() && clock_.now() < it->second.renew_after;
}

std::uint32_t CephxClient::services_due() const {
  std::uint32_t due = 0;
  if (clock_.now() < services_asked_again_) return due;
  for (EntityType service : ticket_types)
    if ((services_ & mask(service)) && !is_fresh(service)) due |= mask(service);
  return due;
}

bool CephxClient::has_ticket(EntityType service) const {
  std::lock_guard lock(mutex_);
  auto it = tickets_.find(service);
  return it != tickets_.end() && clock_.now() < it->second.expires;
}

std::uint64_t CephxClient::global_id() const {
  std::lock_guard lock(mutex_);
  return global_id_;
}

void CephxClient::refused(EntityType peer) {
  std::lock_guard lock(mutex_);
  if (peer != EntityType::mon) tickets_.erase(peer);
  // A new ticket is no better than the login it comes from.
  if (auto login = tickets_.find(EntityType::auth); login != tickets_.end() && peer != EntityType::mon)
    login->second.renew_after = clock_.now();
}

// --- renewal over a standing session

/// The monitor replaces secrets by the clock on the wall. When that jumps ahead, as it does on a machine whose clock
/// was wrong at its start, it does so at once, and until we have the new ones nobody gets in.
bool CephxClient::rotating_is_due() const {
  if (rotating_ == EntityType::none) return false;
  const MonotonicTime now = clock_.now();
  return now >= rotating_due_ || (now >= rotating_again_ && clock_.wall() >= rotating_expires_);
}

bool CephxClient::needs_renewal() const {
  std::lock_guard lock(mutex_);
  if (global_id_ == 0) return false;  // a login comes first
  return !is_fresh(EntityType::auth) || services_due() != 0 || rotating_is_due();
}

Result<Buffer> CephxClient::authorizer_base(EntityType service) const {
  auto it = tickets_.find(service);
  if (it == tickets_.end() || clock_.now() >= it->second.expires) return Errc::again;
  AuthorizerHead head;
  head.global_id = global_id_;
  head.service = mask(service);
  head.ticket = TicketBlob{it->second.secret_id, it->second.blob};
  return encode(head);
}

Buffer CephxClient::login_request(std::uint64_t client_challenge) {
  Authenticate authenticate;
  authenticate.client_challenge = client_challenge;
  auto answer = challenge_answer(key_, server_challenge_, client_challenge);
  authenticate.answer = answer ? *answer : 0;
  if (auto old = tickets_.find(EntityType::auth); old != tickets_.end())
    authenticate.old_ticket = TicketBlob{old->second.secret_id, old->second.blob};
  // The login ticket is always granted; naming it keeps the mask from being empty, which would ask for the answer of
  // an old protocol without a connection secret.
  authenticate.services = services_ | mask(EntityType::auth);
  Encoder encoder;
  encoder(Request::login);
  encoder(authenticate);
  return encoder.take();
}

std::optional<Buffer> CephxClient::renewal_request() {
  std::lock_guard lock(mutex_);
  if (global_id_ == 0) return std::nullopt;
  if (!is_fresh(EntityType::auth)) return login_request(random_.next());
  if (std::uint32_t due = services_due()) {
    auto base = authorizer_base(EntityType::auth);
    auto sealed = seal(tickets_.at(EntityType::auth).session_key, Authorize{2, random_.next(), false, 0});
    if (base && sealed) {
      Encoder encoder;
      encoder(Request::tickets);
      encoder.raw(*base);
      encoder(*sealed);
      encoder(TicketRequest{due});
      return encoder.take();
    }
  }
  if (rotating_is_due()) return encode(Request::rotating);
  return std::nullopt;
}

Result<> CephxClient::handle_reply(std::int32_t result, const Buffer& payload) {
  std::lock_guard lock(mutex_);
  if (result < 0) {
    tickets_.erase(EntityType::auth);
    return Errc::access;
  }
  Decoder decoder(payload);
  auto header = decoder.read<ResponseHeader>();
  if (decoder.failed()) return Errc::malformed;
  if (header.status < 0) return Errc::access;
  switch (header.request) {
    case Request::login: {
      TRY(read_tickets(key_, decoder));
      if (decoder.remaining() == 0) return {};
      decoder.read<Buffer>();  // no connection secret: the connection stands already
      auto extra = decoder.read<Buffer>();
      TRY(decoder.finish());
      if (extra.empty()) return {};
      auto login = tickets_.find(EntityType::auth);
      if (login == tickets_.end()) return Errc::malformed;
      Decoder more(extra);
      const CryptoKey session_key = login->second.session_key;
      return read_tickets(session_key, more);
    }
    case Request::tickets: {
      auto login = tickets_.find(EntityType::auth);
      if (login == tickets_.end()) return Errc::access;
      const CryptoKey session_key = login->second.session_key;
      TRY(read_tickets(session_key, decoder));
      if (services_due() != 0) services_asked_again_ = clock_.now() + ungranted_pause;
      return {};
    }
    case Request::rotating: {
      auto sealed = decoder.read<Buffer>();
      TRY(decoder.finish());
      TRY(auto secrets, unseal<RotatingSecrets>(key_, sealed));
      auto interval = rotating_interval_max;
      if (auto* current = secrets.current(); current) {
        // The key after the current one must be here before it is used, so look again well before.
        auto left = current->second.expires.wall() - clock_.wall();
        interval = std::clamp(std::chrono::duration_cast<std::chrono::seconds>(left / 2), rotating_interval_min,
                              rotating_interval_max);
        rotating_expires_ = current->second.expires.wall();
      }
      rotating_due_ = clock_.now() + interval;
      rotating_again_ = clock_.now() + rotating_interval_min;
      rotating_new_ = std::move(secrets);
      return {};
    }
  }
  return Errc::malformed;
}

std::optional<RotatingSecrets> CephxClient::take_rotating_secrets() {
  std::lock_guard lock(mutex_);
  return std::exchange(rotating_new_, std::nullopt);
}

// --- handshakes

/// One login to a monitor.
class CephxLogin : public AuthAttempt {
 public:
  explicit CephxLogin(CephxClient& client) : client_(client) {}
  AuthMethod method() const override { return AuthMethod::cephx; }
  std::vector<ConnectionMode> modes() const override { return client_.modes_.monitors; }

  Buffer request() override {
    std::lock_guard lock(client_.mutex_);
    NameClaim claim{mode_monitor, client_.name_, client_.global_id_};
    // Without its ticket a global id cannot be kept.
    if (!client_.tickets_.contains(EntityType::auth)) claim.global_id = 0;
    return encode(claim);
  }

  Result<Buffer> more(const Buffer& reply) override {
    TRY(auto challenge, decode<Challenge>(reply));
    std::lock_guard lock(client_.mutex_);
    server_challenge_ = challenge.value;
    client_.server_challenge_ = challenge.value;
    return client_.login_request(client_.random_.next());
  }

  Result<AuthOutcome> done(std::uint64_t global_id, ConnectionMode mode, const Buffer& payload) override {
    std::lock_guard lock(client_.mutex_);
    Decoder decoder(payload);
    auto header = decoder.read<ResponseHeader>();
    if (decoder.failed() || header.request != Request::login || header.status != 0) return Errc::malformed;
    TRY(client_.read_tickets(client_.key_, decoder));
    auto login = client_.tickets_.find(EntityType::auth);
    if (login == client_.tickets_.end()) return Errc::malformed;
    const CryptoKey session_key = login->second.session_key;
    AuthOutcome outcome;
    outcome.mode = mode;
    outcome.session_key = session_key.secret;
    auto secret_bytes = decoder.read<Buffer>();
    auto extra = decoder.read<Buffer>();
    TRY(decoder.finish());
    if (!secret_bytes.empty()) {
      TRY(Buffer sealed, decode<Buffer>(secret_bytes));
      TRY(outcome.connection_secret, unseal<Buffer>(session_key, sealed));
    }
    if (!extra.empty()) {
      Decoder more(extra);
      TRY(client_.read_tickets(session_key, more));
    }
    client_.global_id_ = global_id;
    client_.server_challenge_ = server_challenge_;
    outcome.identity.authenticated = true;
    outcome.identity.global_id = global_id;
    return outcome;
  }

 private:
  CephxClient& client_;
  std::uint64_t server_challenge_ = 0;
};

/// One proof by ticket to an OSD, an MDS or a manager.
class CephxAuthorizer : public AuthAttempt {
 public:
  CephxAuthorizer(Buffer base, CryptoKey session_key, std::vector<ConnectionMode> modes, Random& random)
      : base_(std::move(base)), session_key_(std::move(session_key)), modes_(std::move(modes)), nonce_(random.next()) {}
  AuthMethod method() const override { return AuthMethod::cephx; }
  std::vector<ConnectionMode> modes() const override { return modes_; }

  Buffer request() override { return authorizer(Authorize{2, nonce_, false, 0}); }
  Result<Buffer> more(const Buffer& reply) override {
    TRY(auto challenge, unseal<Challenge>(session_key_, reply));
    return authorizer(Authorize{2, nonce_, true, challenge.value + 1});
  }
  Result<AuthOutcome> done(std::uint64_t, ConnectionMode mode, const Buffer& payload) override {
    TRY(Buffer sealed, decode<Buffer>(payload));
    TRY(auto reply, unseal<AuthorizeReply>(session_key_, sealed));
    if (reply.nonce_plus_one != nonce_ + 1) return Errc::access;
    AuthOutcome outcome;
    outcome.mode = mode;
    outcome.session_key = session_key_.secret;
    outcome.connection_secret = reply.connection_secret;
    outcome.identity.authenticated = true;
    return outcome;
  }

 private:
  Buffer authorizer(const Authorize& authorize) {
    auto sealed = seal(session_key_, authorize);
    Encoder encoder;
    encoder.raw(base_);
    if (sealed) encoder(*sealed);  // a session key that cannot seal ends in the peer's refusal
    return encoder.take();
  }

  const Buffer base_;
  const CryptoKey session_key_;
  const std::vector<ConnectionMode> modes_;
  const std::uint64_t nonce_;
};

Result<std::unique_ptr<AuthAttempt>> CephxClient::attempt(EntityType peer) {
  if (peer == EntityType::mon) return std::make_unique<CephxLogin>(*this);
  std::lock_guard lock(mutex_);
  TRY(Buffer base, authorizer_base(peer));
  return std::make_unique<CephxAuthorizer>(base, tickets_.at(peer).session_key, modes_.with(peer), random_);
}

// --- auth none

class NoneAttempt : public AuthAttempt {
 public:
  NoneAttempt(NoneClient& client, EntityType peer) : client_(client), peer_(peer) {}
  AuthMethod method() const override { return AuthMethod::none; }
  std::vector<ConnectionMode> modes() const override { return {ConnectionMode::crc}; }
  Buffer request() override {
    NameClaim claim;
    claim.mode = peer_ == EntityType::mon ? mode_monitor : mode_authorizer;
    claim.name = client_.name_;
    claim.global_id = client_.global_id();
    return encode(claim);
  }
  Result<Buffer> more(const Buffer&) override { return Errc::malformed; }
  Result<AuthOutcome> done(std::uint64_t global_id, ConnectionMode, const Buffer&) override {
    if (peer_ == EntityType::mon) {
      std::lock_guard lock(client_.mutex_);
      client_.global_id_ = global_id;
    }
    AuthOutcome outcome;
    outcome.identity.global_id = global_id;
    return outcome;
  }

 private:
  NoneClient& client_;
  const EntityType peer_;
};

Result<std::unique_ptr<AuthAttempt>> NoneClient::attempt(EntityType peer) {
  return std::make_unique<NoneAttempt>(*this, peer);
}

std::uint64_t NoneClient::global_id() const {
  std::lock_guard lock(mutex_);
  return global_id_;
}

}  // namespace spirula::msg
