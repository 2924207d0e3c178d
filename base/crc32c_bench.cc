#include "base/crc32c.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <vector>

/// Checksums of blocks of 4 KiB, from the cache (256 KiB) and from memory (256 MiB), beside just reading them.
namespace spirula {
namespace {

constexpr std::size_t block_bytes = 4096;

std::uint64_t sum(ByteView block) {
  std::uint64_t total = 0, word;
  for (std::size_t i = 0; i < block.size(); i += sizeof word) {
    std::memcpy(&word, block.data() + i, sizeof word);
    total += word;
  }
  return total;
}

template <auto of_block>
void over(benchmark::State& state) {
  std::vector<std::byte> memory(static_cast<std::size_t>(state.range(0)), std::byte{3});
  for (auto _ : state)
    for (std::size_t at = 0; at < memory.size(); at += block_bytes)
      benchmark::DoNotOptimize(of_block(ByteView(memory).subspan(at, block_bytes)));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

std::uint64_t checksum(ByteView block) {
  return crc32c(~0u, block);
}

BENCHMARK(over<checksum>)->Name("crc32c")->Arg(256 << 10)->Arg(256 << 20);
BENCHMARK(over<sum>)->Name("sum of words")->Arg(256 << 10)->Arg(256 << 20);

}  // namespace
}  // namespace spirula
