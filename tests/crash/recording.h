#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/file_descriptor.h"

/// Crash tests: a recorded disk, its state after a power failure at any moment, and what must be found on it then.
namespace spirula::crash {

using filestore::FileDescriptor;

/// What a disk is asked to do. A disk has parts (partitions, or devices of their own), numbered from 0.
enum class Action : std::uint8_t {
  write = 1,
  zeros = 2,    ///< a write of zeros, or a request to zero a range: no payload
  flush = 3,    ///< what was written to this part before is on stable storage from here on
  discard = 4,  ///< the range may read as zeros from here on
};

struct Record {
  Action action = Action::flush;
  std::uint8_t part = 0;
  std::uint64_t offset = 0, length = 0;
  std::uint64_t payload = 0;  ///< where in the file the bytes of a write stand
  std::uint64_t end = 0;      ///< the recording's length once this record was in it
};

/// Everything a disk was asked to do, in order, in an append-only file. A position in time is a length of that file,
/// so any process that can fstat() it can tell the time.
/// Layout of a record, host byte order: magic u32, crc32c of what follows (payload included) u32, action u8, part u8,
/// 6 zero bytes, offset u64, length u64, then the payload of a write.
class Recording {
 public:
  static Result<Recording> create(const std::string& path);
  static Result<Recording> open(const std::string& path);

  /// What was recorded: a write of nothing but zeros becomes Action::zeros.
  Result<Record> append(Action action, unsigned part, std::uint64_t offset, std::uint64_t length,
                        ByteView payload = {});
  /// The bytes of a write, or a piece of them.
  Result<> read(std::uint64_t at, std::span<std::byte> bytes) const;
  /// The records that are whole; a torn tail (the recorder was killed) ends the list. Verifies every checksum.
  Result<std::vector<Record>> records() const;
  std::uint64_t position() const { return length_; }
  int descriptor() const { return file_.get(); }

 private:
  explicit Recording(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
  std::uint64_t length_ = 0;
};

}  // namespace spirula::crash
