#include "librados/bench.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "base/coroutine.h"
#include "base/random.h"
#include "base/task_group.h"

namespace spirula::librados {
namespace {

/// What a run leaves for those that read it.
struct BenchRecord {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint64_t block_bytes = 0, objects = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.block_bytes);
    wire(self.objects);
  }
};

ObjectRef record_object(const BenchPlan& plan) {
  return {plan.pool, plan.run_name + "_record", plan.name_space, {}};
}
ObjectRef data_object(const BenchPlan& plan, std::uint64_t number) {
  return {plan.pool, fmt::format("{}_object{}", plan.run_name, number), plan.name_space, {}};
}

Buffer pattern(std::uint64_t bytes) {
  Buffer data = Buffer::allocate(bytes, 4096);
  SeededRandom(bytes).fill({data.mutable_data(), data.size()});
  return data;
}

double own_cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Run {
  Shard& shard;
  Objecter& objecter;
  const BenchPlan& plan;
  Buffer data;
  std::uint64_t next = 0, known = 0;
  MonotonicTime deadline;
  BenchResult result;

  void record(MonotonicTime began, std::error_code error) {
    std::chrono::duration<float, std::milli> took = shard.clock().now() - began;
    ++result.operations;
    result.latencies_ms.push_back(took.count());
    if (!error) return;
    ++result.errors;
    if (!result.first_error) result.first_error = error;
  }
};

Task<> worker(Run& run) {
  SeededRandom dice(run.next + 1);
  while (run.shard.clock().now() < run.deadline && run.result.errors < 100) {
    std::uint64_t number = run.next++;
    if (run.plan.kind == BenchPlan::Kind::sequential && number >= run.known) co_return;
    if (run.plan.kind == BenchPlan::Kind::random) number = dice.below(run.known);
    if (run.plan.kind == BenchPlan::Kind::write && run.plan.objects) number %= run.plan.objects;
    MonotonicTime began = run.shard.clock().now();
    if (run.plan.kind == BenchPlan::Kind::write) {
      Result<> done = co_await run.objecter.write(data_object(run.plan, number), 0, run.data);
      run.record(began, done ? std::error_code{} : done.error());
      continue;
    }
    auto got = co_await run.objecter.read(data_object(run.plan, number), 0, run.data.size());
    run.record(began, got ? std::error_code{} : got.error());
    if (got && run.plan.verify && got->flatten() != run.data) ++run.result.mismatches;
  }
}

Task<> remove_worker(Run& run, std::uint64_t count) {
  while (run.next < count) {
    std::uint64_t number = run.next++;
    Result<> done = co_await run.objecter.remove(data_object(run.plan, number));
    if (done) ++run.result.operations;
  }
}

Task<std::uint64_t> remove_objects(Shard& shard, Objecter& objecter, const BenchPlan& plan, std::uint64_t count) {
  Run run{shard, objecter, plan, {}, 0, 0, {}, {}};
  TaskGroup workers(shard);
  for (unsigned i = 0; i < std::max(plan.depth, 16u); ++i) workers.spawn(remove_worker(run, count));
  co_await workers.join();
  co_return run.result.operations;
}

}  // namespace

double BenchResult::percentile(double p) const {
  if (latencies_ms.empty()) return 0;
  auto at = static_cast<std::size_t>(std::ceil(p / 100 * static_cast<double>(latencies_ms.size())));
  return latencies_ms[std::clamp<std::size_t>(at, 1, latencies_ms.size()) - 1];
}

Task<Result<BenchResult>> run_bench(Shard& shard, Objecter& objecter, BenchPlan plan) {
  std::uint64_t known = 0;
  if (plan.kind != BenchPlan::Kind::write) {
    CO_TRY(BufferList bytes, co_await objecter.read(record_object(plan), 0, 4096));
    CO_TRY(BenchRecord record, decode<BenchRecord>(bytes.flatten()));
    plan.block_bytes = record.block_bytes;
    known = record.objects;
    if (known == 0) co_return Errc::not_found;
  }
  Run run{shard, objecter, plan, pattern(plan.block_bytes), 0, known, {}, {}};
  double cpu = own_cpu_seconds();
  MonotonicTime began = shard.clock().now();
  run.deadline = began + plan.duration;
  TaskGroup workers(shard);
  for (unsigned i = 0; i < plan.depth; ++i) workers.spawn(worker(run));
  co_await workers.join();
  run.result.seconds = std::chrono::duration<double>(shard.clock().now() - began).count();
  run.result.client_cpu_seconds = own_cpu_seconds() - cpu;
  run.result.block_bytes = plan.block_bytes;
  std::ranges::sort(run.result.latencies_ms);

  if (plan.kind == BenchPlan::Kind::write) {
    std::uint64_t written = plan.objects ? std::min(plan.objects, run.next) : run.next;
    if (plan.cleanup) {
      co_await remove_objects(shard, objecter, plan, written);
    } else {
      CO_TRY(co_await objecter.write_full(record_object(plan), encode(BenchRecord{plan.block_bytes, written})));
    }
  }
  co_return std::move(run.result);
}

Task<Result<std::uint64_t>> clean_bench(Shard& shard, Objecter& objecter, BenchPlan plan) {
  CO_TRY(BufferList bytes, co_await objecter.read(record_object(plan), 0, 4096));
  CO_TRY(BenchRecord record, decode<BenchRecord>(bytes.flatten()));
  std::uint64_t removed = co_await remove_objects(shard, objecter, plan, record.objects);
  CO_TRY(co_await objecter.remove(record_object(plan)));
  co_return removed;
}

double process_cpu_seconds(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(file, line)) return -1;
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string skipped;
  double user = 0, system = 0;
  for (int i = 0; i < 11; ++i) fields >> skipped;  // state to cmajflt
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::uint64_t process_resident_bytes(int pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  std::uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace spirula::librados
