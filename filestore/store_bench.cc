#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/random.h"
#include "base/shard.h"
#include "base/wait.h"
#include "filestore/filestore.h"
#include "filestore/test_disk.h"

/// The store against the device under it, in one run: each case prints its rate, its CPU and, where fio does the same
/// on the raw device or on the same btrfs, the ratio. BENCH_SECONDS sets how long a case runs (default 4).
namespace spirula::filestore {
namespace {

using testing::shell;
using testing::TestDisk;
using Time = std::chrono::steady_clock;

double seconds_per_case() {
  const char* text = std::getenv("BENCH_SECONDS");
  return text ? std::atof(text) : 4.0;
}
double seconds_since(Time::time_point begin) {
  return std::chrono::duration<double>(Time::now() - begin).count();
}
/// User and system time of this process: the store and the load generator, without kernel threads.
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return of(usage.ru_utime) + of(usage.ru_stime);
}
double resident_mib() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * 4096 / (1 << 20);
}

/// Operations per second of a fio job.
double fio(const std::string& arguments, const char* field) {
  std::string output =
      shell(fmt::format("fio --name=x --minimal --terse-version=3 --group_reporting --time_based "
                        "--runtime={} {} | tail -1",
                        seconds_per_case() / 2, arguments));
  std::vector<std::string> fields;
  for (std::size_t at = 0; at <= output.size();) {
    std::size_t end = std::min(output.find(';', at), output.size());
    fields.push_back(output.substr(at, end - at));
    at = end + 1;
  }
  // fio's terse format 3: 7 read bandwidth, 8 read IOPS, 48 write bandwidth (KiB/s), 49 write IOPS (counted from 1).
  std::size_t index = field == std::string_view("write_iops") ? 48 : field == std::string_view("write_kib") ? 47 : 7;
  CHECK(fields.size() > index, output);
  return std::atof(fields[index].c_str());
}

ObjectId object_name(std::uint32_t number) {
  ObjectId id;
  id.pool = 1;
  id.hash = number * 0x9e3779b1u;
  id.name = fmt::format("rbd_data.{:016x}", number);
  id.snap = ~std::uint64_t{1};
  return id;
}
constexpr unsigned pg_bits = 4;
CollectionId pg_of(const ObjectId& id) {
  return {1, id.hash & ((1u << pg_bits) - 1)};
}

Buffer random_buffer(std::size_t size) {
  Buffer buffer = Buffer::allocate(size, 4096);
  SeededRandom random(size);
  random.fill({buffer.mutable_data(), size});
  return buffer;
}

/// One disk and store for all cases; the shard it is driven from.
struct Bench {
  TestDisk disk{{.data_bytes = std::uint64_t{12} << 30, .journal_bytes = std::uint64_t{1} << 30}};
  ShardThread thread{"bench"};
  std::unique_ptr<Filestore> store;
  bool filled = false;

  Bench() {
    disk.format();
    open();
    for (std::uint32_t seed = 0; seed < 1u << pg_bits; ++seed) {
      Transaction make;
      make.create_collection(pg_bits);
      CHECK(run(store->submit({1, seed}, std::move(make))).has_value());
    }
  }
  ~Bench() {
    if (store) run(store->stop());
  }
  void open() {
    FilestoreOptions options = disk.options();
    auto opened = Filestore::open(options);
    CHECK(opened.has_value());
    store = std::move(*opened);
  }
  template <class T>
  T run(Task<T> task) {
    return boost::asio::co_spawn(thread.shard().context(), std::move(task), boost::asio::use_future).get();
  }

