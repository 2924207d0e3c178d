#include "base/simulation.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <map>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/simulation_internal.h"

namespace spirula::sim {
namespace asio = boost::asio;

namespace {

/// Time stands still while anything can run, then jumps to the next timer.
class VirtualClock : public Clock {
 public:
  MonotonicTime now() const override { return now_; }
  WallTime wall() const override { return WallTime(std::chrono::seconds(1'700'000'000) + now_.time_since_epoch()); }
  TimerId call_at(MonotonicTime when, std::move_only_function<void()> action) override {
    TimerId id = ++last_id_;
    timers_.emplace(std::pair{std::max(when, now_), id}, std::move(action));
    when_[id] = std::max(when, now_);
    return id;
  }
  void cancel(TimerId id) override {
    auto it = when_.find(id);
    if (it == when_.end()) return;
    timers_.erase({it->second, id});
    when_.erase(it);
  }
  bool idle() const { return timers_.empty(); }
  MonotonicTime next() const { return timers_.begin()->first.first; }
  void advance_to(MonotonicTime to) { now_ = std::max(now_, to); }
  void fire_next() {
    auto node = timers_.extract(timers_.begin());
    now_ = node.key().first;
    when_.erase(node.key().second);
    node.mapped()();
  }

 private:
  MonotonicTime now_{std::chrono::seconds(1000)};
  std::map<std::pair<MonotonicTime, TimerId>, std::move_only_function<void()>> timers_;
  std::map<TimerId, MonotonicTime> when_;
  TimerId last_id_ = 0;
};

class SimulatedHost : public Host {
 public:
  SimulatedHost(asio::io_context& context, Clock& clock, Random& random, Wires& wires, std::string address)
      : context_(context), clock_(clock), random_(random), network_(wires, address), address_(std::move(address)) {}
  bool here() const override { return context_.get_executor().running_in_this_thread(); }
  Clock& clock() override { return clock_; }
  Random& random() override { return random_; }
  Network& network() override { return network_; }
  asio::io_context& context() override { return context_; }
  std::string address() const override { return address_; }
  void power_off() override { network_.power(false); }
  void power_on() override { network_.power(true); }
  bool powered() const override { return network_.powered(); }

 private:
  asio::io_context& context_;
  Clock& clock_;
  Random& random_;
  SimulatedNetwork network_;
  std::string address_;
};

}  // namespace

struct Simulation::World {
  explicit World(std::uint64_t seed) : context(1), work(context.get_executor()), random(seed), wires(clock, random) {}

  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  VirtualClock clock;
  SeededRandom random;
  Wires wires;
  std::vector<std::unique_ptr<SimulatedHost>> hosts;

  /// Everything that can happen now; false when only time can bring more.
  bool settle() { return context.poll() > 0; }
  /// Timers go off on the hosts' loop, as everything does: whoever they call may ask whether it is on its shard.
  void fire_next() {
    asio::post(context, [this] { clock.fire_next(); });
    context.poll();
  }
};

Simulation::Simulation(std::uint64_t seed) : world_(std::make_unique<World>(seed)) {}
Simulation::~Simulation() = default;

Host& Simulation::add_host() {
  std::size_t number = world_->hosts.size() + 1;
  CHECK(number < 65000);
  std::string address = "10.0." + std::to_string(number / 250) + "." + std::to_string(number % 250 + 1);
  world_->hosts.push_back(std::make_unique<SimulatedHost>(world_->context, world_->clock, world_->random, world_->wires,
                                                          std::move(address)));
  return *world_->hosts.back();
}

Clock& Simulation::clock() {
  return world_->clock;
}
Random& Simulation::random() {
  return world_->random;
}
NetworkFaults& Simulation::faults() {
  return world_->wires.faults;
}

void Simulation::partition(const Host& a, const Host& b) {
  world_->wires.partitions.insert(std::minmax(a.address(), b.address()));
}

void Simulation::heal() {
  world_->wires.partitions.clear();
  world_->wires.healed.wake_all();
}

void Simulation::run(Task<> task, Duration limit) {
  World& world = *world_;
  bool done = false;
  asio::co_spawn(world.context, std::move(task), [&](std::exception_ptr failure) {
    CHECK(!failure, "an exception left a simulated task");
    done = true;
  });
  MonotonicTime end = world.clock.now() + limit;
  while (!done) {
    if (world.settle() || done) continue;
    CHECK(!world.clock.idle(), "deadlock: nothing can happen any more");
    CHECK(world.clock.next() <= end, "the simulated task does not come to an end");
    world.fire_next();
  }
}

void Simulation::run_for(Duration time) {
  World& world = *world_;
  MonotonicTime end = world.clock.now() + time;
  for (;;) {
    if (world.settle()) continue;
    if (world.clock.idle() || world.clock.next() > end) break;
    world.fire_next();
  }
  world.clock.advance_to(end);
}

std::vector<std::uint64_t> seeds(std::uint64_t count) {
  if (const char* one = std::getenv("SEED")) return {std::strtoull(one, nullptr, 10)};
  std::uint64_t first = 1;
  if (const char* given = std::getenv("SEEDS")) {
    char* end = nullptr;
    std::uint64_t number = std::strtoull(given, &end, 10);
    if (*end == '-')
      first = number, count = std::strtoull(end + 1, nullptr, 10) - number + 1;
    else
      count = number;
  }
  std::vector<std::uint64_t> all(count);
  for (std::uint64_t i = 0; i < count; ++i) all[i] = first + i;
  return all;
}

}  // namespace spirula::sim
