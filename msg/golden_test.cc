#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "msg/mon_messages.h"
#include "msg/osd_messages.h"
#include "msg/pool_stats.h"

/// Messages that stock Ceph sent (tests/golden/messages) decode, and encode to the same bytes again.
namespace spirula::msg {
namespace {

Buffer from_hex(std::string_view text) {
  Buffer bytes = Buffer::allocate(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes.mutable_data()[i] = static_cast<std::byte>(std::stoi(std::string(text.substr(2 * i, 2)), nullptr, 16));
  return bytes;
}

Message load(const std::string& path) {
  std::ifstream file(path);
  Message message;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string word, hex;
    words >> word;
    if (word == "type") {
      words >> message.type >> word >> message.version >> word >> message.compat >> word >> message.priority >> word >>
          message.tid;
    } else if (words >> hex) {
      if (word == "front") message.front = from_hex(hex);
      if (word == "middle") message.middle = from_hex(hex);
      if (word == "data") message.data = from_hex(hex);
    }
  }
  return message;
}

template <class T>
std::pair<std::uint16_t, std::function<Result<Message>(const Message&)>> row() {
  return {T::message_type, [](const Message& message) -> Result<Message> {
            TRY(T body, read_message<T>(message));
            return make_message(body, message.tid);
          }};
}

const std::map<std::uint16_t, std::function<Result<Message>(const Message&)>> bodies{
    row<MonGetMap>(),
    row<MonMapMessage>(),
    row<MonSubscribe>(),
    row<MonGetVersion>(),
    row<MonGetVersionReply>(),
    row<MonCommand>(),
    row<MonCommandAck>(),
    row<Command>(),
    row<CommandReply>(),
    row<OsdMapMessage>(),
    row<FsMapMessage>(),
    row<MgrMapMessage>(),
    row<ConfigMessage>(),
    row<Statfs>(),
    row<StatfsReply>(),
    row<PoolOp>(),
    row<PoolOpReply>(),
    row<GetPoolStats>(),
    row<GetPoolStatsReply>(),
    row<OsdBackoff>(),
    row<WatchNotify>(),
    {OsdRequest::message_type,
     [](const Message& message) -> Result<Message> {
       TRY(OsdRequest request, read_osd_request(message));
       for (const OsdOp& op : request.ops) EXPECT_TRUE(is_known(op.code)) << request.describe();
       return make_osd_request(std::move(request), message.tid);
     }},
    {OsdReply::message_type,
     [](const Message& message) -> Result<Message> {
       TRY(OsdReply reply, read_osd_reply(message));
       return make_osd_reply(std::move(reply), message.tid);
     }},
};

TEST(Golden, stock_messages_survive_decoding_and_encoding) {
  std::map<std::uint16_t, int> seen;
  for (const auto& entry : std::filesystem::directory_iterator("tests/golden/messages")) {
    Message stock = load(entry.path());
    auto at = bodies.find(stock.type);
    if (at == bodies.end()) continue;  // another test's
    ++seen[stock.type];
    auto ours = at->second(stock);
    ASSERT_TRUE(ours) << entry.path() << ": " << ours.error().message();
    EXPECT_EQ(to_hex(ours->front), to_hex(stock.front)) << entry.path();
    EXPECT_EQ(to_hex(ours->data.flatten()), to_hex(stock.data.flatten())) << entry.path();
    EXPECT_EQ(ours->version, stock.version) << entry.path();
    EXPECT_EQ(ours->compat, stock.compat) << entry.path();
  }
  EXPECT_GT(seen[OsdRequest::message_type], 20);
  EXPECT_GT(seen[OsdReply::message_type], 20);
  EXPECT_GE(seen.size(), 20u);
}

TEST(Golden, truncated_stock_messages_are_refused_or_read_but_never_crash) {
  for (const auto& entry : std::filesystem::directory_iterator("tests/golden/messages")) {
    Message stock = load(entry.path());
    auto at = bodies.find(stock.type);
    if (at == bodies.end()) continue;
    Buffer whole = stock.front;
    for (std::size_t n = 0; n < whole.size(); n += 1 + n / 64) {
      stock.front = whole.slice(0, n);
      (void)at->second(stock);
    }
  }
}

}  // namespace
}  // namespace spirula::msg
