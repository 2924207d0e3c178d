#include "msg/cephx_server.h"

#include <fmt/format.h>

#include "msg/cephx_protocol.h"

namespace spirula::msg {
using namespace cephx;

namespace {

constexpr std::uint32_t auth_service = static_cast<std::uint32_t>(EntityType::auth);

std::uint64_t nonzero(Random& random) {
  std::uint64_t value = 0;
  while (value == 0) value = random.next();
  return value;
}

Buffer connection_secret(ConnectionMode mode, Random& random) {
  if (mode != ConnectionMode::secure) return {};
  Buffer secret = Buffer::allocate(connection_secret_bytes);
  random.fill({secret.mutable_data(), secret.size()});
  return secret;
}

std::string read_caps(const CapsInfo& info) {
  if (info.allow_all) return "allow *";
  if (info.caps.empty()) return {};
  auto text = decode<std::string>(info.caps);
  return text ? *text : std::string();
}

/// One ticket on its way to its owner.
struct Issue {
  EntityType service;
  TicketInfo info;
  std::uint64_t secret_id;
  CryptoKey secret;
  std::chrono::seconds lifetime;
};

/// Ceph: cephx_build_service_ticket_reply. `old_key`, if any, hides a renewed login ticket from who cannot prove to
/// have had the one before (CVE-2021-20288).
Result<Buffer> build_tickets(const CryptoKey& owner, const std::vector<Issue>& issues, const CryptoKey* old_key) {
  Encoder encoder;
  encoder(std::uint8_t{1});
  encoder(static_cast<std::uint32_t>(issues.size()));
  for (const Issue& issue : issues) {
    encoder(static_cast<std::uint32_t>(issue.service));
    encoder(std::uint8_t{1});
    TicketGrant grant{issue.info.session_key, Time{static_cast<std::uint32_t>(issue.lifetime.count()), 0}};
    TRY(Buffer sealed_grant, seal(owner, grant));
    encoder(sealed_grant);
    TicketBlob blob;
    blob.secret_id = issue.secret_id;
    TRY(blob.sealed, seal(issue.secret, issue.info));
    Buffer ticket = encode(blob);
    encoder(static_cast<std::uint8_t>(old_key != nullptr));
    if (old_key) {
      TRY(Buffer hidden, seal(*old_key, ticket));
      encoder(hidden);
    } else {
      encoder(ticket);
    }
  }
  return encoder.take();
}

struct Verified {
  TicketInfo info;
  Authorize authorize;
};

/// The sealed ticket of an authorizer and what its owner says under the session key in it.
template <class SecretFor>
Result<Verified> verify_authorizer(Decoder& decoder, SecretFor secret_for) {
  auto head = decoder.read<AuthorizerHead>();
  auto sealed_authorize = decoder.read<Buffer>();
  if (decoder.failed() || head.version != mode_authorizer) return Errc::malformed;
  TRY(CryptoKey secret, secret_for(static_cast<EntityType>(head.service), head.ticket.secret_id));
  Verified verified;
  TRY(verified.info, unseal<TicketInfo>(secret, head.ticket.sealed));
  if (verified.info.ticket.global_id != head.global_id) return Errc::access;
  TRY(verified.authorize, unseal<Authorize>(verified.info.session_key, sealed_authorize));
  return verified;
}

}  // namespace

// --- the monitor

namespace {

/// One login at the monitor, and the session that follows it.
class MonitorLogin : public AuthSession, public std::enable_shared_from_this<MonitorLogin> {
 public:
  MonitorLogin(KeyServer& keys, Random& random, TicketLifetimes lifetimes, ConnectionMode mode)
      : keys_(keys), random_(random), lifetimes_(lifetimes), mode_(mode) {}

  Result<AuthAcceptance::Step> step(const Buffer& payload) {
    if (server_challenge_ == 0) return claim(payload);
    Decoder decoder(payload);
    if (decoder.read<Request>() != Request::login) return Errc::malformed;
    AuthAcceptance::Step step;
    TRY(step.reply, login(decoder, &step.outcome));
    step.done = true;
    step.outcome.session = shared_from_this();
    return step;
  }

