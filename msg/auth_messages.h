#pragma once
#include <cstdint>
#include <string>

#include "base/codec.h"

/// Authentication carried by messages over a standing monitor session. Sources: Ceph src/messages/MAuth.h,
/// MAuthReply.h, PaxosServiceMessage.h.
namespace spirula::msg {

/// Ceph: PaxosServiceMessage. The three numbers in front of every request to a monitor's services.
struct PaxosHeader {
  std::uint64_t version = 0;
  std::int16_t session_mon = -1;
  std::uint64_t session_mon_tid = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.version);
    wire(self.session_mon);
    wire(self.session_mon_tid);
  }
};

/// Ceph: MAuth, CEPH_MSG_AUTH.
struct Auth {
  static constexpr std::uint16_t message_type = 17, header_version = 1, header_compat = 1;
  PaxosHeader paxos;
  std::uint32_t protocol = 2;  ///< an AuthMethod
  Buffer payload;
  std::uint32_t monmap_epoch = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.protocol);
    wire(self.payload, 64 << 10);
    wire(self.monmap_epoch);
  }
};

/// Ceph: MAuthReply, CEPH_MSG_AUTH_REPLY.
struct AuthReply {
  static constexpr std::uint16_t message_type = 18, header_version = 1, header_compat = 1;
  std::uint32_t protocol = 2;
  std::int32_t result = 0;
  std::uint64_t global_id = 0;
  Buffer payload;
  std::string text;
  static void fields(auto& self, auto& wire) {
    wire(self.protocol);
    wire(self.result);
    wire(self.global_id);
    wire(self.payload, 256 << 10);
    wire(self.text, 4096);
  }
};

}  // namespace spirula::msg
