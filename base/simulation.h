#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/shard.h"

/// A world in one thread: many hosts, a virtual clock, a network that misbehaves, and one seed that decides all of it.
/// The same seed and the same program give the same run.
namespace spirula::sim {

/// How the network treats bytes under way.
struct NetworkFaults {
  Duration latency_min = std::chrono::microseconds(50);
  Duration latency_max = std::chrono::microseconds(500);
  double reset_chance = 0;  ///< that a stream breaks, for each write
};

class Simulation;

/// One machine: a shard with an address of its own. Everything that runs on it sees the virtual clock, the seeded dice
/// and the simulated network.
class Host : public Shard {
 public:
  virtual std::string address() const = 0;  ///< "10.0.0.3"
  /// Power off: every stream breaks without a word to this host's peers beyond a reset, and from then on nothing this
  /// host does reaches anybody. The daemon objects on it are then stopped by the test, whose effects are lost.
  virtual void power_off() = 0;
  /// Back, with a network that works; what ran before must be gone.
  virtual void power_on() = 0;
  virtual bool powered() const = 0;
};

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed);
  ~Simulation();

  Host& add_host();
  Clock& clock();
  Random& random();

  NetworkFaults& faults();
  /// Bytes between the two hosts wait from now on, as behind a pulled cable, until heal().
  void partition(const Host& a, const Host& b);
  void heal();

  /// Runs everything until `task` ends, and time with it. CHECK-fails when nothing is left that could ever happen
  /// (a deadlock) or after `limit` of virtual time.
  void run(Task<> task, Duration limit = std::chrono::hours(24));
  /// Lets the world go on for a while.
  void run_for(Duration time);

 private:
  struct World;
  std::unique_ptr<World> world_;
};

/// Seeds to try: SEED from the environment alone, or the first `count`.
std::vector<std::uint64_t> seeds(std::uint64_t count);

}  // namespace spirula::sim
