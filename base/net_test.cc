#include "base/net.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/random.h"
#include "base/shard.h"
#include "base/task_group.h"

namespace spirula {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t runs = 300, run_bytes_max = 300'000;

std::byte byte_at(std::size_t place) {
  return static_cast<std::byte>(place * 2654435761u >> 13);
}

/// In pieces of every size, some of them after a pause, so that reads find less than they expect.
Task<> write_pieces(Shard& shard, Stream& stream, std::size_t total) {
  SeededRandom random(1);
  for (std::size_t at = 0; at < total;) {
    std::vector<std::byte> piece(std::min<std::size_t>(total - at, 1 + random.below(200'000)));
    for (std::byte& each : piece) each = byte_at(at++);
    ByteView view(piece);
    EXPECT_TRUE(co_await stream.write({&view, 1}));
    if (random.below(8) == 0) (void)co_await shard.clock().sleep(1ms);
  }
}

/// Long and short runs in turns, expecting the rest of a long one.
Task<> read_runs(Stream& stream, std::vector<std::size_t> sizes) {
  std::vector<std::byte> memory(run_bytes_max);
  std::size_t place = 0;
  for (std::size_t size : sizes) {
    for (std::size_t done = 0; done < size;) {
      stream.expect(size >= 1000 ? size - done : 1);
      auto got = co_await stream.read_some(std::span(memory).subspan(done, size - done));
      if (!got) {
        ADD_FAILURE() << got.error().message();
        co_return;
      }
      for (std::size_t i = 0; i < *got; ++i) EXPECT_EQ(memory[done + i], byte_at(place++));
      done += *got;
    }
  }
}

struct Pair {
  std::unique_ptr<Stream> client, server;
};

Task<Pair> make_pair(Shard& shard) {
  auto listener = system_network().listen(shard, *Endpoint::parse("127.0.0.1"));
  CHECK(listener);
  auto client = co_await system_network().connect(shard, (*listener)->local());
  auto server = co_await (*listener)->accept(shard);
  CHECK(client && server);
  co_return Pair{std::move(*client), std::move(*server)};
}

}  // namespace

TEST(Net, expected_bytes_arrive_however_they_are_cut) {
  auto body = [](Shard& shard) -> Task<int> {
    auto [client, server] = co_await make_pair(shard);
    SeededRandom random(2);
    std::vector<std::size_t> sizes(runs);
    std::size_t total = 0;
    for (std::size_t& size : sizes) total += size = 1 + random.below(random.below(2) ? run_bytes_max : 100);
    TaskGroup group(shard);
    group.spawn(write_pieces(shard, *client, total));
    co_await read_runs(*server, sizes);
    co_await group.join();
    co_return 0;
  };
  EXPECT_EQ(run_main(body), 0);
}

/// The event loop is told of bytes once, when they come; these came when they were too few to tell.
TEST(Net, bytes_too_few_to_be_told_of_are_found) {
  auto body = [](Shard& shard) -> Task<int> {
    auto [client, server] = co_await make_pair(shard);
    std::byte sent[1500]{}, memory[2000];
    ByteView first(sent), second(sent, 10);
    EXPECT_TRUE(co_await client->write({&first, 1}));
    server->expect(1000);
    EXPECT_EQ(co_await server->read_some(memory), first.size());
    EXPECT_TRUE(co_await client->write({&second, 1}));
    (void)co_await shard.clock().sleep(20ms);
    server->expect(1);
    shard.clock().call_after(5s, [&s = *server] { s.close(); });
    EXPECT_EQ(co_await server->read_some(memory), second.size());
    co_return 0;
  };
  EXPECT_EQ(run_main(body), 0);
}

}  // namespace spirula