  std::string problem() const { return problem_; }

  Result<Buffer> handle(const Buffer& payload) override {
    Decoder decoder(payload);
    switch (decoder.read<Request>()) {
      case Request::login:
        return login(decoder, nullptr);
      case Request::tickets:
        return tickets(decoder);
      case Request::rotating:
        return rotating();
    }
    return Errc::invalid;
  }

 private:
  template <class... A>
  Errc refuse(fmt::format_string<A...> format, A&&... args) {
    problem_ = fmt::vformat(format, fmt::make_format_args(args...));
    return Errc::access;
  }

  /// A name and perhaps the global id of an earlier session; answered by a challenge.
  Result<AuthAcceptance::Step> claim(const Buffer& payload) {
    TRY(auto claim, decode<NameClaim>(payload));
    if (claim.mode != mode_monitor) return Errc::unsupported;
    name_ = claim.name;
    global_id_ = claim.global_id;
    reclaims_ = global_id_ != 0;
    server_challenge_ = nonzero(random_);
    AuthAcceptance::Step step;
    step.reply = encode(Challenge{server_challenge_});
    return step;
  }

  Result<Buffer> login(Decoder& decoder, AuthOutcome* outcome) {
    auto request = decoder.read<Authenticate>();
    if (decoder.failed()) return Errc::malformed;
    auto entry = keys_.find(name_);
    if (!entry) return refuse("there is no {}", name_.describe());
    TRY(std::uint64_t expected, challenge_answer(entry->key, server_challenge_, request.client_challenge));
    if (request.answer != expected) return refuse("wrong key for {}", name_.describe());
    auto caps = entry->caps.find("mon");
    if (caps == entry->caps.end() || caps->second.empty())
      return refuse("{} has no mon capabilities", name_.describe());
    std::optional<CryptoKey> old_key;
    if (reclaims_) {
      TRY(old_key, old_session_key(request.old_ticket));
    } else if (global_id_ == 0) {
      global_id_ = keys_.allocate_global_id();
      reclaims_ = true;  // for a renewal over this session
    }
    RotatingSecrets secrets = keys_.secrets(EntityType::auth);
    auto* current = secrets.current();
    if (!current) return Errc::again;
    Issue login{EntityType::auth, {}, current->first, current->second.key, lifetimes_.login};
    login.info.ticket = ticket_for(name_, lifetimes_.login);
    login.info.session_key = CryptoKey::generate(random_, keys_.now());
    const CryptoKey session_key = login.info.session_key;

    Encoder reply;
    reply(ResponseHeader{Request::login, 0});
    TRY(Buffer tickets, build_tickets(entry->key, {login}, old_key ? &*old_key : nullptr));
    reply.raw(tickets);
    if (request.services != 0) {
      Buffer secret, sealed_secret;
      if (outcome) {
        secret = connection_secret(mode_, random_);
        TRY(Buffer sealed, seal(session_key, secret));
        sealed_secret = encode(sealed);
      }
      reply(sealed_secret);
      auto issues = issue_for(request.services & ~auth_service, name_, *entry);
      Buffer extra;
      if (!issues.empty()) {
        TRY(extra, build_tickets(session_key, issues, nullptr));
      }
      reply(extra);
      if (outcome) outcome->connection_secret = secret;
    }
    if (outcome) {
      outcome->mode = mode_;
      if (mode_ == ConnectionMode::secure && outcome->connection_secret.empty()) return Errc::unsupported;
      outcome->session_key = session_key.secret;
      outcome->identity = Identity{name_, global_id_, true, caps->second};
    }
    return reply.take();
  }

  Result<std::optional<CryptoKey>> old_session_key(const TicketBlob& old_ticket) {
    auto refuse_to_reclaim = [&](const char* why) {
      return refuse("{} reclaims global id {} {}", name_.describe(), global_id_, why);
    };
    if (old_ticket.sealed.empty()) return refuse_to_reclaim("without a ticket");
    RotatingSecrets secrets = keys_.secrets(EntityType::auth);
    auto* secret = secrets.find(old_ticket.secret_id);
    if (!secret) return refuse_to_reclaim("with a ticket too old");
    auto old = unseal<TicketInfo>(secret->key, old_ticket.sealed);
    if (!old || old->ticket.global_id != global_id_) return refuse_to_reclaim("with a ticket that is not its own");
    return std::optional(old->session_key);
  }

