#include <fmt/format.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "base/check.h"
#include "filestore/bench_rig.h"
#include "filestore/limits.h"

/// The store against the device under it, in one run:
///
///     filestore_bench [--full] [--seconds S] [NAME...]
///
/// Each case prints its figures, with the ratio to fio on the raw loop device or the same btrfs where there is one,
/// and whether the goal is met. --full takes ten commits, three wraps of the journal and a million objects where the
/// quick form takes a few, and the two integrity modes beside each other, in about five minutes. What else chose the
/// format (small_objects, staging_threshold) is measured when it is named. The table at the end is the one of
/// docs/benchmarks.md.
///
/// The disk of the store is a sparse file of 4 TiB (see Rig::data_bytes). For the figures that stand beside a
/// device's its front is written before: else the file system below it, which has to allocate and to journal that, is
/// measured.
namespace spirula::filestore::bench {
namespace {

using testing::shell;

std::string number(double value, int digits = 0) {
  return fmt::format("{:.{}f}", value, digits);
}

/// 4 KiB anywhere in the filled objects, two attributes, one omap key.
std::pair<CollectionId, Transaction> overwrite_transaction(const Buffer& data, SeededRandom& random) {
  ObjectId id = object_name(static_cast<std::uint32_t>(random.below(Rig::large_count)));
  std::uint64_t block = random.below(Rig::large_bytes / 4096);
  CollectionId pg = pg_of(id);
  Transaction t;
  t.write(id, block * 4096, data);
  t.set_attributes(id, {{"_", data.slice(0, 250)}, {"snapset", data.slice(0, 31)}});
  t.omap_set(std::move(id), {{fmt::format("{:05}", block), data.slice(0, 100)}});
  return {pg, std::move(t)};
}
Rig::Operation overwrite(Rig& rig) {
  return [&rig, data = random_buffer(4096)](SeededRandom& random) {
    auto [pg, transaction] = overwrite_transaction(data, random);
    return rig.store().submit(pg, std::move(transaction));
  };
}
Task<Result<>> nothing() {
  co_return Result<>{};
}
/// What the load itself costs.
Rig::Operation overwrite_unsubmitted() {
  return [data = random_buffer(4096)](SeededRandom& random) {
    auto [pg, transaction] = overwrite_transaction(data, random);
    return nothing();
  };
}
Rig::Operation rewrite_4m(Rig& rig) {
  return [&rig, data = random_buffer(Rig::large_bytes)](SeededRandom& random) {
    ObjectId id = object_name(static_cast<std::uint32_t>(random.below(Rig::large_count)));
    CollectionId pg = pg_of(id);
    Transaction t;
    t.write(id, 0, data);
    t.set_attributes(std::move(id), {{"_", data.slice(0, 250)}});
    return rig.store().submit(pg, std::move(t));
  };
}
Task<Result<>> read_at(Filestore& store, ObjectId id, std::uint64_t at) {
  auto data = co_await store.read(std::move(id), at, 4096);
  CO_TRY(data);
  co_return Result<>{};
}
Rig::Operation read_4k(Rig& rig, std::uint32_t objects) {
  return [&rig, objects](SeededRandom& random) {
    ObjectId id = object_name(static_cast<std::uint32_t>(random.below(objects)));
    return read_at(rig.store(), std::move(id), random.below(Rig::large_bytes / 4096) * 4096);
  };
}

std::string journal_share(const Filestore& store, std::uint64_t staged_before, double acknowledged) {
  return fmt::format(
      "{:.0f}%", 100 * (1 - static_cast<double>(store.staged_bytes() - staged_before) / std::max(acknowledged, 1.0)));
}

std::string by_thread(const Outcome& outcome) {
  std::string text;
  for (const auto& [name, use] : outcome.threads)
    if (use.cpu_us >= 0.05)
      text += fmt::format("{}{} {:.1f}; {:.2f}", text.empty() ? "" : ", ", name, use.cpu_us, use.switches);
  return text;
}

class Bench {
 public:
  explicit Bench(const Settings& settings) : settings_(settings) {}

