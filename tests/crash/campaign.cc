#include "tests/crash/campaign.h"

#include <btrfsutil.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <thread>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/shard.h"
#include "filestore/btrfs.h"
#include "filestore/error.h"
#include "filestore/faults.h"
#include "filestore/inspector.h"
#include "filestore/superblock.h"
#include "tests/crash/recorded_disk.h"

namespace spirula::crash {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t mebibyte = 1 << 20;
constexpr auto trial_deadline = 60s, workload_deadline = 200s;

DiskImage blank_disk() {
  return DiskImage({64 * mebibyte, 1024 * mebibyte});
}

/// The same without a recorder, on sparse files: for what only kills processes.
class PlainDisk {
 public:
  explicit PlainDisk(const std::string& directory)
      : mount_point_(directory + "/btrfs"),
        journal_(sparse_file(directory + "/journal.img", 64 * mebibyte)),
        btrfs_(sparse_file(directory + "/btrfs.img", 1024 * mebibyte)) {
    CHECK(run_command({"mkfs.btrfs", "-q", "-K", btrfs_.path()}, directory + "/mkfs.log") == 0, "mkfs.btrfs failed");
    mount_ = std::make_unique<BtrfsMount>(btrfs_.path(), mount_point_);
    CHECK(mount_->mounted());
  }
  const std::string& mount_point() const { return mount_point_; }
  const std::string& journal() const { return journal_.path(); }

