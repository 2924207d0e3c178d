#include "mon/log_storage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace spirula::mon {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

Result<> write_all(int fd, ByteView bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return last_errno();
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

class LogDirectory : public LogStorage {
 public:
  LogDirectory(Descriptor directory, Descriptor lock) : directory_(std::move(directory)), lock_(std::move(lock)) {}

  Result<std::vector<std::string>> list() override {
    int copy = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return last_errno();
    DIR* stream = ::fdopendir(copy);
    if (!stream) {
      auto error = last_errno();
      ::close(copy);
      return error;
    }
    std::vector<std::string> names;
    while (dirent* entry = ::readdir(stream))
      if (entry->d_type != DT_DIR) names.emplace_back(entry->d_name);
    ::closedir(stream);
    return names;
  }

  Result<Buffer> read(const std::string& name) override {
    Descriptor file(::openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return last_errno();
    struct stat status;
    if (::fstat(file.get(), &status) < 0) return last_errno();
    Buffer bytes = Buffer::allocate(static_cast<std::size_t>(status.st_size));
    std::size_t done = 0;
    while (done < bytes.size()) {
      ssize_t n = ::pread(file.get(), bytes.mutable_data() + done, bytes.size() - done, static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return last_errno();
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return bytes.slice(0, done);
  }

  Result<> append(const std::string& name, std::uint64_t size, ByteView bytes) override {
    if (open_name_ != name) {
      bool fresh = size == 0;
      Descriptor file(::openat(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
      if (!file) return last_errno();
      if (fresh && ::fsync(directory_.get()) < 0) return Errc::outcome_unknown;
      open_file_ = std::move(file);
      open_name_ = name;
    }
    TRY(write_all(open_file_.get(), bytes, size));
    if (::fdatasync(open_file_.get()) < 0) return Errc::outcome_unknown;
    return {};
  }

  Result<> truncate(const std::string& name, std::uint64_t size) override {
    Descriptor file(::openat(directory_.get(), name.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return last_errno();
    if (::ftruncate(file.get(), static_cast<off_t>(size)) < 0) return last_errno();
    if (::fsync(file.get()) < 0) return Errc::outcome_unknown;
    return {};
  }

  Result<> write_whole(const std::string& name, ByteView bytes) override {
    std::string temporary = name + ".new";
    Descriptor file(::openat(directory_.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return last_errno();
    auto written = write_all(file.get(), bytes, 0);
    if (written && ::fsync(file.get()) < 0) written = last_errno();
    if (written && ::renameat(directory_.get(), temporary.c_str(), directory_.get(), name.c_str()) < 0)
      written = last_errno();
    if (!written) {
      ::unlinkat(directory_.get(), temporary.c_str(), 0);
      return written;
    }
    if (::fsync(directory_.get()) < 0) return Errc::outcome_unknown;
    return {};
  }

  Result<> remove(const std::string& name) override {
    if (::unlinkat(directory_.get(), name.c_str(), 0) < 0) return last_errno();
    return {};
  }

 private:
  Descriptor directory_, lock_, open_file_;
  std::string open_name_;
};

}  // namespace

Result<std::unique_ptr<LogStorage>> open_log_directory(const std::string& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return last_errno();
  Descriptor lock(::openat(directory.get(), "lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return last_errno();
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) < 0) return errno == EWOULDBLOCK ? Errc::busy : Errc::io;
  return std::unique_ptr<LogStorage>(new LogDirectory(std::move(directory), std::move(lock)));
}

}  // namespace spirula::mon
