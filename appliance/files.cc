#include "appliance/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace spirula::appliance {
namespace {

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }
  bool open() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

Result<> sync_folder_of(const std::string& path) {
  File folder(::open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.open() || ::fsync(folder.get()) != 0) return last_errno();
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) return last_errno();
  std::string text;
  char piece[8192];
  for (;;) {
    ssize_t count = ::read(file.get(), piece, sizeof piece);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_errno();
    if (count == 0) return text;
    text.append(piece, static_cast<std::size_t>(count));
    if (text.size() > bytes_max) return Errc::too_large;
  }
}

Result<> write_file(const std::string& path, std::string_view text, unsigned mode) {
  const std::string part = path + ".new";
  ::unlink(part.c_str());
  {
    File file(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!file.open() || ::fchmod(file.get(), mode) != 0) return last_errno();
    while (!text.empty()) {
      ssize_t count = ::write(file.get(), text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return last_errno();
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(file.get()) != 0) return last_errno();
  }
  if (::rename(part.c_str(), path.c_str()) != 0) return last_errno();
  return sync_folder_of(path);
}

Result<> make_folder(const std::string& path, unsigned mode) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return {};
  std::filesystem::create_directories(path, error);
  if (error) return error;
  if (::chmod(path.c_str(), mode) != 0) return last_errno();
  return {};
}

}  // namespace spirula::appliance