  /// `depth` loops of `operation` until the time is over; latencies in microseconds, sorted.
  struct Outcome {
    std::uint64_t count = 0;
    double seconds = 0, cpu_us = 0;
    std::vector<float> latency;
    double at(double part) const {
      return latency.empty() ? 0 : latency[static_cast<std::size_t>(part * static_cast<double>(latency.size() - 1))];
    }
  };
  Outcome drive(unsigned depth, double seconds, std::function<Task<Result<>>(SeededRandom&)> operation) {
    Outcome outcome;
    auto begin = Time::now();
    double cpu = cpu_seconds();
    auto one = [&](std::uint64_t seed) -> Task<int> {
      SeededRandom random(seed);
      while (seconds_since(begin) < seconds) {
        auto start = Time::now();
        Result<> done = co_await operation(random);
        CHECK(done.has_value(), done ? "" : done.error().message());
        outcome.latency.push_back(static_cast<float>(seconds_since(start) * 1e6));
        ++outcome.count;
      }
      co_return 0;
    };
    std::vector<std::future<int>> loops;
    for (unsigned i = 0; i < depth; ++i)
      loops.push_back(boost::asio::co_spawn(thread.shard().context(), one(i + 1), boost::asio::use_future));
    for (auto& each : loops) each.get();
    outcome.seconds = seconds_since(begin);
    outcome.cpu_us = (cpu_seconds() - cpu) * 1e6 / static_cast<double>(outcome.count);
    std::ranges::sort(outcome.latency);
    return outcome;
  }

  static constexpr std::uint32_t large_count = 256;
  static constexpr std::uint64_t large_bytes = 4 << 20;
  void fill() {
    if (filled) return;
    filled = true;
    Buffer data = random_buffer(large_bytes);
    for (std::uint32_t i = 0; i < large_count; ++i) {
      Transaction t;
      t.write(object_name(i), 0, data);
      CHECK(run(store->submit(pg_of(object_name(i)), std::move(t))).has_value());
    }
    CHECK(run(store->commit()).has_value());
  }
};

Bench& bench() {
  static Bench instance;
  return instance;
}

void report(benchmark::State& state, const Bench::Outcome& outcome, double baseline) {
  double rate = static_cast<double>(outcome.count) / outcome.seconds;
  state.SetIterationTime(outcome.seconds);
  state.counters["rate"] = rate;
  if (baseline > 0) state.counters["of_fio"] = rate / baseline;
  state.counters["cpu_us"] = outcome.cpu_us;
  state.counters["p50_us"] = outcome.at(0.5);
  state.counters["p99_us"] = outcome.at(0.99);
  state.counters["max_us"] = outcome.at(1);
  state.counters["rss_mib"] = resident_mib();
}

/// 4 KiB anywhere in 1 GiB of 4 MiB objects, two attributes, one omap key.
Task<Result<>> overwrite(Filestore& store, const Buffer& data, SeededRandom& random) {
  ObjectId id = object_name(static_cast<std::uint32_t>(random.below(Bench::large_count)));
  std::uint64_t block = random.below(Bench::large_bytes / 4096);
  Transaction t;
  t.write(id, block * 4096, data);
  t.set_attributes(id, {{"_", data.slice(0, 250)}, {"snapset", data.slice(0, 31)}});
  t.omap_set(id, {{fmt::format("{:05}", block), data.slice(0, 100)}});
  CollectionId pg = pg_of(id);
  return store.submit(pg, std::move(t));
}

double fio_fdatasync(unsigned depth) {
  // On the journal's device, which is like the other one; it is free while nobody has it open.
  Bench& b = bench();
  b.run(b.store->stop());
  b.store.reset();
  std::string save = b.disk.mount_point() + "/../journal.save";
  std::string scratch =
      shell(fmt::format("cd {}/.. && fallocate -l 1G scratch.img && losetup --direct-io=on -f --show "
                        "scratch.img",
                        b.disk.mount_point()));
  double rate = fio(fmt::format("--filename={} --rw=randwrite --bs=4k --direct=1 --fdatasync=1 --numjobs={} --thread "
                                "--ioengine=psync --size=1G",
                                scratch, depth),
                    "write_iops");
  shell(fmt::format("losetup -d {} && rm {}/../scratch.img", scratch, b.disk.mount_point()));
  b.open();
  return rate;
}

void overwrite_4k(benchmark::State& state) {
  Bench& b = bench();
  b.fill();
  auto depth = static_cast<unsigned>(state.range(0));
  static Buffer data = random_buffer(4096);
  for (auto _ : state) {
    double baseline = fio_fdatasync(depth);
    b.drive(depth, 0.3, [&](SeededRandom& random) { return overwrite(*b.store, data, random); });
    auto outcome =
        b.drive(depth, seconds_per_case(), [&](SeededRandom& random) { return overwrite(*b.store, data, random); });
    report(state, outcome, baseline);
    auto commits = b.store->commit_statistics();
    state.counters["fio"] = baseline;
    state.counters["commits"] = static_cast<double>(commits.commits);
    state.counters["hold_max_ms"] = static_cast<double>(commits.hold_max.count()) / 1000;
  }
}
BENCHMARK(overwrite_4k)->Arg(1)->Arg(16)->Arg(64)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);

