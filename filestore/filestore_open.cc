#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/codec.h"
#include "base/log.h"
#include "base/random.h"
#include "filestore/blank.h"
#include "filestore/btrfs_checksums.h"
#include "filestore/directory.h"
#include "filestore/error.h"
#include "filestore/filestore.h"
#include "filestore/key.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

/// A file with every block allocated and written, so that a write into it changes no metadata.
Result<> make_journal_file(const std::string& path, std::uint64_t bytes) {
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return last_errno();
  (void)btrfs::disable_checksums(fd.get());  // on btrfs: written in place; elsewhere it is not needed
  Buffer zeros = Buffer::zeros(1 << 20);
  for (std::uint64_t at = 0; at < bytes; at += zeros.size())
    if (::pwrite(fd.get(), zeros.data(), std::min<std::uint64_t>(zeros.size(), bytes - at), static_cast<off_t>(at)) < 0)
      return last_errno();
  if (::fsync(fd.get()) < 0) return last_errno();
  return {};
}

/// A killed predecessor's io_uring lets go of the device some time after the process is gone.
Result<std::unique_ptr<JournalDevice>> open_journal_patiently(const FilestoreOptions& options) {
  constexpr std::chrono::milliseconds patience(5'000), step(10);
  for (auto begin = std::chrono::steady_clock::now();;) {
    auto device = open_journal_device(options.journal, options.journal_engine);
    if (device || !is(device.error(), Errc::busy) || std::chrono::steady_clock::now() - begin > patience) return device;
    std::this_thread::sleep_for(step);
  }
}

}  // namespace

