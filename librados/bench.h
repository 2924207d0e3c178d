#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/shard.h"
#include "base/task.h"
#include "librados/objecter.h"

namespace spirula::librados {

/// What a benchmark does: objects of one size, each written whole by one operation (as `rados bench` does), then read
/// in order or at random, `depth` at a time.
struct BenchPlan {
  enum class Kind { write, sequential, random };
  Kind kind = Kind::write;
  std::int64_t pool = -1;
  std::string name_space;
  std::string run_name = "spirula_bench";
  Duration duration = std::chrono::seconds(10);
  std::uint64_t block_bytes = 4 << 20;
  unsigned depth = 16;
  /// Write only so many objects, over and over at offset 0; 0: a new object each time.
  std::uint64_t objects = 0;
  bool verify = true;   ///< compare what is read with what was written
  bool cleanup = true;  ///< remove what was written, unless reads are to follow
};

struct BenchResult {
  std::uint64_t operations = 0, errors = 0, mismatches = 0;
  std::uint64_t block_bytes = 0;  ///< of one operation
  double seconds = 0, client_cpu_seconds = 0;
  std::vector<float> latencies_ms;  ///< ascending
  std::error_code first_error;
  double percentile(double p) const;  ///< of latencies_ms
};

/// Runs it. Errc::not_found: nothing was written under that run name to read.
Task<Result<BenchResult>> run_bench(Shard& shard, Objecter& objecter, BenchPlan plan);
/// Removes what a run left.
Task<Result<std::uint64_t>> clean_bench(Shard& shard, Objecter& objecter, BenchPlan plan);

/// Processor time of a process so far in seconds; negative if there is no such process.
double process_cpu_seconds(int pid);
/// Its resident memory in bytes; 0 if there is no such process.
std::uint64_t process_resident_bytes(int pid);

}  // namespace spirula::librados
