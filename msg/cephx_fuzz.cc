#include "base/check.h"
#include "base/log.h"
#include "base/shard.h"
#include "msg/auth_messages.h"
#include "msg/cephx_client.h"
#include "msg/cephx_protocol.h"
#include "msg/handshake_frames.h"
#include "msg/message.h"
#include "msg/test_cluster.h"

/// The payloads of cephx: what a monitor is asked, and every structure that stands sealed inside others.
namespace {

using namespace spirula;
using namespace spirula::msg;

template <class T>
void round_trip(const Buffer& bytes) {
  auto value = decode<T>(bytes);
  if (!value) return;
  Buffer once = encode(*value);
  auto again = decode<T>(once);
  CHECK(again.has_value());
  CHECK(encode(*again) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  log_set_level("", LogLevel::error);
  Buffer bytes = Buffer::copy_of(std::as_bytes(std::span(data + 1, size - 1)));
  static test::Keys keys;
  static SeededRandom random(1);
  CephxMonitorService monitor(keys, random);
  auto acceptance = monitor.accept(AuthMethod::cephx, EntityType::client, ConnectionMode::secure);
  auto first = (*acceptance)->step(bytes);
  if (first) (void)(*acceptance)->step(bytes);
  switch (data[0] % 10) {
    case 0:
      round_trip<cephx::TicketInfo>(bytes);
      break;
    case 1:
      round_trip<cephx::AuthorizerHead>(bytes);
      break;
    case 2:
      round_trip<cephx::Authorize>(bytes);
      break;
    case 3:
      round_trip<cephx::AuthorizeReply>(bytes);
      break;
    case 4:
      round_trip<RotatingSecrets>(bytes);
      break;
    case 5:
      round_trip<cephx::Authenticate>(bytes);
      break;
    case 6:
      round_trip<wire::ClientIdent>(bytes);
      break;
    case 7:
      round_trip<wire::ServerIdent>(bytes);
      break;
    case 8:
      round_trip<Auth>(bytes);
      break;
    case 9:
      round_trip<AuthReply>(bytes);
      break;
  }
  return 0;
}
