#include "msg/auth_messages.h"
#include "msg/daemon_messages.h"
#include "msg/fuzz_bodies.h"

/// Any bytes as what daemons say to monitors and monitors to daemons.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace spirula::msg;
  if (size < 2) return 0;
  Message message = message_from(bytes, size);
  check_body<Auth>(message);
  check_body<AuthReply>(message);
  check_body<DaemonReply>(message);
  check_body<OsdBoot>(message);
  check_body<OsdBeacon>(message);
  check_body<OsdFailure>(message);
  check_body<OsdMarkMeDown>(message);
  check_body<OsdAlive>(message);
  check_body<OsdPgTemp>(message);
  check_body<MdsBeacon>(message);
  check_body<MdsBeaconAck>(message);
  check_body<BlocklistRequest>(message);
  check_body<RemoveSnaps>(message);
  return 0;
}