  Ticket ticket_for(const KeyName& name, std::chrono::seconds lifetime) {
    Ticket ticket;
    ticket.name = name;
    ticket.global_id = global_id_;
    ticket.created = ticket.expires = keys_.now();
    ticket.expires.seconds += static_cast<std::uint32_t>(lifetime.count());
    return ticket;
  }

  /// One ticket for each kind of service that we have secrets for.
  std::vector<Issue> issue_for(std::uint32_t services, const KeyName& name, const KeyServer::Entry& entry) {
    std::vector<Issue> issues;
    for (EntityType service : {EntityType::mon, EntityType::mds, EntityType::osd, EntityType::mgr, EntityType::auth}) {
      if (!(services & static_cast<std::uint32_t>(service))) continue;
      RotatingSecrets secrets = keys_.secrets(service);
      auto* current = secrets.current();
      if (!current) continue;
      Issue issue{service, {}, current->first, current->second.key, lifetimes_.service};
      issue.info.ticket = ticket_for(name, lifetimes_.service);
      issue.info.session_key = CryptoKey::generate(random_, keys_.now());
      if (auto caps = entry.caps.find(describe(service)); caps != entry.caps.end())
        issue.info.ticket.caps.caps = encode(caps->second);
      issues.push_back(std::move(issue));
    }
    return issues;
  }

  Result<Buffer> tickets(Decoder& decoder) {
    auto secret_for = [&](EntityType service, std::uint64_t id) -> Result<CryptoKey> {
      RotatingSecrets secrets = keys_.secrets(service);
      auto* found = service == EntityType::auth ? secrets.find(id) : nullptr;
      if (!found) return Errc::access;
      return found->key;
    };
    TRY(Verified verified, verify_authorizer(decoder, secret_for));
    auto request = decoder.read<TicketRequest>();
    if (decoder.failed()) return Errc::malformed;
    const Ticket& login = verified.info.ticket;
    auto entry = keys_.find(login.name);
    if (!entry || login.name != name_ || login.global_id != global_id_) return Errc::access;
    if (login.expires < keys_.now()) return Errc::access;
    Encoder reply;
    reply(ResponseHeader{Request::tickets, 0});
    TRY(Buffer built,
        build_tickets(verified.info.session_key, issue_for(request.services, login.name, *entry), nullptr));
    reply.raw(built);
    return reply.take();
  }

  Result<Buffer> rotating() {
    auto entry = keys_.find(name_);
    if (!entry) return Errc::access;
    auto service = static_cast<EntityType>(name_.type);
    if (service != EntityType::mon && service != EntityType::osd && service != EntityType::mds &&
        service != EntityType::mgr)
      return Errc::permission;
    Encoder reply;
    reply(ResponseHeader{Request::rotating, 0});
    TRY(Buffer sealed, seal(entry->key, keys_.secrets(service)));
    reply(sealed);
    return reply.take();
  }

  KeyServer& keys_;
  Random& random_;
  const TicketLifetimes lifetimes_;
  const ConnectionMode mode_;
  KeyName name_;
  std::uint64_t global_id_ = 0;
  bool reclaims_ = false;
  std::uint64_t server_challenge_ = 0;
  std::string problem_;
};

class MonitorAcceptance : public AuthAcceptance {
 public:
  explicit MonitorAcceptance(std::shared_ptr<MonitorLogin> login) : login_(std::move(login)) {}
  Result<Step> step(const Buffer& payload) override { return login_->step(payload); }
  std::string problem() const override { return login_->problem(); }

