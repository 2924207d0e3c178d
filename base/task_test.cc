#include <gtest/gtest.h>

#include "base/blocking.h"
#include "base/coroutine.h"
#include "base/net.h"
#include "base/promise.h"
#include "base/shard.h"
#include "base/task_group.h"
#include "base/wait.h"

namespace spirula {
namespace {

using namespace std::chrono_literals;

TEST(Task, event_timeout_and_cancel) {
  run_main([](Shard& shard) -> Task<int> {
    Event event;
    Result<> late = co_await event.wait_until(shard.clock(), shard.clock().now() + 1ms);
    EXPECT_EQ(late.error(), make_error_code(Errc::timed_out));

    TaskGroup group(shard);
    std::error_code first, second;
    auto waits_twice = [](Event& e, std::error_code& a, std::error_code& b) -> Task<> {
      Result<> once = co_await e.wait();
      a = once ? std::error_code{} : once.error();
      Result<> twice = co_await e.wait();
      b = twice ? std::error_code{} : twice.error();
    };
    group.spawn(waits_twice(event, first, second));
    (void)co_await shard.clock().sleep(1ms);
    co_await group.stop();
    EXPECT_EQ(first, make_error_code(Errc::cancelled));
    EXPECT_EQ(second, make_error_code(Errc::cancelled)) << "a cancelled task cannot wait again";
    co_return 0;
  });
}

/// Joins tasks of its own that never end by themselves.
Task<> join_inner(Shard& shard, Event& never, bool& ended) {
  bool inner_ended = false;
  {
    TaskGroup inner(shard);
    auto wait = [](Event& event, bool& done) -> Task<> {
      (void)co_await event.wait();
      done = true;
    };
    inner.spawn(wait(never, inner_ended));
    co_await inner.join();
  }
  ended = inner_ended;
}

TEST(Task, a_cancelled_joiner_cancels_and_still_waits) {
  run_main([](Shard& shard) -> Task<int> {
    Event never;
    bool ended = false;
    TaskGroup outer(shard);
    outer.spawn(join_inner(shard, never, ended));
    (void)co_await shard.clock().sleep(1ms);
    co_await outer.stop();
    EXPECT_TRUE(ended);
    co_return 0;
  });
}

TEST(Task, promise_and_budget) {
  run_main([](Shard& shard) -> Task<int> {
    Promise<int> promise;
    Budget budget(10);
    TaskGroup group(shard);
    std::string order;
    auto take = [](Budget& b, std::uint64_t n, char name, std::string& log) -> Task<> {
      if (co_await b.acquire(n)) log += name;
    };
    group.spawn(take(budget, 8, 'a', order));
    group.spawn(take(budget, 8, 'b', order));
    group.spawn(take(budget, 1, 'c', order));
    shard.clock().call_after(1ms, [promise]() mutable { promise.set(5); });
    auto five = co_await promise.get();
    EXPECT_EQ(*five, 5);
    EXPECT_EQ(order, "a") << "c waits behind b";
    budget.release(8);
    co_await group.join();
    EXPECT_EQ(order, "abc");
    co_return 0;
  });
}

TEST(Task, blocking_calls_leave_the_shard_free) {
  run_main([](Shard& shard) -> Task<int> {
    BlockingPool pool("test", 1);
    bool off_shard = false;
    co_await pool.run([&] { off_shard = !shard.here(); });
    EXPECT_TRUE(off_shard);
    EXPECT_TRUE(shard.here());
    co_return 0;
  });
}

TEST(Task, streams_carry_bytes) {
  run_main([](Shard& shard) -> Task<int> {
    auto listener = shard.network().listen(shard, *Endpoint::parse("127.0.0.1"));
    EXPECT_TRUE(listener);
    TaskGroup group(shard);
    auto serve = [](Shard& home, Listener& at) -> Task<> {
      auto stream = co_await at.accept(home);
      std::byte got[5];
      EXPECT_TRUE(co_await (*stream)->read_exact(got));
      ByteView pieces[] = {ByteView(got, 2), ByteView(got + 2, 3)};
      EXPECT_TRUE(co_await (*stream)->write(pieces));
    };
    group.spawn(serve(shard, **listener));
    auto client = co_await shard.network().connect(shard, (*listener)->local());
    EXPECT_TRUE(client);
    ByteView hello[] = {as_bytes("hello")};
    EXPECT_TRUE(co_await (*client)->write(hello));
    std::byte back[5];
    EXPECT_TRUE(co_await (*client)->read_exact(back));
    EXPECT_EQ(as_text(back), "hello");
    Result<std::size_t> end = co_await (*client)->read_some(back);
    EXPECT_EQ(end.error(), make_error_code(Errc::closed));
    co_await group.join();
    co_return 0;
  });
}

TEST(Endpoint, parse_and_describe) {
  EXPECT_EQ(Endpoint::parse("1.2.3.4:3300")->describe(), "1.2.3.4:3300");
  EXPECT_EQ(Endpoint::parse("[::1]:99")->describe(), "[::1]:99");
  EXPECT_FALSE(Endpoint::parse("1.2.3"));
  EXPECT_FALSE(Endpoint::parse("1.2.3.4:99x"));
  EXPECT_FALSE(Endpoint::parse("[::1]9"));
}

}  // namespace
}  // namespace spirula
