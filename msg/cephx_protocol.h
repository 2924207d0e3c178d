#pragma once
#include <cstdint>
#include <string>

#include "msg/cephx_crypto.h"

/// The messages inside cephx payloads, for the sources of cephx_server.h and cephx_client.h. Each starts with a lone
/// version byte instead of an envelope. Source: Ceph src/auth/cephx/CephxProtocol.h, src/auth/Auth.h.
namespace spirula::msg::cephx {

/// CEPHX_GET_*: what a request to the monitor asks for.
enum class Request : std::uint16_t { login = 0x0100, tickets = 0x0200, rotating = 0x0400 };
/// AUTH_MODE_*: the first byte of an AUTH_REQUEST's payload.
inline constexpr std::uint8_t mode_authorizer = 1, mode_monitor = 10;
inline constexpr std::size_t connection_secret_bytes = 64;  ///< CEPH_MAX_CON_SECRET_LEN, what Ceph makes for SECURE
inline constexpr std::size_t ticket_bytes_max = 16 << 10;

/// CephXTicketBlob.
struct TicketBlob {
  std::uint64_t secret_id = 0;
  Buffer sealed;
  static void fields(auto& self, auto& wire) {
    std::uint8_t version = 1;
    wire(version);
    wire(self.secret_id);
    wire(self.sealed, ticket_bytes_max);
  }
};

/// CephXAuthenticate.
struct Authenticate {
  std::uint8_t version = 3;
  std::uint64_t client_challenge = 0, answer = 0;
  TicketBlob old_ticket;
  std::uint32_t services = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.version);
    wire(self.client_challenge);
    wire(self.answer);
    wire(self.old_ticket);
    if (self.version >= 2) wire(self.services);
  }
};

/// CephXResponseHeader.
struct ResponseHeader {
  Request request{};
  std::int32_t status = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.request);
    wire(self.status);
  }
};

/// AuthCapsInfo; `caps` is an encoded string in its turn.
struct CapsInfo {
  bool allow_all = false;
  Buffer caps;
  static void fields(auto& self, auto& wire) {
    std::uint8_t version = 1;
    wire(version);
    wire(self.allow_all);
    wire(self.caps, ticket_bytes_max);
  }
};

/// AuthTicket.
struct Ticket {
  KeyName name;
  std::uint64_t global_id = 0;
  std::uint64_t old_user_id = ~std::uint64_t{0};
  Time created, expires;
  CapsInfo caps;
  std::uint32_t flags = 0;
  static void fields(auto& self, auto& wire) {
    std::uint8_t version = 2;
    wire(version);
    wire(self.name);
    wire(self.global_id);
    if (version >= 2) wire(self.old_user_id);
    wire(self.created);
    wire(self.expires);
    wire(self.caps);
    wire(self.flags);
  }
};

/// CephXServiceTicketInfo: what a service finds in the sealed ticket.
struct TicketInfo {
  Ticket ticket;
  CryptoKey session_key;
  static void fields(auto& self, auto& wire) {
    std::uint8_t version = 1;
    wire(version);
    wire(self.ticket);
    wire(self.session_key);
  }
};

/// CephXServiceTicket: what the ticket's owner learns.
struct TicketGrant {
  CryptoKey session_key;
  Time validity;
  static void fields(auto& self, auto& wire) {
    std::uint8_t version = 1;
    wire(version);
    wire(self.session_key);
    wire(self.validity);
  }
};

/// The first half of an authorizer; a sealed Authorize follows.
struct AuthorizerHead {
  std::uint8_t version = mode_authorizer;
  std::uint64_t global_id = 0;
  std::uint32_t service = 0;
  TicketBlob ticket;
  static void fields(auto& self, auto& wire) {
    wire(self.version);
    wire(self.global_id);
    wire(self.service);
    wire(self.ticket);
  }
};

/// CephXAuthorize.
struct Authorize {
  std::uint8_t version = 2;
  std::uint64_t nonce = 0;
  bool has_challenge = false;
  std::uint64_t challenge_plus_one = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.version);
    wire(self.nonce);
    if (self.version < 2) return;
    wire(self.has_challenge);
    wire(self.challenge_plus_one);
  }
};

/// CephXServerChallenge and CephXAuthorizeChallenge.
struct Challenge {
  std::uint64_t value = 0;
  static void fields(auto& self, auto& wire) {
    std::uint8_t version = 1;
    wire(version);
    wire(self.value);
  }
};

/// CephXAuthorizeReply.
struct AuthorizeReply {
  std::uint64_t nonce_plus_one = 0;
  Buffer connection_secret;
  static void fields(auto& self, auto& wire) {
    std::uint8_t version = self.connection_secret.empty() ? 1 : 2;
    wire(version);
    wire(self.nonce_plus_one);
    if (version >= 2) wire(self.connection_secret, 256);
  }
};

/// CephXServiceTicketRequest.
struct TicketRequest {
  std::uint32_t services = 0;
  static void fields(auto& self, auto& wire) {
    std::uint8_t version = 1;
    wire(version);
    wire(self.services);
  }
};

/// AuthNoneAuthorizer, and the head of a login with either method.
struct NameClaim {
  std::uint8_t mode = mode_monitor;
  KeyName name;
  std::uint64_t global_id = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.mode);
    wire(self.name);
    wire(self.global_id);
  }
};

}  // namespace spirula::msg::cephx
