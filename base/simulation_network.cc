#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/simulation_internal.h"

namespace spirula::sim {
namespace {

/// What a stream may have under way before a writer waits, as a socket buffer would.
constexpr std::size_t window_bytes = 1 << 20;

std::string host_of(const Endpoint& endpoint) {
  std::string text = endpoint.describe();
  return text.substr(0, text.rfind(':'));
}

Duration draw_latency(Wires& wires) {
  auto spread = static_cast<std::uint64_t>((wires.faults.latency_max - wires.faults.latency_min).count());
  return wires.faults.latency_min + Duration(spread ? wires.random.below(spread) : 0);
}

bool draw(Wires& wires, double chance) {
  return chance > 0 && static_cast<double>(wires.random.below(1'000'000)) < chance * 1e6;
}

}  // namespace

class SimulatedStream : public Stream {
 public:
  SimulatedStream(SimulatedNetwork& network, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Endpoint local,
                  Endpoint remote)
      : network_(network), in_(std::move(in)), out_(std::move(out)), local_(local), remote_(remote) {
    network_.streams_.push_back(this);
  }
  ~SimulatedStream() override {
    close();
    std::erase(network_.streams_, this);
  }

  Task<Result<std::size_t>> read_some(std::span<std::byte> into) override {
    auto pipe = in_;
    Wires& wires = network_.wires_;
    std::string here = network_.address_, there = host_of(remote_);
    for (;;) {
      if (wires.parted(here, there) && !broken_) {
        CO_TRY(co_await wires.healed.wait());
        continue;
      }
      if (broken_) co_return Errc::closed;
      if (!pipe->parts.empty()) {
        Pipe::Part& first = pipe->parts.front();
        if (first.arrives > wires.clock.now()) {
          Result<> waited = co_await pipe->readers.wait_until(wires.clock, first.arrives);
          if (!waited && waited.error() != make_error_code(Errc::timed_out)) co_return waited.error();
          continue;
        }
        std::size_t count = std::min(into.size(), first.bytes.size());
        std::memcpy(into.data(), first.bytes.data(), count);
        pipe->bytes -= count;
        if (count == first.bytes.size())
          pipe->parts.pop_front();
        else
          first.bytes = first.bytes.slice(count);
        pipe->writers.wake_all();
        co_return count;
      }
      if (pipe->closed) co_return Errc::closed;
      CO_TRY(co_await pipe->readers.wait());
    }
  }

  Task<Result<>> write(std::span<const ByteView> pieces) override {
    auto pipe = out_;
    Wires& wires = network_.wires_;
    if (draw(wires, wires.faults.reset_chance)) reset();
    for (ByteView piece : pieces) {
      while (!piece.empty()) {
        if (broken_ || pipe->closed) co_return Errc::closed;
        if (pipe->bytes >= window_bytes) {
          CO_TRY(co_await pipe->writers.wait());
          continue;
        }
        std::size_t count = std::min(piece.size(), window_bytes - pipe->bytes);
        pipe->last_arrival = std::max(pipe->last_arrival, wires.clock.now() + draw_latency(wires));
        pipe->parts.push_back({pipe->last_arrival, Buffer::copy_of(piece.first(count))});
        pipe->bytes += count;
        piece = piece.subspan(count);
        pipe->readers.wake_all();
      }
    }
    co_return Result<>{};
  }

  /// In an orderly way: the peer still reads what was written.
  void close() override {
    broken_ = true;
    if (moved_) return;
    out_->closed = true;
    in_->closed = true;
    wake();
  }
  /// At once, for both sides; what was under way is lost.
  void reset() {
    if (moved_) return;
    for (Pipe* pipe : {in_.get(), out_.get()}) {
      pipe->parts.clear();
      pipe->bytes = 0;
    }
    close();
  }
  /// All shards of a host are one thread here, so only this object changes.
  std::unique_ptr<Stream> move_to(Shard&) override {
    moved_ = true;
    auto moved = std::make_unique<SimulatedStream>(network_, in_, out_, local_, remote_);
    moved->broken_ = broken_;
    return moved;
  }
  Endpoint local() const override { return local_; }
  Endpoint remote() const override { return remote_; }
  void wake() {
    for (Pipe* pipe : {in_.get(), out_.get()}) {
      pipe->readers.wake_all();
      pipe->writers.wake_all();
    }
    network_.wires_.healed.wake_all();
  }

