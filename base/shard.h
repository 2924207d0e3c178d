#pragma once
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/net.h"
#include "base/random.h"
#include "base/task.h"

namespace spirula {

/// One event loop: everything that lives on a shard runs on its one thread, so it needs no lock. It also hands out
/// time, randomness and the network, which is how a simulation replaces them.
class Shard {
 public:
  virtual ~Shard() = default;
  /// Runs `action` on this shard, later; from any thread, in the order of the calls of one thread.
  void post(std::move_only_function<void()> action);
  /// True on this shard's own thread.
  virtual bool here() const = 0;
  virtual Clock& clock() = 0;
  virtual Random& random() { return system_random(); }
  virtual Network& network() { return system_network(); }
  virtual boost::asio::io_context& context() = 0;
};

/// A shard with a thread of its own, from construction to destruction.
class ShardThread {
 public:
  explicit ShardThread(const char* name);
  /// Stops the loop and joins the thread; what lives on the shard must have been stopped before.
  ~ShardThread();
  Shard& shard();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs `main_task` on a new shard in this thread until it returns; its result is returned. For programs and tests.
int run_main(std::function<Task<int>(Shard&)> main_task);

/// Waits for SIGTERM or SIGINT.
Task<> wait_for_termination(Shard& shard);

}  // namespace spirula
