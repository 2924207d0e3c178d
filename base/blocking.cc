#include "base/blocking.h"

#include <pthread.h>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/coroutine.h"

namespace spirula {
namespace asio = boost::asio;

struct BlockingPool::Impl {
  std::mutex mutex;
  std::condition_variable more;
  std::deque<std::move_only_function<void()>> queue;
  bool stopping = false;
  std::vector<std::thread> threads;

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      more.wait(lock, [this] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      auto call = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      call();
      call = nullptr;
      lock.lock();
    }
  }
};

BlockingPool::BlockingPool(const char* name, unsigned threads) : impl_(std::make_unique<Impl>()) {
  for (unsigned i = 0; i < threads; ++i)
    impl_->threads.emplace_back([this, name = std::string(name)] {
      pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
      impl_->work();
    });
}

BlockingPool::~BlockingPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->more.notify_all();
  for (auto& thread : impl_->threads) thread.join();
}

void BlockingPool::post(std::move_only_function<void()> call) {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->queue.push_back(std::move(call));
  }
  impl_->more.notify_one();
}

Task<> BlockingPool::run(std::move_only_function<void()> call) {
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [this, &call](auto handler) {
        auto executor = asio::get_associated_executor(handler);
        post([call = std::move(call), handler = std::move(handler), executor]() mutable {
          call();
          asio::post(executor, std::move(handler));
        });
      },
      asio::use_awaitable);
}

}  // namespace spirula