 private:
  SimulatedNetwork& network_;
  std::shared_ptr<Pipe> in_, out_;
  Endpoint local_, remote_;
  bool broken_ = false;
  bool moved_ = false;  ///< another object has the pipes now
};

class SimulatedListener : public Listener {
 public:
  SimulatedListener(SimulatedNetwork& network, Endpoint at) : network_(network), at_(at) {
    network_.wires_.listeners[at_] = this;
    network_.listening_.push_back(this);
  }
  ~SimulatedListener() override { close(); }

  Task<Result<std::unique_ptr<Stream>>> accept(Shard&) override {
    auto arrivals = arrivals_;
    for (;;) {
      if (!arrivals->waiting.empty()) {
        auto stream = std::move(arrivals->waiting.front());
        arrivals->waiting.pop_front();
        co_return stream;
      }
      if (arrivals->closed) co_return Errc::closed;
      CO_TRY(co_await arrivals->changed.wait());
    }
  }
  void close() override {
    if (arrivals_->closed) return;
    network_.wires_.listeners.erase(at_);
    std::erase(network_.listening_, this);
    arrivals_->closed = true;
    arrivals_->waiting.clear();
    arrivals_->changed.wake_all();
  }
  Endpoint local() const override { return at_; }

  void arrive(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Endpoint from) {
    arrivals_->waiting.push_back(std::make_unique<SimulatedStream>(network_, std::move(in), std::move(out), at_, from));
    arrivals_->changed.wake_one();
  }

 private:
  struct Arrivals {
    std::deque<std::unique_ptr<Stream>> waiting;
    WaitList changed;
    bool closed = false;
  };
  SimulatedNetwork& network_;
  Endpoint at_;
  std::shared_ptr<Arrivals> arrivals_ = std::make_shared<Arrivals>();
};

Task<Result<std::unique_ptr<Stream>>> SimulatedNetwork::connect(Shard&, Endpoint to) {
  if (!powered_) co_return Errc::closed;
  CO_TRY(co_await wires_.clock.sleep(draw_latency(wires_)));
  while (wires_.parted(address_, host_of(to))) CO_TRY(co_await wires_.healed.wait());
  auto listener = wires_.listeners.find(to);
  if (!powered_ || listener == wires_.listeners.end()) co_return Errc::refused;
  Endpoint from = *Endpoint::parse(address_);
  from.port = ++last_port_;
  auto there = std::make_shared<Pipe>(), back = std::make_shared<Pipe>();
  listener->second->arrive(there, back, from);
  co_return std::make_unique<SimulatedStream>(*this, back, there, from, to);
}

Result<std::unique_ptr<Listener>> SimulatedNetwork::listen(Shard&, Endpoint at) {
  if (!powered_) return Errc::closed;
  Endpoint mine = *Endpoint::parse(address_);
  mine.port = at.port ? at.port : ++last_port_;
  if (wires_.listeners.contains(mine)) return from_errno(EADDRINUSE);
  return std::make_unique<SimulatedListener>(*this, mine);
}

Result<std::unique_ptr<Listener>> SimulatedNetwork::listen_unix(Shard&, const std::string&) {
  return Errc::unsupported;  // an admin socket has no place in a simulation
}

void SimulatedNetwork::power(bool on) {
  powered_ = on;
  if (on) return;
  for (SimulatedListener* each : std::vector(listening_)) each->close();
  for (SimulatedStream* each : std::vector(streams_)) each->reset();
}

}  // namespace spirula::sim
