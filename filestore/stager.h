#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/file_descriptor.h"
#include "filestore/object_store.h"
#include "filestore/pending.h"
#include "filestore/transaction.h"

namespace spirula::filestore {

/// The ring files of staging/ by name, open: what recovery and the lanes clone from.
class StagingFiles {
 public:
  explicit StagingFiles(FileDescriptor directory) : directory_(std::move(directory)) {}
  /// Makes an empty staging/ below `root`. Its files are shared with data files, so they are of the same kind.
  static Result<> format(int root, Integrity integrity);
  /// Errc::not_found.
  Result<int> open(std::uint64_t generation, std::uint32_t ring);
  Result<int> create(std::uint64_t generation, std::uint32_t ring);
  /// Removes the files of every generation before this one.
  Result<> remove_before(std::uint64_t generation);

 private:
  FileDescriptor directory_;
  std::mutex mutex_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, FileDescriptor> files_;
};

class StagingWrites;

/// Writes large payloads to disk once: into a ring file, synced, to be named in the journal and cloned into the object
/// when applied. A few threads, each with a ring of its own, because a sync waits for every write to its file.
/// Each opening of the store begins new rings (a generation): which parts of the old ones recovery may still need is
/// then no question; they are removed when the kept snapshots have passed the opening.
/// Invariant: a part of a ring is written again only after both kept snapshots contain the transaction that named it.
class Stager {
 public:
  /// Called on a stager's thread when the payloads of these are durable, or not.
  using OnStaged = std::function<void(std::vector<SubmissionPointer>& submissions, Result<> result)>;
  /// `checksums`: payloads get them, for the index.
  static Result<std::unique_ptr<Stager>> open(StagingFiles& files, std::uint64_t generation, std::uint64_t ring_bytes,
                                              bool checksums, std::uint64_t staged_bytes_min, OnStaged on_staged);
  ~Stager();

  /// Finds room for the whole blocks of the submission's large writes and splits those writes accordingly (head, staged
  /// middle, tail). False, and nothing changed, if there is none worth it or no room. Then begin() must follow.
  bool reserve(Submission& submission);
  void begin(SubmissionPointer submission);
  /// Transactions up to `sequence` are in both kept snapshots.
  void trim(std::uint64_t sequence);
  /// Gives the disk back what rings hold of which nothing is needed any more: for a disk that is nearly full.
  void release();
  /// Finishes what has begun.
  void stop();
  std::uint64_t bytes_staged() const { return bytes_staged_.load(std::memory_order_relaxed); }
  /// Of the rings, given to submissions since the start, with what was left over at their ends.
  std::uint64_t bytes_reserved() const { return bytes_reserved_.load(std::memory_order_relaxed); }
  std::uint64_t size() const { return ring_bytes_ * rings_.size(); }

 private:
  struct Use {
    std::shared_ptr<Submission::RingUse> by;
    std::uint64_t end;
  };
  struct Ring {
    std::uint32_t number = 0;
    int fd = -1;
    std::uint64_t head = 0, tail = 0;  ///< positions that never wrap; offset = position % ring_bytes
    std::deque<Use> uses;
    std::deque<SubmissionPointer> queue;
    std::uint64_t queued_bytes = 0;
    std::condition_variable work;
    std::uint64_t written_end = 0;  ///< of the file, as far as its thread has ever written
    std::thread thread;
  };
  Stager(std::uint64_t generation, std::uint64_t ring_bytes, bool checksums, std::uint64_t staged_bytes_min,
         OnStaged on_staged)
      : generation_(generation),
        ring_bytes_(ring_bytes),
        staged_bytes_min_(staged_bytes_min),
        checksums_(checksums),
        on_staged_(std::move(on_staged)) {}
  /// Where so many bytes would begin, side by side; nothing if there is no room.
  std::optional<std::uint64_t> room_for(const Ring& ring, std::uint64_t bytes) const;
  void run(Ring& ring);
  Result<> write(Ring& ring, StagingWrites& writes, std::span<const SubmissionPointer> batch);

  std::uint64_t generation_, ring_bytes_, staged_bytes_min_;
  bool checksums_;
  OnStaged on_staged_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::atomic<std::uint64_t> bytes_staged_{0}, bytes_reserved_{0};
  bool stopping_ = false;
};

}  // namespace spirula::filestore
