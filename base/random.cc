#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace spirula {
namespace {

class KernelRandom : public Random {
 public:
  void fill(std::span<std::byte> bytes) override {
    while (!bytes.empty()) {
      ssize_t got = getrandom(bytes.data(), std::min<std::size_t>(bytes.size(), 256), 0);
      CHECK(got > 0, "the kernel gives no randomness");
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
  }
};

}  // namespace

Random& system_random() {
  static KernelRandom instance;
  return instance;
}

std::uint64_t Random::next() {
  std::uint64_t value;
  fill(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

std::uint64_t Random::below(std::uint64_t bound) {
  CHECK(bound > 0);
  std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;  // values past it would favour the low results
  std::uint64_t value;
  do value = next();
  while (value >= limit);
  return value % bound;
}

void SeededRandom::fill(std::span<std::byte> bytes) {
  while (!bytes.empty()) {  // splitmix64 (Steele, Lea, Flood 2014)
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    std::size_t n = std::min<std::size_t>(8, bytes.size());
    std::memcpy(bytes.data(), &z, n);
    bytes = bytes.subspan(n);
  }
}

}  // namespace spirula