  void overwrite_burst() {
    Rig& rig = filled();
    const std::map<unsigned, double> goals{{1, 0.8}, {16, 1.0}, {64, 1.1}};
    double load = rig.drive(16, 0.3, overwrite_unsubmitted()).cpu_us;
    for (auto [depth, goal] : goals) {
      std::vector<double> fio, ours, cpu, device, idle, fio_idle;
      Outcome last;
      for (int round = 0; round < settings_.rounds; ++round) {
        rig.commit();
        (void)idle_since();
        fio.push_back(fio_fdatasync(raw_, depth, settings_.seconds));
        fio_idle.push_back(idle_since());
        std::uint64_t journal = rig.store().journal_bytes();
        last = rig.drive(depth, settings_.seconds, overwrite(rig));
        idle.push_back(idle_since());
        ours.push_back(last.rate());
        cpu.push_back(last.cpu_us - load);
        device.push_back(fio_journal(
            raw_, depth, (rig.store().journal_bytes() - journal) * depth / std::max<std::uint64_t>(last.count, 1),
            settings_.seconds));
      }
      double ratio = middle(ours) / middle(fio);
      table_.row(fmt::format("4 KiB overwrites, burst, depth {} (/s)", depth), number(middle(ours)),
                 number(middle(fio)) + " fio fdatasync, raw", number(ratio, 2), number(goal, 1), ratio >= goal);
      table_.row(fmt::format("- a journal that does nothing but such writes, depth {} (/s)", depth),
                 number(middle(device)),
                 fmt::format("processors idle meanwhile {:.0f}%, with fio {:.0f}%", 100 * middle(idle),
                             100 * middle(fio_idle)),
                 number(middle(device) / middle(fio), 2), "", {});
      BareStore bare = bare_store(rig, raw_, depth, settings_.seconds);
      table_.row(fmt::format("- the system calls and hand-offs of such a store alone, depth {} (/s)", depth),
                 number(bare.rate), "", number(bare.rate / middle(fio), 2), "", {});
      table_.row(fmt::format("- CPU for each, depth {} (µs)", depth), number(middle(cpu), 1),
                 number(bare.cpu_us, 1) + " its system calls and hand-offs alone; load itself " + number(load, 1),
                 number(middle(cpu) / bare.cpu_us, 2), "25 or the floor", middle(cpu) <= std::max(25.0, bare.cpu_us));
      table_.row(fmt::format("- by thread, depth {} (µs; changes of context)", depth), by_thread(last), "", "", "", {});
    }
  }

  void overwrite_sustained() {
    for (unsigned depth : {16u, 64u}) {
      // Less than a disk of that size gets from the appliance (journal_bytes() there), which is 4 GiB.
      Rig rig(Rig::written_disk_size(settings_.full ? std::uint64_t{2} << 30 : 192u << 20));
      rig.fill();
      double fio = fio_fdatasync(raw_, depth, settings_.seconds);
      std::uint64_t journal = rig.store().journal_bytes(), commits = rig.store().commit_statistics().commits;
      std::uint64_t wraps = rig.journal_bytes() * 3;
      auto more = [&](double seconds) {
        auto s = rig.store().commit_statistics();
        return seconds < seconds_max &&
               (rig.store().journal_bytes() - journal < wraps || s.commits - commits < (settings_.full ? 10u : 3u));
      };
      reset_memory_peak();
      Probe probe(raw_);
      auto [writes, reads] = rig.drive_with_reader(depth, more, overwrite(rig), read_4k(rig, Rig::large_count));
      auto beside = probe.stop();
      auto s = rig.store().commit_statistics();
      table_.row(
          fmt::format(
              "4 KiB overwrites, sustained over {} commits and {:.1f} journals, depth {} (/s)", s.commits - commits,
              static_cast<double>(rig.store().journal_bytes() - journal) / static_cast<double>(rig.journal_bytes()),
              depth),
          number(writes.rate()), number(fio) + " fio fdatasync, raw", number(writes.rate() / fio, 2), "0.4",
          writes.rate() / fio >= 0.4);
      latencies(fmt::format("4 KiB overwrites, depth {}", depth), writes, reads, beside, s);
    }
  }

