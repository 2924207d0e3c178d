#include "base/shard.h"

#include <pthread.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <map>
#include <thread>
#include <unordered_map>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/wait.h"

namespace spirula {
namespace asio = boost::asio;

namespace {

/// All timers of a shard behind one kernel-backed timer.
class RealClock : public Clock {
 public:
  explicit RealClock(asio::io_context& context) : timer_(context) {}

  MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override { return std::chrono::system_clock::now(); }

  TimerId call_at(MonotonicTime when, std::move_only_function<void()> action) override {
    TimerId id = ++last_id_;
    auto it = queue_.emplace(Key{when, id}, std::move(action)).first;
    when_.emplace(id, when);
    if (it == queue_.begin()) arm();
    return id;
  }
  void cancel(TimerId id) override {
    auto it = when_.find(id);
    if (it == when_.end()) return;
    queue_.erase(Key{it->second, id});
    when_.erase(it);  // a timer armed too early finds nothing due and arms again
  }

 private:
  using Key = std::pair<MonotonicTime, TimerId>;

  void arm() {
    if (queue_.empty()) return;
    timer_.expires_at(queue_.begin()->first.first);
    timer_.async_wait([this](boost::system::error_code error) {
      if (!error) fire();
    });
  }
  void fire() {
    MonotonicTime present = now();
    while (!queue_.empty() && queue_.begin()->first.first <= present) {
      auto node = queue_.extract(queue_.begin());
      when_.erase(node.key().second);
      node.mapped()();
    }
    arm();
  }

  asio::steady_timer timer_;
  std::map<Key, std::move_only_function<void()>> queue_;
  std::unordered_map<TimerId, MonotonicTime> when_;
  TimerId last_id_ = 0;
};

class LoopShard : public Shard {
 public:
  LoopShard() : context_(1), clock_(context_), work_(context_.get_executor()) {}
  bool here() const override { return context_.get_executor().running_in_this_thread(); }
  Clock& clock() override { return clock_; }
  asio::io_context& context() override { return context_; }
  void run() { context_.run(); }
  void stop() { context_.stop(); }

 private:
  mutable asio::io_context context_;
  RealClock clock_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
};

}  // namespace

void Shard::post(std::move_only_function<void()> action) {
  asio::post(context(), std::move(action));
}

struct ShardThread::Impl {
  LoopShard shard;
  std::thread thread;
};

ShardThread::ShardThread(const char* name) : impl_(std::make_unique<Impl>()) {
  impl_->thread = std::thread([this, name] {
    pthread_setname_np(pthread_self(), name);
    impl_->shard.run();
  });
}

ShardThread::~ShardThread() {
  impl_->shard.stop();
  impl_->thread.join();
}

Shard& ShardThread::shard() {
  return impl_->shard;
}

int run_main(std::function<Task<int>(Shard&)> main_task) {
  std::signal(SIGPIPE, SIG_IGN);
  LoopShard shard;
  int status = 0;
  asio::co_spawn(shard.context(), main_task(shard), [&](std::exception_ptr failure, int result) {
    CHECK(!failure, "an exception left the main task");
    status = result;
    shard.stop();
  });
  shard.run();
  return status;
}

Task<> wait_for_termination(Shard& shard) {
  asio::signal_set signals(shard.context(), SIGTERM, SIGINT);
  co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));  // cancelled: no exception
}

Task<Result<>> Clock::sleep(Duration delay) {
  WaitList nobody;
  Result<> woken = co_await nobody.wait_until(*this, now() + delay);
  if (!woken && woken.error() == make_error_code(Errc::timed_out)) co_return Result<>{};
  co_return woken;
}

}  // namespace spirula
