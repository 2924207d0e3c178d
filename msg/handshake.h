#pragma once
#include <cstdint>

#include "base/result.h"
#include "base/task.h"
#include "msg/auth.h"
#include "msg/transport.h"
#include "msg/types.h"

/// The first half of a msgr2 handshake, from the banner to AUTH_SIGNATURE, on either side. Sources: Ceph
/// doc/dev/msgr2.rst, src/msg/async/ProtocolV2.cc. The caller sets the deadline by closing the transport.
namespace spirula::msg {

struct Authenticated {
  EntityType peer{};
  Address seen_as;  ///< us, as the peer sees us
  AuthOutcome outcome;
};

/// Errc::access: refused. Errc::unsupported: it speaks another protocol. Errc::malformed, or the stream's error.
Task<Result<Authenticated>> authenticate_connecting(Transport& transport, EntityType self, EntityType peer,
                                                    AuthAttempt& attempt);
Task<Result<Authenticated>> authenticate_accepting(Transport& transport, EntityType self, AuthService& service);

}  // namespace spirula::msg