/// New objects of 4 KiB, as `rados bench -b 4096` makes them.
void create_4k(benchmark::State& state) {
  Bench& b = bench();
  static Buffer data = random_buffer(4096);
  static std::uint32_t next = 1 << 20;
  for (auto _ : state) {
    auto outcome = b.drive(static_cast<unsigned>(state.range(0)), seconds_per_case(), [&](SeededRandom&) {
      ObjectId id = object_name(next++);
      CollectionId pg = pg_of(id);
      Transaction t;
      t.write(id, 0, data);
      t.set_attributes(id, {{"_", data.slice(0, 250)}, {"snapset", data.slice(0, 31)}});
      t.collection_set({{fmt::format("log.{:010}", next), data.slice(0, 180)}});
      return b.store->submit(pg, std::move(t));
    });
    report(state, outcome, 0);
  }
}
BENCHMARK(create_4k)->Arg(1)->Arg(16)->Arg(64)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);

void write_4m(benchmark::State& state) {
  Bench& b = bench();
  b.fill();
  static Buffer data = random_buffer(4 << 20);
  for (auto _ : state) {
    shell(fmt::format("mkdir -p {0}/fio && chattr +C {0}/fio", b.disk.mount_point()));
    double baseline = fio(fmt::format("--directory={}/fio --rw=write --bs=4m --direct=1 --fdatasync=4 --size=1g "
                                      "--ioengine=libaio --iodepth={}",
                                      b.disk.mount_point(), state.range(0)),
                          "write_kib") /
                      4096;
    shell(fmt::format("rm -rf {}/fio", b.disk.mount_point()));
    std::uint64_t staged = b.store->staged_bytes();
    auto outcome = b.drive(static_cast<unsigned>(state.range(0)), seconds_per_case(), [&](SeededRandom& random) {
      ObjectId id = object_name(static_cast<std::uint32_t>(random.below(Bench::large_count)));
      CollectionId pg = pg_of(id);
      Transaction t;
      t.write(id, 0, data);
      t.set_attributes(id, {{"_", data.slice(0, 250)}});
      return b.store->submit(pg, std::move(t));
    });
    report(state, outcome, baseline);
    state.counters["staged_part"] = static_cast<double>(b.store->staged_bytes() - staged) /
                                    (static_cast<double>(outcome.count) * static_cast<double>(data.size()));
    state.counters["MB/s"] = static_cast<double>(outcome.count) * 4.194304 / outcome.seconds;
  }
}
BENCHMARK(write_4m)->Arg(1)->Arg(16)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);

void read_4k_cached(benchmark::State& state) {
  Bench& b = bench();
  b.fill();
  constexpr std::uint32_t warm = 32;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < warm; ++i)
      CHECK(b.run(b.store->read(object_name(i), 0, Bench::large_bytes)).has_value());
    auto read = [&](SeededRandom& random) -> Task<Result<>> {
      ObjectId id = object_name(static_cast<std::uint32_t>(random.below(warm)));
      std::uint64_t at = random.below(Bench::large_bytes / 4096) * 4096;
      auto data = co_await b.store->read(std::move(id), at, 4096);
      CO_TRY(data);
      co_return Result<>{};
    };
    b.drive(4, 0.5, read);
    auto outcome = b.drive(1, seconds_per_case() / 2, read);
    report(state, outcome, 0);
  }
}
BENCHMARK(read_4k_cached)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);

void clone_4m(benchmark::State& state) {
  Bench& b = bench();
  b.fill();
  for (auto _ : state) {
    auto outcome = b.drive(1, seconds_per_case() / 4, [&](SeededRandom& random) {
      ObjectId from = object_name(static_cast<std::uint32_t>(random.below(Bench::large_count)));
      ObjectId to = from;
      to.snap = random.below(4);
      CollectionId pg = pg_of(from);
      Transaction t;
      t.clone(std::move(from), std::move(to));
      return b.store->submit(pg, std::move(t));
    });
    report(state, outcome, 0);
  }
}
BENCHMARK(clone_4m)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace spirula::filestore
