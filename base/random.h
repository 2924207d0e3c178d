#pragma once
#include <cstdint>
#include <span>
#include <utility>

namespace spirula {

/// The only source of dice. The real one is the kernel's; a simulation's is seeded.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> bytes) = 0;
  std::uint64_t next();
  /// Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound);
};

/// Cryptographically secure, from the kernel; for keys too. Thread-safe.
Random& system_random();

/// Reproducible from its seed; never for keys.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> bytes) override;

 private:
  std::uint64_t state_;
};

}  // namespace spirula
