#pragma once
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "base/simulation.h"
#include "base/wait.h"

/// The simulated network, shared by simulation.cc and simulation_network.cc only.
namespace spirula::sim {

/// One direction of a stream: bytes with the time they arrive.
struct Pipe {
  struct Part {
    MonotonicTime arrives;
    Buffer bytes;
  };
  std::deque<Part> parts;
  std::size_t bytes = 0;
  MonotonicTime last_arrival{};
  bool closed = false;
  WaitList readers, writers;
};

class SimulatedNetwork;

/// What all hosts' networks have in common.
struct Wires {
  Wires(Clock& c, Random& r) : clock(c), random(r) {}
  Clock& clock;
  Random& random;
  NetworkFaults faults;
  std::set<std::pair<std::string, std::string>> partitions;
  WaitList healed;
  std::map<Endpoint, class SimulatedListener*> listeners;

  bool parted(const std::string& a, const std::string& b) const { return partitions.contains(std::minmax(a, b)); }
};

class SimulatedStream;

/// The network as one host sees it.
class SimulatedNetwork : public Network {
 public:
  SimulatedNetwork(Wires& wires, std::string address) : wires_(wires), address_(std::move(address)) {}
  Task<Result<std::unique_ptr<Stream>>> connect(Shard& home, Endpoint to) override;
  Result<std::unique_ptr<Listener>> listen(Shard& home, Endpoint at) override;
  Result<std::unique_ptr<Listener>> listen_unix(Shard& home, const std::string& path) override;
  void power(bool on);
  bool powered() const { return powered_; }

 private:
  friend class SimulatedStream;
  friend class SimulatedListener;
  Wires& wires_;
  std::string address_;
  // In the order of their making: addresses in memory would make no two runs the same.
  std::vector<SimulatedStream*> streams_;
  std::vector<class SimulatedListener*> listening_;
  std::uint16_t last_port_ = 40000;
  bool powered_ = true;
};

}  // namespace spirula::sim