  void write_large() {
    Rig& rig = filled();
    std::vector<double> fio, ours;
    std::uint64_t staged = 0;
    Outcome outcome;
    for (int round = 0; round < settings_.rounds; ++round) {
      rig.commit();
      fio.push_back(fio_large(rig, 16, settings_.seconds));
      staged = rig.store().staged_bytes();
      outcome = rig.drive(16, settings_.seconds * 2, rewrite_4m(rig));
      ours.push_back(outcome.rate());
    }
    double ratio = middle(ours) / middle(fio);
    table_.row("4 MiB writes, depth 16 (MB/s)", number(middle(ours) * 4.194304),
               number(middle(fio) * 4.194304) + " fio, NOCOW on the same btrfs, fdatasync every 4", number(ratio, 2),
               "0.85", ratio >= 0.85);
    table_.row("- CPU for each (µs)", number(outcome.cpu_us), "", "", "", {});
    table_.row(
        "- part that went through the journal",
        journal_share(rig.store(), staged, static_cast<double>(outcome.count) * static_cast<double>(Rig::large_bytes)),
        "", "", "", {});

    // With commits put off, for a part of the rings.
    Rig quiet(Rig::disk_size,
              [](auto& options) { options.commit_interval_min = options.commit_interval_max = std::chrono::hours(1); });
    quiet.fill();
    std::uint64_t before = quiet.device_bytes(), commits = quiet.store().commit_statistics().commits, count = 0;
    staged = quiet.store().staged_bytes();
    outcome = quiet.drive(4, [&](double) { return count++ < 128; }, rewrite_4m(quiet));
    double acknowledged = static_cast<double>(outcome.count) * static_cast<double>(Rig::large_bytes);
    double written = static_cast<double>(quiet.device_bytes() - before) / acknowledged;
    table_.row(fmt::format("- device bytes for each byte acknowledged, outside commits ({} began)",
                           quiet.store().commit_statistics().commits - commits),
               number(written, 3), "through the journal " + journal_share(quiet.store(), staged, acknowledged), "",
               "1.15", written <= 1.15);
  }

  void write_large_latency() {
    Rig rig(Rig::written_disk_size());
    rig.fill();
    std::uint64_t commits = rig.store().commit_statistics().commits;
    auto more = [&](double seconds) {
      return seconds < seconds_max && rig.store().commit_statistics().commits - commits < (settings_.full ? 10u : 3u);
    };
    reset_memory_peak();
    Probe probe(raw_);
    auto [writes, reads] = rig.drive_with_reader(4, more, rewrite_4m(rig), read_4k(rig, Rig::large_count));
    latencies(fmt::format("4 MiB writes, depth 4, {} commits", rig.store().commit_statistics().commits - commits),
              writes, reads, probe.stop(), rig.store().commit_statistics());
  }

  void integrity() { measure_integrity(settings_, table_); }

  void read_cached() {
    Rig& rig = filled();
    constexpr std::uint32_t warm = 32;
    rig.commit();
    for (int pass = 0; pass < 2; ++pass)  // the first leaves nothing in the page cache
      for (std::uint32_t i = 0; i < warm; ++i)
        CHECK(rig.run(rig.store().read(object_name(i), 0, Rig::large_bytes)).has_value());
    auto unread = [](SeededRandom& random) {
      ObjectId id = object_name(static_cast<std::uint32_t>(random.below(warm)));
      return nothing();
    };
    rig.drive(4, 0.5, read_4k(rig, warm));
    double load = rig.drive(1, 0.3, unread).cpu_us;
    auto outcome = rig.drive(1, settings_.seconds, read_4k(rig, warm));
    double cpu = outcome.cpu_us - load;
    table_.row("4 KiB reads from cache, CPU for each (µs)", number(cpu, 1), "load itself " + number(load, 1), "", "5",
               cpu <= 5);
  }