 private:
  std::shared_ptr<MonitorLogin> login_;
};

}  // namespace

Result<std::unique_ptr<AuthAcceptance>> CephxMonitorService::accept(AuthMethod method, EntityType,
                                                                    ConnectionMode mode) {
  if (method != AuthMethod::cephx) return Errc::unsupported;
  return std::make_unique<MonitorAcceptance>(std::make_shared<MonitorLogin>(keys_, random_, lifetimes_, mode));
}

// --- services

namespace {

/// One peer that comes with a ticket: its authorizer, our challenge, its authorizer again.
class TicketAcceptance : public AuthAcceptance {
 public:
  TicketAcceptance(const CephxTicketService& service, Random& random, ConnectionMode mode, Time now)
      : service_(service), random_(random), mode_(mode), now_(now) {}

  Result<Step> step(const Buffer& payload) override {
    Decoder decoder(payload);
    auto secret_for = [&](EntityType service, std::uint64_t id) {
      auto secret = service_.secret(service, id);
      if (!secret)
        problem_ = fmt::format("a ticket under secret {} of {}, which we do not have", id, describe(service));
      return secret;
    };
    TRY(Verified verified, verify_authorizer(decoder, secret_for));
    const Ticket& ticket = verified.info.ticket;
    auto refuse = [&](const char* why) {
      problem_ = fmt::format("the ticket of {} {}", ticket.name.describe(), why);
      return Errc::access;
    };
    if (ticket.expires < now_) return refuse("has expired");
    const CryptoKey& session_key = verified.info.session_key;
    Step step;
    if (challenge_ == 0 || !verified.authorize.has_challenge) {
      if (challenge_ != 0) return refuse("comes without an answer to our challenge");
      challenge_ = nonzero(random_);
      TRY(step.reply, seal(session_key, Challenge{challenge_}));
      return step;
    }
    if (verified.authorize.challenge_plus_one != challenge_ + 1)
      return refuse("comes with the answer to another challenge");
    AuthorizeReply reply{verified.authorize.nonce + 1, connection_secret(mode_, random_)};
    TRY(Buffer sealed, seal(session_key, reply));
    step.reply = encode(sealed);
    step.done = true;
    step.outcome.mode = mode_;
    step.outcome.identity = Identity{ticket.name, ticket.global_id, true, read_caps(ticket.caps)};
    step.outcome.session_key = session_key.secret;
    step.outcome.connection_secret = reply.connection_secret;
    return step;
  }
  std::string problem() const override { return problem_; }

 private:
  const CephxTicketService& service_;
  Random& random_;
  const ConnectionMode mode_;
  const Time now_;
  std::uint64_t challenge_ = 0;
  std::string problem_;
};

}  // namespace

void CephxTicketService::set_secrets(RotatingSecrets secrets) {
  std::lock_guard lock(mutex_);
  secrets_ = std::move(secrets);
}

Result<CryptoKey> CephxTicketService::secret(EntityType service, std::uint64_t id) const {
  std::lock_guard lock(mutex_);
  auto* found = service == service_ ? secrets_.find(id) : nullptr;
  if (!found) return Errc::access;
  return found->key;
}

Result<std::unique_ptr<AuthAcceptance>> CephxTicketService::accept(AuthMethod method, EntityType, ConnectionMode mode) {
  if (method != AuthMethod::cephx) return Errc::unsupported;
  return std::make_unique<TicketAcceptance>(*this, random_, mode, now_());
}

// --- auth none

namespace {

class NoneAcceptance : public AuthAcceptance {
 public:
  explicit NoneAcceptance(std::function<std::uint64_t()>& allocate) : allocate_(allocate) {}
  Result<Step> step(const Buffer& payload) override {
    TRY(auto claim, decode<NameClaim>(payload));
    if (claim.mode != mode_monitor && claim.mode != mode_authorizer) return Errc::malformed;
    Step step;
    step.done = true;
    step.outcome.identity = Identity{claim.name, claim.global_id, false, "allow *"};
    if (claim.global_id == 0) step.outcome.identity.global_id = allocate_();
    return step;
  }

 private:
  std::function<std::uint64_t()>& allocate_;
};

}  // namespace

Result<std::unique_ptr<AuthAcceptance>> NoneService::accept(AuthMethod method, EntityType, ConnectionMode mode) {
  if (method != AuthMethod::none || mode != ConnectionMode::crc) return Errc::unsupported;
  return std::make_unique<NoneAcceptance>(allocate_global_id_);
}

}  // namespace spirula::msg
