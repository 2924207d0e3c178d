#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/key.h"
#include "filestore/limits.h"

namespace spirula::filestore {

/// Whether a read may block on the disk; if not, it answers Errc::again when it would have to.
enum class Access : std::uint8_t { cached, blocking };

/// Changes to be written together; of several to one key the last counts. Neighbours are handed over side by side, for
/// the memtable finds the place of a key soon if it lies near the last one's.
class IndexBatch {
 public:
  IndexBatch();
  ~IndexBatch();
  void put(std::string_view key, std::string_view value);
  void put(std::string_view key, ByteView value) { put(key, as_text(value)); }
  void remove(std::string_view key);
  void remove_range(const key::Range& range);
  std::size_t bytes() const;
  bool empty() const;
  void clear();

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// A walk over a range of keys in order, at one moment.
class IndexCursor {
 public:
  virtual ~IndexCursor() = default;
  virtual bool valid() const = 0;
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  virtual void next() = 0;
  virtual void seek(std::string_view key) = 0;
  /// Errc::again (see Access), Errc::io; ask when valid() turns false.
  virtual Result<> status() const = 0;
};

/// What is known about objects: an ordered map on RocksDB in current/index. Thread-safe.
/// It needs no durability of its own, because a crash always goes back to a snapshot: the log is handed to the kernel
/// at each write (the snapshot flushes it) and never synced. Its tables and manifest are synced in RocksDB's own order,
/// and that order keeps a snapshot taken at any moment openable.
class Index {
 public:
  /// A state of the index, for several reads of one moment.
  class Moment {
   public:
    virtual ~Moment() = default;
  };

  /// Errc::io or Errc::malformed if it cannot be opened.
  static Result<std::unique_ptr<Index>> open(const std::string& path, std::uint64_t memory_bytes, bool create,
                                             int open_tables_max = limits::open_tables_max);
  /// Writes nothing, not even into its directory, so a read-only snapshot will do.
  static Result<std::unique_ptr<Index>> open_read_only(const std::string& path);
  virtual ~Index() = default;

  virtual Result<std::optional<std::string>> get(std::string_view key, Access access,
                                                 const Moment* moment = nullptr) = 0;
  virtual std::unique_ptr<IndexCursor> cursor(const key::Range& range, Access access,
                                              const Moment* moment = nullptr) = 0;
  virtual std::unique_ptr<Moment> moment() = 0;
  /// Not synced. Errc::io is final.
  virtual Result<> write(IndexBatch& batch) = 0;
  virtual std::uint64_t memory_bytes() = 0;
};

}  // namespace spirula::filestore