  void clone_large() {
    Rig rig(Rig::disk_size);
    rig.fill();
    std::uint64_t clones = 0;
    Rig::Operation clone = [&](SeededRandom& random) {
      ObjectId from = object_name(static_cast<std::uint32_t>(random.below(Rig::large_count)));
      ObjectId to = from;
      to.snap = ++clones;  // never there: replacing one costs a removal besides
      CollectionId pg = pg_of(from);
      Transaction t;
      t.clone(std::move(from), std::move(to));
      return rig.store().submit(pg, std::move(t));
    };
    double floor = clone_floor(rig);
    auto nothing_much = [&](SeededRandom& random) {
      ObjectId id = object_name(static_cast<std::uint32_t>(random.below(Rig::large_count)));
      CollectionId pg = pg_of(id);
      Transaction t;
      t.touch(std::move(id));
      return rig.store().submit(pg, std::move(t));
    };
    for (unsigned depth : {1u, 16u}) {
      double around = rig.drive(depth, settings_.seconds / 4, nothing_much).cpu_us;
      auto outcome = rig.drive(depth, settings_.seconds / 2, clone);
      table_.row(
          fmt::format("clone of a 4 MiB object, depth {}, CPU (µs)", depth), number(outcome.cpu_us, 1),
          fmt::format("{:.1f} a transaction that changes nothing; {:.1f} making a file and the reflink", around, floor),
          number(outcome.cpu_us / (around + floor), 2), "100", outcome.cpu_us < 100);
      table_.row("- by thread (µs; changes of context)", by_thread(outcome), "", "", "", {});
    }
  }

  void create_small() {
    Rig rig(Rig::disk_size);
    Buffer data = random_buffer(4096);
    std::uint32_t next = 1 << 20;
    reset_memory_peak();
    auto outcome = rig.drive(16, settings_.seconds * 3, [&](SeededRandom&) {
      ObjectId id = object_name(next++);
      CollectionId pg = pg_of(id);
      Transaction t;
      t.write(id, 0, data);
      t.set_attributes(std::move(id), {{"_", data.slice(0, 250)}, {"snapset", data.slice(0, 31)}});
      t.collection_set({{fmt::format("log.{:010}", next), data.slice(0, 180)}});
      return rig.store().submit(pg, std::move(t));
    });
    table_.row("4 KiB creates with a log entry, depth 16 (/s)", number(outcome.rate()),
               number(outcome.cpu_us, 1) + " µs CPU each", "", "", {});
    memory("4 KiB creates");
  }

  /// Creates of each size, commits included, with the data in the index, in slots and in files.
  void small_objects() {
    enum Place { index, slot, file };
    for (std::size_t size : {512u, 1024u, 2048u, 3072u, 4096u, 8192u, 16384u, 32768u}) {
      std::map<Place, Outcome> outcomes;
      for (Place place : {index, slot, file}) {
        if (place == slot && size > limits::slab_bytes_max) continue;
        Rig rig(Rig::disk_size, [&](auto& options) {
          options.inline_bytes_max = place == index ? 64u << 10 : 0;
          if (place == file) options.slab_bytes_max = 0;
        });
        Buffer data = random_buffer(size);
        std::uint32_t next = 0;
        std::uint64_t before = rig.device_bytes();
        auto begin = Time::now();
        double cpu = cpu_seconds();
        Outcome outcome = rig.drive(16, settings_.seconds * 2, [&](SeededRandom&) {
          ObjectId id = object_name(next++);
          CollectionId pg = pg_of(id);
          Transaction t;
          t.write(id, 0, data);
          t.set_attributes(std::move(id), {{"_", data.slice(0, 250)}, {"snapset", data.slice(0, 31)}});
          return rig.store().submit(pg, std::move(t));
        });
        rig.commit();
        outcome.seconds = seconds_since(begin);
        outcome.cpu_us = (cpu_seconds() - cpu) * 1e6 / static_cast<double>(outcome.count);
        outcome.latency = {static_cast<float>(static_cast<double>(rig.device_bytes() - before) /
                                              static_cast<double>(outcome.count * size))};
        outcomes[place] = outcome;
      }
      auto describe = [&](Place place, const char* name) {
        const Outcome& o = outcomes[place];
        return fmt::format("{}: {:.0f}, {:.0f} µs CPU, {:.1f} device bytes a byte", name, o.rate(), o.cpu_us,
                           o.latency[0]);
      };
      for (auto [place, name] : {std::pair(index, "in the index"), std::pair(slot, "in slots")})
        if (outcomes.contains(place))
          table_.row(fmt::format("creates of {} bytes, depth 16 (/s)", size), describe(place, name),
                     describe(file, "in files"), number(outcomes[place].rate() / outcomes[file].rate(), 2), "", {});
    }
  }

