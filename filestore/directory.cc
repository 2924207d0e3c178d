#include "filestore/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace spirula::filestore {

Result<FileDescriptor> open_directory(int at, const std::string& path) {
  return open_file(at, path, O_RDONLY | O_DIRECTORY, Access::blocking);
}

Result<FileDescriptor> open_file(int at, const std::string& path, int flags, Access access) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  if (access == Access::cached) how.resolve = RESOLVE_CACHED;
  FileDescriptor fd(static_cast<int>(::syscall(SYS_openat2, at, path.c_str(), &how, sizeof how)));
  if (fd) return fd;
  if (access == Access::cached) return Errc::again;
  return last_errno();
}

Result<std::vector<std::string>> names_in(int at, const std::string& directory) {
  int fd = ::openat(at, directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return last_errno();
  DIR* listing = ::fdopendir(fd);
  if (!listing) return last_errno();
  std::vector<std::string> names;
  while (const dirent* each = ::readdir(listing))
    if (std::string_view name = each->d_name; name != "." && name != "..") names.emplace_back(name);
  ::closedir(listing);
  return names;
}

}  // namespace spirula::filestore
