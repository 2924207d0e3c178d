#include "tests/crash/recording.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace spirula::crash {
namespace {

constexpr std::uint32_t record_magic = 0x52435053;  // "SPCR"

struct Header {
  std::uint32_t magic = record_magic;
  std::uint32_t crc = 0;
  Action action = Action::flush;
  std::uint8_t part = 0;
  std::uint8_t padding[6] = {};
  std::uint64_t offset = 0, length = 0;
};
static_assert(sizeof(Header) == 32);

std::uint32_t checksum(const Header& header, ByteView payload) {
  ByteView covered = std::as_bytes(std::span(&header, 1)).subspan(offsetof(Header, action));
  return crc32c(crc32c(-1, covered), payload);
}

bool all_zero(ByteView bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

Result<Recording> Recording::create(const std::string& path) {
  ::unlink(path.c_str());  // a truncated file would be flushed on close by some file systems
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
  if (!file) return last_errno();
  return Recording(std::move(file));
}

Result<Recording> Recording::open(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return last_errno();
  struct stat status{};
  if (::fstat(file.get(), &status) < 0) return last_errno();
  Recording recording(std::move(file));
  recording.length_ = static_cast<std::uint64_t>(status.st_size);
  return recording;
}

Result<Record> Recording::append(Action action, unsigned part, std::uint64_t offset, std::uint64_t length,
                                 ByteView payload) {
  if (action == Action::write && all_zero(payload)) {
    action = Action::zeros;
    payload = {};
  }
  Header header;
  header.action = action;
  header.part = static_cast<std::uint8_t>(part);
  header.offset = offset;
  header.length = length;
  header.crc = checksum(header, payload);
  iovec pieces[] = {{&header, sizeof header}, {const_cast<std::byte*>(payload.data()), payload.size()}};
  ssize_t written = ::writev(file_.get(), pieces, 2);
  if (written < 0) return last_errno();
  if (static_cast<std::size_t>(written) != sizeof header + payload.size()) return Errc::no_space;
  length_ += static_cast<std::uint64_t>(written);
  return Record{action, header.part, offset, length, length_ - payload.size(), length_};
}

Result<> Recording::read(std::uint64_t at, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    ssize_t got = ::pread(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (got < 0) return last_errno();
    if (got == 0) return Errc::malformed;
    at += static_cast<std::uint64_t>(got);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<std::vector<Record>> Recording::records() const {
  std::vector<Record> records;
  if (length_ == 0) return records;
  void* memory = ::mmap(nullptr, length_, PROT_READ, MAP_SHARED, file_.get(), 0);
  if (memory == MAP_FAILED) return last_errno();
  ByteView all(static_cast<const std::byte*>(memory), length_);
  for (std::uint64_t at = 0; length_ - at >= sizeof(Header);) {
    Header header;
    std::memcpy(&header, all.data() + at, sizeof header);
    std::uint64_t payload = header.action == Action::write ? header.length : 0;
    if (header.magic != record_magic || payload > length_ - at - sizeof header) break;
    if (header.crc != checksum(header, all.subspan(at + sizeof header, payload))) break;
    std::uint64_t end = at + sizeof header + payload;
    records.push_back({header.action, header.part, header.offset, header.length, at + sizeof header, end});
    at = end;
  }
  ::munmap(memory, length_);
  return records;
}

}  // namespace spirula::crash