  /// Overwrites of each size, commits included, staged and through the journal.
  void staging_threshold() {
    for (std::size_t size : {32u << 10, 64u << 10, 128u << 10, 256u << 10, 512u << 10, 1024u << 10}) {
      std::map<bool, Outcome> outcomes;
      for (bool staged : {true, false}) {
        Rig rig(Rig::disk_size,
                [&](auto& options) { options.staged_bytes_min = staged ? size : std::size_t{1} << 30; });
        rig.fill();
        Buffer data = random_buffer(size);
        auto begin = Time::now();
        double cpu = cpu_seconds();
        Outcome outcome = rig.drive(16, settings_.seconds * 2, [&](SeededRandom& random) {
          ObjectId id = object_name(static_cast<std::uint32_t>(random.below(Rig::large_count)));
          CollectionId pg = pg_of(id);
          Transaction t;
          t.write(std::move(id), random.below(Rig::large_bytes / size) * size, data);
          return rig.store().submit(pg, std::move(t));
        });
        rig.commit();
        outcome.seconds = seconds_since(begin);
        outcome.cpu_us = (cpu_seconds() - cpu) * 1e6 / static_cast<double>(outcome.count);
        outcomes[staged] = outcome;
      }
      auto describe = [&](bool staged) {
        const Outcome& o = outcomes[staged];
        return fmt::format("{:.0f} (median {:.1f} ms), {:.0f} µs CPU", o.rate(), o.at(0.5) / 1000, o.cpu_us);
      };
      table_.row(fmt::format("overwrites of {} KiB staged, depth 16 (/s)", size >> 10), describe(true),
                 describe(false) + " through the journal", number(outcomes[true].rate() / outcomes[false].rate(), 2),
                 "", {});
    }
  }

  /// Listing, mounting after a clean stop, and replay.
  void many_objects() {
    Rig rig(Rig::disk_size);
    std::uint32_t count = settings_.full ? 1'000'000 : 100'000;
    std::map<CollectionId, Transaction> parts;
    Buffer attribute = random_buffer(250);
    reset_memory_peak();
    for (std::uint32_t i = 0; i < count; ++i) {
      ObjectId id = object_name(i);
      CollectionId pg = pg_of(id);
      Transaction& part = parts[pg];
      part.set_attributes(std::move(id), {{"_", attribute}});
      if (part.operations().size() == 100) rig.submit(pg, std::exchange(part, {}));
    }
    for (auto& [pg, part] : parts)
      if (!part.empty()) rig.submit(pg, std::move(part));
    rig.commit();

    auto cpu = [] {  // not that of compactions, which go on
      auto use = thread_use();
      return (use["bench"].cpu_us + use["store-read"].cpu_us) / 1e6;
    };
    double cpu_before = cpu();
    auto begin = Time::now();
    std::uint64_t listed = 0;
    for (std::uint32_t seed = 0; seed < 1u << pg_bits; ++seed) {
      std::optional<ObjectId> start;
      do {
        auto page = rig.run(rig.store().list({1, seed}, start, 1000));
        CHECK(page.has_value());
        listed += page->objects.size();
        start = page->next;
      } while (start);
    }
    CHECK(listed == count);
    double seconds = seconds_since(begin), million = 1e6 / count;
    table_.row(fmt::format("{} objects listed in order (s)", count), number(seconds, 2),
               fmt::format("{:.2f} s CPU", cpu() - cpu_before), "", fmt::format("{:.2f}", 2 / million),
               seconds * million < 2);

    rig.close();
    begin = Time::now();
    rig.open();
    seconds = seconds_since(begin);
    table_.row(fmt::format("mount after a clean stop, {} objects (s)", count), number(seconds, 3), "", "", "0.3",
               seconds < 0.3);
    memory(fmt::format("{} objects", count));
  }

  void replay() {
    Rig rig(Rig::disk_size,
            [](auto& options) { options.commit_interval_min = options.commit_interval_max = std::chrono::hours(1); });
    rig.fill();
    rig.drop();  // so that replay begins where the load does
    rig.open();
    rig.commit();
    auto outcome = rig.drive(64, settings_.seconds * 2, overwrite(rig));
    rig.drop();
    auto begin = Time::now();
    rig.open();
    double seconds = seconds_since(begin);
    table_.row(fmt::format("replay of {} overwrites after a crash (/s)", outcome.count),
               number(static_cast<double>(outcome.count) / seconds), number(outcome.rate()) + " as they were taken",
               number(outcome.seconds / seconds, 2), "1", outcome.seconds >= seconds);
  }

