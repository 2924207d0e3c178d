#include <fmt/format.h>

#include <array>
#include <map>
#include <memory>

#include "base/check.h"
#include "filestore/bench_rig.h"

/// Who keeps the checksums, btrfs or the index: both stores beside each other, taking turns.
namespace spirula::filestore::bench {
namespace {

using testing::shell;

constexpr std::array modes = {Integrity::index_checksums, Integrity::btrfs_checksums};

Task<Result<>> read_all(Filestore& store, ObjectId id, std::uint64_t offset, std::uint64_t length) {
  auto data = co_await store.read(std::move(id), offset, length);
  CO_TRY(data);
  co_return Result<>{};
}
Task<Result<>> digest_all(Filestore& store, ObjectId id) {
  auto digest = co_await store.digest(std::move(id), 0, Rig::large_bytes);
  CO_TRY(digest);
  co_return Result<>{};
}

/// The figures of one store, each time it has its turn.
class Store {
 public:
  explicit Store(Integrity integrity)
      : rig_({.data_bytes = std::uint64_t{8} << 30, .journal_bytes = std::uint64_t{1} << 30}, {}, integrity) {
    rig_.fill();
  }
  void turn(double seconds) {
    auto note = [this](const char* what, double value) { figures_[what].push_back(value); };
    Outcome o = rig_.drive(16, seconds, [this](SeededRandom& random) {
      ObjectId id = object_name(static_cast<std::uint32_t>(random.below(Rig::large_count)));
      std::uint64_t block = random.below(Rig::large_bytes / 4096);
      CollectionId pg = pg_of(id);
      Transaction t;
      t.write(id, block * 4096, small_);
      t.set_attributes(id, {{"_", small_.slice(0, 250)}, {"snapset", small_.slice(0, 31)}});
      t.omap_set(std::move(id), {{fmt::format("{:05}", block), small_.slice(0, 100)}});
      return rig_.store().submit(pg, std::move(t));
    });
    note("overwrites", o.rate());
    note("overwrite_cpu", o.cpu_us);
    rig_.commit();
    o = rig_.drive(16, seconds, [this](SeededRandom& random) { return write_large(random.below(Rig::large_count)); });
    note("large", o.rate() * 4.194304);
    note("large_cpu", o.cpu_us);
    // Every object in one piece again, as most are, and on the disk.
    std::uint64_t next = 0, started = 0;
    auto each = [&](double) { return started++ < Rig::large_count; };
    rig_.drive(4, each, [&](SeededRandom&) { return write_large(next++); });
    rig_.commit();
    shell("sync; echo 3 > /proc/sys/vm/drop_caches");
    auto all = [&](auto operation) {
      next = started = 0;
      return rig_.drive(4, each, [&, operation](SeededRandom&) {
        return operation(object_name(static_cast<std::uint32_t>(next++)));
      });
    };
    auto read = [this](ObjectId id) { return read_all(rig_.store(), std::move(id), 0, Rig::large_bytes); };
    auto digest = [this](ObjectId id) { return digest_all(rig_.store(), std::move(id)); };
    double uncached = all(read).seconds;
    shell("sync; echo 3 > /proc/sys/vm/drop_caches");
    double digest_cold = all(digest).seconds;
    all(read);
    o = all(read);
    double cached = o.seconds;
    note("read_uncached", 1024 * 1.048576 / uncached);
    note("read_cached", 1024 * 1.048576 / cached);
    note("read_cached_cpu", o.cpu_us);
    double digest_warm = all(digest).seconds;
    note("digest_cold", digest_cold * 1000);
    note("digest_warm", digest_warm * 1000);
    note("digest_cold_gain", uncached / digest_cold);
    note("digest_warm_gain", cached / digest_warm);
    auto small_read = [this](SeededRandom& random) {
      ObjectId id = object_name(static_cast<std::uint32_t>(random.below(32)));
      return read_all(rig_.store(), std::move(id), random.below(Rig::large_bytes / 4096) * 4096, 4096);
    };
    rig_.drive(4, 0.3, small_read);
    o = rig_.drive(1, seconds / 2, small_read);
    note("small_read_cpu", o.cpu_us);
  }
  double median(const char* what) const {
    auto values = figures_.at(what);
    std::ranges::sort(values);
    return values[values.size() / 2];
  }

 private:
  Task<Result<>> write_large(std::uint64_t number) {
    ObjectId id = object_name(static_cast<std::uint32_t>(number));
    CollectionId pg = pg_of(id);
    Transaction t;
    t.write(id, 0, large_);
    t.set_attributes(std::move(id), {{"_", small_.slice(0, 250)}});
    return rig_.store().submit(pg, std::move(t));
  }

  Rig rig_;
  Buffer small_ = random_buffer(4096), large_ = random_buffer(Rig::large_bytes);
  std::map<std::string, std::vector<double>> figures_;
};

}  // namespace

void measure_integrity(const Settings& settings, Table& table) {
  std::array<std::unique_ptr<Store>, modes.size()> stores;
  for (std::size_t i = 0; i < modes.size(); ++i) stores[i] = std::make_unique<Store>(modes[i]);
  for (int round = 0; round < settings.rounds; ++round)
    for (auto& each : stores) each->turn(settings.seconds);
  auto row = [&](const char* what, const char* name, int digits) {
    double index = stores[0]->median(name), btrfs = stores[1]->median(name);
    table.row(what, fmt::format("{:.{}f}", index, digits), fmt::format("{:.{}f} with btrfs checksums", btrfs, digits),
              fmt::format("{:.2f}", index / btrfs), "", {});
  };
  row("index checksums: 4 KiB overwrites, depth 16 (/s)", "overwrites", 0);
  row("- CPU for each (µs)", "overwrite_cpu", 1);
  row("- 4 MiB writes, depth 16 (MB/s)", "large", 0);
  row("- CPU for each (µs, without kernel threads)", "large_cpu", 0);
  row("- 4 MiB reads from the medium (MB/s)", "read_uncached", 0);
  row("- 4 MiB reads from cache (MB/s)", "read_cached", 0);
  row("- CPU for each (µs)", "read_cached_cpu", 0);
  row("- CPU for each 4 KiB read from cache (µs)", "small_read_cpu", 1);
  row("- digest of 1 GiB, cold (ms)", "digest_cold", 1);
  row("- digest of 1 GiB, warm (ms)", "digest_warm", 1);
  for (std::size_t i = 0; i < modes.size(); ++i) {
    std::string mode = to_text(modes[i]);
    double cold = stores[i]->median("digest_cold_gain"), warm = stores[i]->median("digest_warm_gain");
    table.row("digest of 1 GiB against reading it from the medium, " + mode, "", "", fmt::format("{:.0f}", cold), "50",
              cold >= 50);
    table.row("- against reading it from cache, " + mode, "", "", fmt::format("{:.0f}", warm), "", {});
  }
}

}  // namespace spirula::filestore::bench
