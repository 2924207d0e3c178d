#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/object_store.h"

namespace spirula::filestore {

/// Where the journal is kept: a seam, so that tests can tear writes and lose power. One write may be in flight.
/// Offsets, sizes and memory are aligned to journal_block_bytes.
class JournalDevice {
 public:
  virtual ~JournalDevice() = default;
  virtual std::uint64_t size() const = 0;
  /// Blocks. Errc::io.
  virtual Result<> read(std::uint64_t offset, std::span<std::byte> into) = 0;
  /// Starts a write that is durable when it completes; returns at once, from any thread. `bytes` stay until then.
  virtual Result<> start_write(std::uint64_t offset, ByteView bytes) = 0;
  /// Blocks, on one thread only, until the write in flight has completed: its result. Errc::cancelled after
  /// interrupt().
  virtual Result<> wait() = 0;
  /// Ends wait(), now or the next time it is called. From any thread.
  virtual void interrupt() = 0;
  /// "io_uring", "libaio": what carries the writes.
  virtual const char* engine() const = 0;

  /// start_write() and wait(), for the time when nobody else waits.
  Result<> write(std::uint64_t offset, ByteView bytes);
};

inline constexpr std::uint64_t journal_block_bytes = 4096;

/// Opens a block device or file with O_DIRECT (and O_EXCL, so that nobody mounts or opens it as exclusively).
/// Errc::not_found, Errc::busy, Errc::invalid (neither a block device nor a file).
Result<std::unique_ptr<JournalDevice>> open_journal_device(const std::string& path,
                                                           FilestoreOptions::JournalEngine engine);

}  // namespace spirula::filestore