 private:
  static std::string sparse_file(const std::string& path, std::uint64_t size) {
    std::ofstream(path).close();
    fs::resize_file(path, size);
    return path;
  }
  std::string mount_point_;
  LoopDevice journal_, btrfs_;
  std::unique_ptr<BtrfsMount> mount_;
};

filestore::FilestoreOptions options_for(const auto& disk) {
  filestore::FilestoreOptions options;
  options.path = disk.mount_point();
  options.journal = disk.journal();
  options.memory_bytes_max = 32 * mebibyte;
  options.apply_threads = 2;
  options.staging_ring_bytes = 8 * mebibyte;  // goes round several times
  options.shared_checksums_min = 0;
  options.commit_interval_min = 300ms;
  options.commit_interval_max = 2s;
  return options;
}

std::vector<Lane> make_lanes(const Campaign& campaign) {
  std::vector<Lane> lanes;
  for (unsigned i = 0; i < campaign.lanes; ++i) lanes.emplace_back(i, campaign.seed, campaign.large);
  return lanes;
}

std::unique_ptr<filestore::ObjectStore> open_store(const auto& disk, std::string& problem) {
  auto store = filestore::open_filestore(options_for(disk));
  if (store) return std::move(*store);
  problem = "open: " + store.error().message();
  return nullptr;
}

void stop_store(std::unique_ptr<filestore::ObjectStore> store) {
  run_main([&](Shard&) -> Task<int> {
    co_await store->stop();
    co_return 0;
  });
}

/// Makes the newest snapshot unusable while there is an older one; false if there is none.
bool damage_newest_snapshot(const std::string& path, Random& random) {
  auto snapshots = filestore::list_snapshots(path);
  if (!snapshots || snapshots->size() < 2) return false;
  std::string name = filestore::snapshot_name(snapshots->front()), snapshot = path + "/" + name;
  if (random.below(4) == 0) {
    FileDescriptor root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return filestore::btrfs::destroy_subvolume(root.get(), name).has_value();
  }
  if (btrfs_util_set_subvolume_read_only(snapshot.c_str(), false) != BTRFS_UTIL_OK) return false;
  switch (random.below(3)) {
    case 0:
      fs::remove(snapshot + "/index/CURRENT");
      break;
    case 1:
      std::ofstream(snapshot + "/" + filestore::commit_point_name) << "not what it was";
      break;
    default:
      for (const auto& file : fs::directory_iterator(snapshot + "/index"))
        if (file.path().filename().string().starts_with("MANIFEST")) std::ofstream(file.path()) << "not what it was";
  }
  btrfs_util_set_subvolume_read_only(snapshot.c_str(), true);
  return true;
}

/// The index against the files, all data verified.
std::string inspect(const RecordedDisk& disk) {
  auto inspector = filestore::Inspector::open(disk.mount_point(), std::nullopt);
  if (!inspector) return "fsck: " + inspector.error().message();
  auto findings = (*inspector)->check(true);
  if (!findings) return "fsck: " + findings.error().message();
  return findings->empty() ? "" : fmt::format("fsck: {}", fmt::join(*findings, "\nfsck: "));
}

/// A recovered store must also work: something is written, read back, and in half the cases it is stopped in order, and
/// then looked at by fsck in half of those.
std::string use_store(const RecordedDisk& disk, std::unique_ptr<filestore::ObjectStore> store, Random& random) {
  std::string problem;
  run_main([&](Shard&) -> Task<int> {
    CollectionId collection{5000, 0};
    auto known = co_await store->collections();
    Transaction transaction;
    if (known && std::ranges::none_of(*known, [&](const auto& each) { return each.id == collection; }))
      transaction.create_collection(0);
    ObjectId object;
    object.pool = collection.pool;
    object.name = "after the crash";
    Buffer text = Buffer::zeros(100'000);
    transaction.write(object, random.below(9999), text);
    Result<> done = co_await store->submit(collection, std::move(transaction));
    if (!done) problem = "a write after the crash: " + done.error().message();
    co_return 0;
  });
  if (random.below(2)) {
    store.release();  // the process ends as it is
    return problem;
  }
  stop_store(std::move(store));
  return problem.empty() && random.below(2) ? inspect(disk) : problem;
}

bool make_store(const auto& disk) {
  const char* mode = std::getenv("SPIRULA_INTEGRITY");
  bool by_btrfs = mode && std::string_view(mode) == "btrfs";
  auto integrity = by_btrfs ? filestore::Integrity::btrfs_checksums : filestore::Integrity::index_checksums;
  return filestore::make_filestore(options_for(disk),
                                   {.owner = "crash", .cluster_fsid = "test", .integrity = integrity, .force = true})
      .has_value();
}

/// After a crash in mkfs there is a whole store or none, and then one can be made.
std::string check_made_store(const RecordedDisk& disk) {
  auto store = filestore::open_filestore(options_for(disk));
  if (!store && filestore::is(store.error(), Errc::not_found)) {
    if (!make_store(disk)) return "mkfs does not work again";
    store = filestore::open_filestore(options_for(disk));
  }
  if (!store) return "open: " + store.error().message();
  if (store->get()->statistics().object_count != 0) return "a new store has objects";
  store->release();
  return {};
}

struct Trials {
  const Campaign& campaign;
  const std::string& directory;
  LedgerHistory history;
  SeededRandom random;
  std::vector<Lane> lanes;  ///< as far as is certain
  TrialCounts counts;
  Clock::duration checking{};

  struct Outcome {
    std::string problem;
    std::uint64_t opened_at = 0;  ///< position in the trial's recording
    bool damaged = false;
  };

  /// The checks proper, in a process of their own.
  void check(const RecordedDisk& disk, std::uint64_t position, bool damage, std::uint64_t seed, Outcome& outcome) {
    SeededRandom dice(seed);
    if (position < history.first_position()) {
      outcome.problem = check_made_store(disk);
      return;
    }
    outcome.damaged = damage && damage_newest_snapshot(disk.mount_point(), dice);
    auto store = open_store(disk, outcome.problem);
    if (!store) return;
    struct stat status{};
    CHECK(::stat(disk.recording_path().c_str(), &status) == 0);
    outcome.opened_at = static_cast<std::uint64_t>(status.st_size);
    outcome.problem = check_store(*store, lanes, history.at(position));
    if (outcome.problem.empty())
      outcome.problem = use_store(disk, std::move(store), dice);
    else
      store.release();
  }

  Outcome run(const DiskImage& image, const std::string& recording, std::uint64_t position, bool damage) {
    Outcome outcome;
    std::uint64_t seed = random.next();
    RecordedDisk disk(image, directory, recording);
    if (counts.all % campaign.points_per_btrfs_check == 0) {
      ++counts.btrfs_checks;
      outcome.problem = disk.check_btrfs();
      if (!outcome.problem.empty()) return outcome;
    }
    ++counts.all;
    for (Lane& lane : lanes)
      lane.advance(history.complete_until(lane.ledger_lane(Lane::parent), Lane::roles, position));
    outcome.problem = disk.mount();
    if (!outcome.problem.empty()) return outcome;
    std::string log = directory + "/trial.log", report = directory + "/trial.report";
    fs::remove(log);
    fs::remove(report);
    auto started = Clock::now();
    ChildProcess child(log, [&] {
      check(disk, position, damage, seed, outcome);
      std::ofstream(report) << outcome.opened_at << ' ' << outcome.damaged << ' ' << outcome.problem;
      return 0;
    });
    int status = child.wait(trial_deadline);
    checking += Clock::now() - started;
    std::ifstream file(report);
    if (status == 0 && file >> outcome.opened_at >> outcome.damaged) {
      file.get();
      std::getline(file, outcome.problem, '\0');
    } else {
      outcome.problem = fmt::format("the checker ended with status {}", status);
    }
    if (outcome.damaged) ++counts.damaged_snapshot;
    if (!outcome.problem.empty()) outcome.problem += "\n" + tail_of(log, 1500);
    return outcome;
  }
};

void print_summary(const std::vector<Record>& records) {
  std::uint64_t journal = 0, btrfs = 0, superblocks = 0, flushes = 0;
  for (const Record& record : records) {
    if (record.action == Action::write) (record.part == journal_part ? journal : btrfs) += record.length;
    superblocks += record.part == btrfs_part && record.offset == 64 << 10;
    flushes += record.action == Action::flush;
  }
  fmt::print(stderr, "recording: {} records, {} flushes, {} btrfs superblocks; MiB: {} journal, {} btrfs\n",
             records.size(), flushes, superblocks, journal >> 20, btrfs >> 20);
}

/// Moments between `first` and `last` records: any, those right at a flush, and those close to a btrfs superblock.
std::vector<std::size_t> pick_moments(const std::vector<Record>& records, std::size_t first, std::size_t last,
                                      unsigned count, Random& random) {
  std::vector<std::size_t> flushes, superblocks, moments;
  for (std::size_t i = first; i < last; ++i) {
    if (records[i].action == Action::flush) flushes.push_back(i + 1);
    if (records[i].part == btrfs_part && records[i].offset == 64 << 10) superblocks.push_back(i);
  }
  for (unsigned i = 0; i < count; ++i) {
    std::size_t moment = first + random.below(last - first + 1);
    std::uint64_t dice = random.below(100);
    if (dice < 25 && !flushes.empty()) moment = flushes[random.below(flushes.size())];
    if (dice >= 60 && !superblocks.empty())
      moment = superblocks[random.below(superblocks.size())] + random.below(40) - 20;
    moments.push_back(std::clamp(moment, first, last));
  }
  std::ranges::sort(moments);
  return moments;
}

std::size_t records_before(const std::vector<Record>& records, std::uint64_t position) {
  auto after = std::ranges::upper_bound(records, position, {}, &Record::end);
  return static_cast<std::size_t>(after - records.begin());
}

/// Moments from where a payload's write over an older one begins until about where its record is in the journal.
std::vector<std::size_t> pick_reuses(const std::vector<Record>& records, const std::vector<std::uint64_t>& positions,
                                     unsigned count, Random& random) {
  constexpr std::size_t records_of_a_write = 24;
  std::vector<std::size_t> moments;
  for (unsigned i = 0; i < count && !positions.empty(); ++i) {
    std::size_t begin = records_before(records, positions[random.below(positions.size())]);
    moments.push_back(std::min(begin + random.below(records_of_a_write), records.size()));
  }
  std::ranges::sort(moments);
  return moments;
}

std::string too_few(const TrialCounts& counts, const TrialCounts& at_least) {
  std::string missing;
  auto hold = [&](const char* what, unsigned TrialCounts::* count) {
    if (counts.*count < at_least.*count)
      missing += fmt::format("only {} {}, {} are wanted\n", counts.*count, what, at_least.*count);
  };
  hold("trials", &TrialCounts::all);
  hold("inside recovery", &TrialCounts::inside_recovery);
  hold("where staging is used again", &TrialCounts::at_staging_reuse);
  hold("with a damaged snapshot", &TrialCounts::damaged_snapshot);
  hold("btrfs checks", &TrialCounts::btrfs_checks);
  return missing;
}

}  // namespace

std::string run_campaign(const Campaign& campaign, const std::string& directory) {
  std::string ledger_path = directory + "/ledger", recording_path;
  std::uint64_t before_mkfs = 0;
  {
    RecordedDisk disk(blank_disk(), directory, "recording");
    recording_path = disk.recording_path();
    disk.make_btrfs();
    CHECK(disk.mount().empty());
    before_mkfs = fs::file_size(recording_path);
    ChildProcess worker(directory + "/workload.log", [&] {
      std::string problem;
      if (!make_store(disk)) return 3;
      auto store = open_store(disk, problem);
      if (!store) return 3;
      Ledger ledger(ledger_path, recording_path);
      filestore::faults::watch(filestore::FaultPoint::staging_reuse, [&] { ledger.worth_a_crash(); });
      std::vector<Lane> lanes = make_lanes(campaign);
      problem = run_store_workload(campaign.workload, *store, lanes, ledger);
      // What is wrong without any crash should not be looked for among the crash points.
      auto check_now = [&] {
        std::vector<Lane> checked = make_lanes(campaign);
        if (problem.empty()) problem = check_store(*store, checked, LedgerHistory(ledger_path).at_end());
      };
      check_now();
      if (problem.empty()) {
        stop_store(std::move(store));
        store = open_store(disk, problem);
      }
      check_now();
      if (problem.empty()) problem = run_store_workload(campaign.workload, *store, lanes, ledger);
      fmt::print(stderr, "{}\n", problem);
      filestore::faults::clear();
      store.release();
      return problem.empty() ? 0 : 2;
    });
    if (int status = worker.wait(workload_deadline))
      return fmt::format("the workload ended with status {}\n{}", status, tail_of(directory + "/workload.log"));
  }

  auto recording = std::make_shared<Recording>(*Recording::open(recording_path));
  Trials trials{campaign, directory, LedgerHistory(ledger_path), SeededRandom(campaign.seed), make_lanes(campaign)};
  SeededRandom dice(campaign.seed + 1);
  FlushScope scope = campaign.seed % 2 ? FlushScope::disk : FlushScope::part;
  CrashPoints moments(blank_disk(), recording, btrfs_part, scope);
  std::size_t first = records_before(moments.records(), trials.history.first_position());
  auto picked = pick_moments(moments.records(), first, moments.records().size(), campaign.points, dice);
  auto earlier = pick_moments(moments.records(), records_before(moments.records(), before_mkfs), first - 1,
                              campaign.points_in_mkfs, dice);
  auto reuses = pick_reuses(moments.records(), trials.history.worth_a_crash(), campaign.points_at_staging_reuse, dice);
  picked.insert(picked.begin(), earlier.begin(), earlier.end());
  picked.insert(picked.end(), reuses.begin(), reuses.end());
  std::ranges::sort(picked);
  print_summary(moments.records());

  std::string problems;
  auto note = [&](std::size_t record, std::uint64_t image_seed, const std::string& what, const std::string& problem) {
    if (!problem.empty())
      problems += fmt::format("seed {}, crash-recorder replay {} {} {}{}: {}\n", campaign.seed, record, image_seed,
                              scope == FlushScope::disk ? "disk" : "part", what, problem);
    return problem.empty();
  };
  auto started = Clock::now();
  for (std::size_t i = 0; i < picked.size() && problems.empty(); ++i) {
    moments.advance(picked[i]);
    std::uint64_t image_seed = dice.next();
    DiskImage image = moments.crashed(SeededRandom(image_seed));
    bool damage = i % campaign.points_per_damaged_snapshot == 3;
    Trials::Outcome outcome = trials.run(image, "trial", moments.position(), damage);
    if (!note(picked[i], image_seed, outcome.damaged ? ", newest snapshot damaged" : "", outcome.problem)) break;
    if (auto found = std::ranges::find(reuses, picked[i]); found != reuses.end()) {
      reuses.erase(found);
      ++trials.counts.at_staging_reuse;
    }
    if (i % campaign.points_per_recovery != 5 || outcome.damaged || outcome.opened_at == 0) continue;

    fs::rename(directory + "/trial", directory + "/recovery");
    auto recovery = std::make_shared<Recording>(*Recording::open(directory + "/recovery"));
    CrashPoints inside(image, recovery, btrfs_part, scope);
    std::size_t end = records_before(inside.records(), outcome.opened_at);
    for (std::size_t moment : pick_moments(inside.records(), 0, end, campaign.crashes_per_recovery, dice)) {
      inside.advance(moment);
      Trials::Outcome again = trials.run(inside.crashed(SeededRandom(dice.next())), "trial", moments.position(), false);
      ++trials.counts.inside_recovery;
      if (!note(picked[i], image_seed, fmt::format(" and {} of {} of recovery", moment, end), again.problem)) break;
    }
  }
  const TrialCounts& counts = trials.counts;
  fmt::print(stderr,
             "{} trials, {} inside recovery, {} where staging is used again ({} times in all), {} with a damaged "
             "snapshot, {} btrfs checks; {:.1f} s, {:.1f} in checks\n",
             counts.all, counts.inside_recovery, counts.at_staging_reuse, trials.history.worth_a_crash().size(),
             counts.damaged_snapshot, counts.btrfs_checks,
             std::chrono::duration<double>(Clock::now() - started).count(),
             std::chrono::duration<double>(trials.checking).count());
  if (problems.empty()) problems = too_few(counts, campaign.at_least);
  return problems;
}

std::string run_kill_campaign(const KillCampaign& campaign, const std::string& directory) {
  std::string ledger_path = directory + "/ledger", progress_path = directory + "/progress";
  std::string problem_path = directory + "/problem", log = directory + "/store.log";
  PlainDisk disk(directory);
  ChildProcess maker(log, [&] { return make_store(disk) ? 0 : 1; });
  CHECK(maker.wait(trial_deadline) == 0, "mkfs of the store failed");

  SeededRandom dice(campaign.seed);
  std::vector<Lane> lanes;
  for (unsigned i = 0; i < campaign.lanes; ++i) lanes.emplace_back(i, campaign.seed);
  std::uint64_t acknowledged = 0;
  for (unsigned kill = 1; kill <= campaign.kills; ++kill) {
    std::ofstream(ledger_path, std::ios::trunc).close();
    ChildProcess victim(log, [&] {
      std::string problem;
      auto store = open_store(disk, problem);
      Ledger ledger(ledger_path, "");
      if (store) problem = run_store_workload({.steps = 1'000'000}, *store, lanes, ledger);
      fmt::print(stderr, "{}\n", problem);
      return 1;
    });
    auto span = static_cast<std::uint64_t>((campaign.life_max - campaign.life_min).count());
    std::this_thread::sleep_for(campaign.life_min + std::chrono::milliseconds(dice.below(span)));
    if (!victim.running()) return fmt::format("life {} ended by itself\n{}", kill, tail_of(log));
    victim.kill();

    auto bounds = LedgerHistory(ledger_path).at_end();
    for (const auto& [lane, bound] : bounds) acknowledged = std::max(acknowledged, bound.acknowledged);
    ChildProcess checker(log, [&] {
      std::string problem;
      auto store = open_store(disk, problem);
      if (store) {
        auto progress = read_progress(*store, lanes);
        if (!progress) return 1;
        std::ofstream(progress_path, std::ios::binary)
            .write(reinterpret_cast<const char*>(progress->data()),
                   static_cast<std::streamsize>(progress->size() * sizeof(Lane::Progress)));
        problem = check_store(*store, lanes, bounds);
        store.release();
      }
      std::ofstream(problem_path) << problem;
      return problem.empty() ? 0 : 1;
    });
    if (int status = checker.wait(trial_deadline))
      return fmt::format("after kill {}: status {}: {}\n{}", kill, status, tail_of(problem_path), tail_of(log, 1500));
    std::ifstream progress(progress_path, std::ios::binary);
    for (Lane& lane : lanes) {
      Lane::Progress reached;
      CHECK(progress.read(reinterpret_cast<char*>(&reached), sizeof reached));
      std::string problem = lane.settle(reached, bounds);
      CHECK(problem.empty(), problem);
    }
  }
  fmt::print(stderr, "{} kills, {} transactions acknowledged in the busiest collection\n", campaign.kills,
             acknowledged);
  return {};
}

}  // namespace spirula::crash
