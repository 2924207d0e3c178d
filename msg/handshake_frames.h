#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "base/codec.h"
#include "msg/auth.h"
#include "msg/frame.h"
#include "msg/types.h"

/// What the control frames of msgr2 carry. Source: Ceph src/msg/async/frames_v2.h.
namespace spirula::msg::wire {

struct Hello {
  static constexpr Tag tag = Tag::hello;
  EntityType type{};
  Address peer;  ///< the receiver, as the sender sees it
  static void fields(auto& self, auto& wire) {
    wire(self.type);
    wire(self.peer);
  }
};

struct AuthRequest {
  static constexpr Tag tag = Tag::auth_request;
  AuthMethod method{};
  std::vector<ConnectionMode> modes;
  Buffer payload;
  static void fields(auto& self, auto& wire) {
    wire(self.method);
    wire(self.modes, 16);
    wire(self.payload);
  }
};

struct AuthBadMethod {
  static constexpr Tag tag = Tag::auth_bad_method;
  AuthMethod method{};
  std::int32_t result = 0;
  std::vector<AuthMethod> methods;
  std::vector<ConnectionMode> modes;
  static void fields(auto& self, auto& wire) {
    wire(self.method);
    wire(self.result);
    wire(self.methods, 16);
    wire(self.modes, 16);
  }
};

template <Tag T>
struct Payload {
  static constexpr Tag tag = T;
  Buffer payload;
  static void fields(auto& self, auto& wire) { wire(self.payload); }
};
using AuthReplyMore = Payload<Tag::auth_reply_more>;
using AuthRequestMore = Payload<Tag::auth_request_more>;

struct AuthDone {
  static constexpr Tag tag = Tag::auth_done;
  std::uint64_t global_id = 0;
  ConnectionMode mode{};
  Buffer payload;
  static void fields(auto& self, auto& wire) {
    wire(self.global_id);
    wire(self.mode);
    wire(self.payload);
  }
};

struct AuthSignature {
  static constexpr Tag tag = Tag::auth_signature;
  std::array<std::uint8_t, 32> digest{};
  static void fields(auto& self, auto& wire) { wire(self.digest); }
};

inline constexpr std::uint64_t flag_lossy = 1;  ///< CEPH_MSG_CONNECT_LOSSY

struct ClientIdent {
  static constexpr Tag tag = Tag::client_ident;
  AddressVector addresses;
  Address target;
  std::int64_t global_id = -1;
  std::uint64_t global_sequence = 0, features = 0, features_required = 0, flags = 0, cookie = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.addresses);
    wire(self.target);
    wire(self.global_id);
    wire(self.global_sequence);
    wire(self.features);
    wire(self.features_required);
    wire(self.flags);
    wire(self.cookie);
  }
};

struct ServerIdent {
  static constexpr Tag tag = Tag::server_ident;
  AddressVector addresses;
  std::int64_t number = 0;  ///< of its EntityName
  std::uint64_t global_sequence = 0, features = 0, features_required = 0, flags = 0, cookie = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.addresses);
    wire(self.number);
    wire(self.global_sequence);
    wire(self.features);
    wire(self.features_required);
    wire(self.flags);
    wire(self.cookie);
  }
};

struct Reconnect {
  static constexpr Tag tag = Tag::session_reconnect;
  AddressVector addresses;
  std::uint64_t client_cookie = 0, server_cookie = 0, global_sequence = 0, connect_sequence = 0, in_sequence = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.addresses);
    wire(self.client_cookie);
    wire(self.server_cookie);
    wire(self.global_sequence);
    wire(self.connect_sequence);
    wire(self.in_sequence);
  }
};

/// A frame of one 64-bit number.
template <Tag T>
struct Number {
  static constexpr Tag tag = T;
  std::uint64_t value = 0;
  static void fields(auto& self, auto& wire) { wire(self.value); }
};
using MissingFeatures = Number<Tag::ident_missing_features>;
using ReconnectOk = Number<Tag::session_reconnect_ok>;         ///< the last sequence that arrived
using SessionRetry = Number<Tag::session_retry>;               ///< a connect sequence to exceed
using SessionRetryGlobal = Number<Tag::session_retry_global>;  ///< a global sequence to exceed
using Ack = Number<Tag::ack>;

struct SessionReset {
  static constexpr Tag tag = Tag::session_reset;
  bool full = true;
  static void fields(auto& self, auto& wire) { wire(self.full); }
};

struct Wait {
  static constexpr Tag tag = Tag::wait;
  static void fields(auto&, auto&) {}
};

template <Tag T>
struct Stamp {
  static constexpr Tag tag = T;
  Time time;
  static void fields(auto& self, auto& wire) { wire(self.time); }
};
using Keepalive = Stamp<Tag::keepalive2>;
using KeepaliveAck = Stamp<Tag::keepalive2_ack>;

}  // namespace spirula::msg::wire
