#include "msg/fuzz_bodies.h"
#include "msg/mon_messages.h"
#include "msg/osd_messages.h"
#include "msg/pool_stats.h"

/// Any bytes as any client message: it is refused, or what was read encodes to bytes that read back the same.
namespace {

using namespace spirula;
using namespace spirula::msg;

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
  Message message = message_from(bytes, size);
  check_requests(message);
  check_body<MonGetMap>(message);
  check_body<MonMapMessage>(message);
  check_body<MonGetOsdMap>(message);
  check_body<MonSubscribe>(message);
  check_body<MonSubscribeAck>(message);
  check_body<MonGetVersion>(message);
  check_body<MonGetVersionReply>(message);
  check_body<MonCommand>(message);
  check_body<MonCommandAck>(message);
  check_body<Command>(message);
  check_body<CommandReply>(message);
  check_body<OsdMapMessage>(message);
  check_body<MdsMapMessage>(message);
  check_body<FsMapMessage>(message);
  check_body<FsMapUserMessage>(message);
  check_body<MgrMapMessage>(message);
  check_body<Ping>(message);
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
  check_value<StatOutput>(message.front);
  check_value<ListingOutput>(message.front);
  check_value<WatchersOutput>(message.front);
  check_value<SnapsOutput>(message.front);
  check_value<OmapRangeInput>(message.front);
  check_value<NotifyInput>(message.front);
  check_value<NotifyAckInput>(message.front);
  check_value<NotifyResponse>(message.front);
  check_value<Redirect>(message.front);
  check_value<HObject>(message.front);
  return 0;
}
