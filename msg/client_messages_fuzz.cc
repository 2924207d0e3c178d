#include "base/check.h"
#include "msg/mon_messages.h"
#include "msg/osd_messages.h"
#include "msg/pool_stats.h"

/// Any bytes as any client message: it is refused, or what was read encodes to bytes that read back the same.
namespace {

using namespace spirula;
using namespace spirula::msg;

template <class T>
void check_body(const Message& message) {
  auto body = read_message<T>(message);
  if (!body) return;
  Message again = make_message(*body);
  auto back = read_message<T>(again);
  CHECK(back.has_value());
  CHECK(make_message(*back).front == again.front);
}

void check_requests(const Message& message) {
  if (auto request = read_osd_request(message)) {
    (void)request->describe();
    Message again = make_osd_request(*request, 1);
    auto back = read_osd_request(again);
    CHECK(back.has_value());
    CHECK(make_osd_request(*back, 1).front == again.front);
  }
  if (auto reply = read_osd_reply(message)) {
    Message again = make_osd_reply(*reply, 1);
    auto back = read_osd_reply(again);
    CHECK(back.has_value());
    CHECK(make_osd_reply(*back, 1).front == again.front);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  Message message;
  message.version = bytes[0] % 12;
  Buffer whole = Buffer::copy_of(std::as_bytes(std::span(bytes, size)));
  std::size_t data = std::min<std::size_t>(bytes[1], size - 2);
  message.front = whole.slice(2, size - 2 - data);
  message.data = whole.slice(size - data);
  check_requests(message);
  check_body<MonSubscribe>(message);
  check_body<MonGetVersionReply>(message);
  check_body<MonCommand>(message);
  check_body<MonCommandAck>(message);
  check_body<Command>(message);
  check_body<CommandReply>(message);
  check_body<OsdMapMessage>(message);
  check_body<MdsMapMessage>(message);
  check_body<ConfigMessage>(message);
  check_body<GetConfig>(message);
  check_body<Log>(message);
  check_body<LogAck>(message);
  check_body<Statfs>(message);
  check_body<StatfsReply>(message);
  check_body<PoolOp>(message);
  check_body<PoolOpReply>(message);
  check_body<GetPoolStats>(message);
  check_body<GetPoolStatsReply>(message);
  check_body<OsdBackoff>(message);
  check_body<WatchNotify>(message);
  (void)decode<ListingOutput>(whole);
  (void)decode<WatchersOutput>(whole);
  (void)decode<SnapsOutput>(whole);
  (void)decode<NotifyResponse>(whole);
  return 0;
}