  const Table& table() const { return table_; }

 private:
  Rig& filled() {
    if (!filled_) {
      filled_ = std::make_unique<Rig>(Rig::written_disk_size());
      filled_->fill();
    }
    return *filled_;
  }
  static double middle(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  }
  void latencies(const std::string& load, const Outcome& writes, const Outcome& reads, const Probe::Found& beside,
                 const CommitStatistics& commits) {
    auto one = [&](const char* what, const Outcome& of, const char* other, const Outcome& beside) {
      table_.row(
          fmt::format("- {}: p99 of {} (µs; max {:.0f})", load, what, of.at(1)), number(of.at(0.99)),
          fmt::format("{:.0f} median; {} {:.0f}, median {:.0f}", of.at(0.5), other, beside.at(0.99), beside.at(0.5)),
          number(of.at(0.99) / std::max(of.at(0.5), 1.0), 1), "3", of.at(0.99) <= 3 * of.at(0.5));
    };
    one("acknowledgements", writes, "one block to the raw device beside it", beside.writes);
    one("4 KiB reads", reads, "lateness of a timer beside it", beside.lateness);
    table_.row(fmt::format("- {}: longest hold of application (ms)", load),
               number(static_cast<double>(commits.hold_max.count()) / 1000, 1), "", "", "", {});
    memory(load, writes.latency.size() + reads.latency.size());
  }
  /// Without what the load has recorded itself.
  void memory(const std::string& load, std::size_t recorded = 0) {
    double record = static_cast<double>(recorded * sizeof(float)) / (1 << 20);
    table_.row(fmt::format("- {}: most memory resident (MiB)", load), number(peak_mib() - record),
               recorded ? number(record, 1) + " of the load's own not counted" : "", "", "96",
               peak_mib() - record < 96);
  }

  /// Of a load that has to see so many commits.
  static constexpr double seconds_max = 150;
  Settings settings_;
  RawDevice raw_;
  Table table_;
  std::unique_ptr<Rig> filled_;
};

using Case = void (Bench::*)();
const std::vector<std::pair<const char*, Case>> cases{
    {"overwrite_burst", &Bench::overwrite_burst},
    {"overwrite_sustained", &Bench::overwrite_sustained},
    {"write_large", &Bench::write_large},
    {"write_large_latency", &Bench::write_large_latency},
    {"read_cached", &Bench::read_cached},
    {"clone_large", &Bench::clone_large},
    {"create_small", &Bench::create_small},
    {"many_objects", &Bench::many_objects},
    {"replay", &Bench::replay},
};
/// What chose the format.
const std::vector<std::pair<const char*, Case>> choices{
    {"integrity", &Bench::integrity},
    {"small_objects", &Bench::small_objects},
    {"staging_threshold", &Bench::staging_threshold},
};

int run(int argc, char** argv) {
  // As cosd does: see osd/cosd_main.cc.
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 32 << 20);
  Settings settings;
  std::vector<std::string> wanted;
  auto all = cases;
  all.insert(all.end(), choices.begin(), choices.end());
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == "--full") {
      settings = {.full = true, .seconds = 2, .rounds = 3};
    } else if (argument == "--seconds" && i + 1 < argc) {
      settings.seconds = std::atof(argv[++i]);
    } else if (std::ranges::any_of(all, [&](const auto& each) { return each.first == argument; })) {
      wanted.emplace_back(argument);
    } else {
      fmt::print(stderr, "usage: {} [--full] [--seconds S] [NAME...]\nnames:", argv[0]);
      for (const auto& [name, run] : all) fmt::print(stderr, " {}", name);
      fmt::print(stderr, "\n");
      return 2;
    }
  }
  if (wanted.empty()) {
    for (const auto& [name, run] : cases) wanted.emplace_back(name);
    if (settings.full) wanted.emplace_back("integrity");  // digests have a goal too
  }
  Bench bench(settings);
  for (const auto& [name, run] : all)
    if (std::ranges::find(wanted, name) != wanted.end()) (bench.*run)();
  bench.table().print();
  return 0;
}

}  // namespace
}  // namespace spirula::filestore::bench

int main(int argc, char** argv) {
  return spirula::filestore::bench::run(argc, argv);
}
