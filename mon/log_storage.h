#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"

namespace spirula::mon {

/// The few things the decision log asks of a disk; the only place of cmon that touches files of `mon data`. Calls
/// block.
class LogStorage {
 public:
  virtual ~LogStorage() = default;
  /// Whether calls may take long; then they are made on a thread of their own.
  virtual bool blocks() const { return true; }
  virtual Result<std::vector<std::string>> list() = 0;
  virtual Result<Buffer> read(const std::string& name) = 0;
  /// Bytes at the end of a file whose size is `size`; the file is made when missing. Durable on return.
  /// Errc::no_space (or another error of writing): the file may hold a part of them, nothing was synced.
  /// Errc::outcome_unknown: the sync failed; memory and disk may disagree.
  virtual Result<> append(const std::string& name, std::uint64_t size, ByteView bytes) = 0;
  /// Cuts a file, durably.
  virtual Result<> truncate(const std::string& name, std::uint64_t size) = 0;
  /// A whole file, all or nothing, durable on return.
  virtual Result<> write_whole(const std::string& name, ByteView bytes) = 0;
  virtual Result<> remove(const std::string& name) = 0;
};

/// A directory, locked against a second monitor. Errc::busy if somebody else has it, Errc::not_found if it is not
/// there.
Result<std::unique_ptr<LogStorage>> open_log_directory(const std::string& path);

}  // namespace spirula::mon