Result<> make_filestore(const FilestoreOptions& options, const FilestoreFormat& format) {
  TRY(btrfs::require(options.path));
  TRY(FileDescriptor root, open_directory(AT_FDCWD, options.path.c_str()));
  if (format.integrity == Integrity::btrfs_checksums) TRY(btrfs::require_crc32c(root.get()));
  if (::flock(root.get(), LOCK_EX | LOCK_NB) < 0) return Errc::busy;
  Result<StoreSuperblock> old = read_superblock(options.path);
  if (old || !is(old.error(), Errc::not_found)) return Errc::exists;

  struct stat status{};
  if (::stat(options.journal.c_str(), &status) < 0 && errno == ENOENT && format.journal_file_bytes)
    TRY(make_journal_file(options.journal, format.journal_file_bytes));
  if (!format.force) TRY(require_blank(options.journal));
  TRY(auto device, open_journal_device(options.journal, options.journal_engine));

  StoreSuperblock superblock;
  system_random().fill(std::as_writable_bytes(std::span(superblock.store)));
  superblock.store[6] = (superblock.store[6] & 0x0f) | 0x40;  // RFC 4122, version 4
  superblock.store[8] = (superblock.store[8] & 0x3f) | 0x80;
  superblock.owner = format.owner;
  superblock.cluster_fsid = format.cluster_fsid;
  superblock.integrity = format.integrity;
  TRY(Journal::format(*device, superblock.store));

  // What an mkfs that was cut off has left behind.
  TRY(auto leftovers, list_snapshots(options.path));
  for (std::uint64_t sequence : leftovers) TRY(btrfs::destroy_subvolume(root.get(), snapshot_name(sequence)));
  for (const char* name : {current_name, staging_name})
    if (::fstatat(root.get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0) TRY(btrfs::destroy_subvolume(root.get(), name));

  TRY(btrfs::create_subvolume(root.get(), current_name));
  TRY(StagingFiles::format(root.get(), format.integrity));
  TRY(FileDescriptor current, open_directory(root.get(), current_name));
  if (::mkdirat(current.get(), objects_name, 0700) < 0 || ::mkdirat(current.get(), index_name, 0700) < 0)
    return last_errno();
  TRY(FileDescriptor objects, open_directory(current.get(), objects_name));
  TRY(DataFiles::format(objects.get(), format.integrity));
  {
    TRY(auto index, Index::open(options.path + "/" + current_name + "/" + index_name, 8 << 20, true));
  }
  CommitPoint point;
  point.store = superblock.store;
  TRY(write_commit_point(current.get(), point));
  TRY(btrfs::create_snapshot(root.get(), current_name, snapshot_name(0), true));
  TRY(btrfs::sync(root.get()));
  return write_superblock(root.get(), superblock);
}

Result<FilestoreIdentity> read_filestore_identity(const std::string& path) {
  TRY(StoreSuperblock superblock, read_superblock(path));
  return FilestoreIdentity{superblock.owner, superblock.cluster_fsid, describe(superblock.store), superblock.integrity};
}

Result<std::unique_ptr<ObjectStore>> open_filestore(const FilestoreOptions& options) {
  TRY(auto store, Filestore::open(options));
  return store;
}

Filestore::Filestore(const FilestoreOptions& options)
    : options_(options), schedule_(options.commit_interval_min, options.commit_interval_max) {}

Result<std::unique_ptr<Filestore>> Filestore::open(const FilestoreOptions& options) {
  std::unique_ptr<Filestore> store(new Filestore(options));
  TRY(store->mount());
  return store;
}

Result<> Filestore::mount() {
  TRY(btrfs::require(options_.path));
  TRY(superblock_, read_superblock(options_.path));
  if (!options_.cluster_fsid.empty() && superblock_.cluster_fsid != options_.cluster_fsid) return Errc::stale;
  TRY(root_, open_directory(AT_FDCWD, options_.path.c_str()));
  if (::flock(root_.get(), LOCK_EX | LOCK_NB) < 0) return Errc::busy;
  TRY(write_errors_at_open_, btrfs::write_errors(root_.get()));
  TRY(auto device, open_journal_patiently(options_));
  TRY(journal_, Journal::open(std::move(device), superblock_.store));

  Result<FileDescriptor> staging = open_directory(root_.get(), staging_name);
  if (!staging && is(staging.error(), Errc::not_found)) {
    // Removed by hand. Replay says so if it needs what was there.
    log_error("filestore", "{}: {} is missing; making it anew", options_.path, staging_name);
    TRY(StagingFiles::format(root_.get(), superblock_.integrity));
    staging = open_directory(root_.get(), staging_name);
  }
  TRY(staging);
  staging_ = std::make_unique<StagingFiles>(std::move(*staging));

  TRY(auto snapshots, list_snapshots(options_.path));
  if (snapshots.empty()) {
    log_error("filestore", "{}: there is no snapshot to go back to", options_.path);
    return Errc::io;
  }
  std::error_code why = make_error_code(Errc::io);
  for (std::uint64_t sequence : snapshots) {
    Result<> back = roll_back(sequence);
    if (!back) {
      why = back.error();
      log_error("filestore", "{}: snapshot {} cannot be used: {}", options_.path, sequence, why.message());
      index_.reset();
      files_.reset();
      continue;
    }
    JournalPosition from = kept_.front();
    Result<JournalPosition> replayed = replay(from);
    if (!replayed) {
      why = replayed.error();
      log_error("filestore", "{}: replay on snapshot {}: {}", options_.path, sequence, why.message());
      index_.reset();
      files_.reset();
      continue;
    }
    JournalPosition end = *replayed;
    if (end.sequence < snapshots.front()) {
      // The journal no longer reaches from here to what was acknowledged; going on would lose it without a word.
      log_error("filestore", "{}: the journal ends at {}, before snapshot {}", options_.path, end.sequence,
                snapshots.front());
      return Errc::io;
    }
    log_info("filestore", "{}: snapshot {}, replayed to {}", options_.path, from.sequence, end.sequence);
    // The snapshot before that one, if it is whole: the journal is kept from there.
    for (std::uint64_t older : snapshots) {
      if (older >= from.sequence) continue;
      Result<FileDescriptor> directory = open_directory(root_.get(), snapshot_name(older).c_str());
      if (!directory) continue;
      Result<CommitPoint> point = read_commit_point(directory->get());
      if (!point || point->store != superblock_.store || point->position.lap + 1 < end.lap) continue;
      kept_.push_back(point->position);
      break;
    }
    return start(end, kept_.back());
  }
  return why;
}

/// A replay writes once more what the old current/ has beyond the snapshot. Where room is scarce that comes back first.
Result<> Filestore::wait_for_cleaner() {
  constexpr int steps = 1'500, steps_per_sync = 25;
  constexpr std::chrono::milliseconds step(20);
  for (int i = 0; i < steps; ++i) {
    TRY(btrfs::Space now, btrfs::space(root_.get()));
    if (now.available > now.total / 8 && now.metadata_free + now.unallocated > now.total / 16) return {};
    TRY(std::size_t left, btrfs::deleted_subvolumes(root_.get()));
    if (left == 0) return {};
    if (i % steps_per_sync == 0) TRY(btrfs::sync(root_.get()));  // pokes the cleaner
    std::this_thread::sleep_for(step);
  }
  return {};
}

/// current/ becomes what it was at that commit point.
Result<> Filestore::roll_back(std::uint64_t sequence) {
  current_ = {};
  struct stat status{};
  if (::fstatat(root_.get(), current_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
    TRY(btrfs::destroy_subvolume(root_.get(), current_name));
  TRY(btrfs::insist(root_.get(),
                    [&] { return btrfs::create_snapshot(root_.get(), snapshot_name(sequence), current_name, false); }));
  TRY(wait_for_cleaner());
  TRY(current_, open_directory(root_.get(), current_name));
  TRY(CommitPoint point, read_commit_point(current_.get()));
  if (point.store != superblock_.store || point.position.sequence != sequence) return Errc::malformed;
  TRY(FileDescriptor objects, open_directory(current_.get(), objects_name));
  files_ = std::make_unique<DataFiles>(std::move(objects), superblock_.integrity);
  TRY(index_, Index::open(options_.path + "/" + current_name + "/" + index_name, options_.memory_bytes_max / 2, false));
  counters_.next_id = point.next_id;
  counters_.object_count = static_cast<std::int64_t>(point.object_count);
  kept_.assign(1, point.position);
  return {};
}

Result<JournalPosition> Filestore::replay(const JournalPosition& from) {
  TRY(load_retired_slots());  // those of the snapshot; a replay adds its own
  Applier applier(*index_, *files_, *staging_, counters_, options_);
  auto apply = [&](JournalPosition, const Buffer& body) -> Result<> {
    TRY(RecordedTransaction recorded, decode_record(body));
    return applier.apply(recorded.collection, recorded.transaction);
  };
  TRY(JournalPosition end, journal_->replay(from, apply));
  TRY(applier.flush());
  return end;
}

Result<> Filestore::load_collections() {
  auto cursor = index_->cursor(key::collections(), Access::blocking);
  for (; cursor->valid(); cursor->next()) {
    TRY(CollectionId id, key::parse_collection(cursor->key()));
    TRY(auto bits, decode<std::uint32_t>(Buffer::copy_of(cursor->value())));
    if (bits > 32) return Errc::malformed;
    collections_.emplace(id, bits);
  }
  return cursor->status();
}

/// What the last commit of a former opening has left to be freed.
Result<> Filestore::load_retired_slots() {
  auto cursor = index_->cursor(key::retired_slots(), Access::blocking);
  std::vector<std::uint64_t> ids;
  for (; cursor->valid(); cursor->next()) ids.push_back(key::parse_id(cursor->key()));
  files_->slabs().retire(ids);
  return cursor->status();
}

Result<> Filestore::start(const JournalPosition& end, const JournalPosition& tail) {
  TRY(load_collections());
  observe_space(space_.mark());
  last_sequence_ = end.sequence;
  pending_bytes_max_ = options_.memory_bytes_max / 8 * 3;
  read_pool_ = std::make_unique<BlockingPool>("store-read", std::max(options_.read_threads, 1u));
  lanes_ = std::make_unique<ApplyLanes>(
      end, *index_, *files_, *staging_, counters_, options_, [this](auto submissions) { on_applied(submissions); },
      [this](std::error_code why) { fail(why, "applying"); });
  TRY(journal_->start(
      end, tail, [this](Journal::EntryList& entries, Result<> result) { on_durable(entries, result); },
      [this](std::uint64_t bytes) {
        std::uint64_t waiting = unapplied_bytes_.load();
        return waiting == 0 || waiting + bytes <= pending_bytes_max_ || failed_.load();
      }));
  opened_at_ = end.sequence;
  std::uint64_t ring_bytes = options_.staging_ring_bytes;
  if (ring_bytes == 0)
    ring_bytes = std::clamp<std::uint64_t>(space_.last().total / 16, 64 << 20, std::uint64_t{1} << 30);
  TRY(stager_,
      Stager::open(*staging_, journal_->incarnation(), ring_bytes, files_->keeps_checksums(), options_.staged_bytes_min,
                   [this](auto& submissions, Result<> result) { on_staged(submissions, result); }));
  busy_since_ = std::chrono::steady_clock::now();
  schedule_.start(busy_since_);
  commit_statistics_.interval = schedule_.interval();
  committer_ = std::thread([this] { run_committer(); });
  return {};
}

}  // namespace spirula::filestore
