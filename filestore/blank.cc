#include "filestore/blank.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "filestore/file_descriptor.h"

namespace spirula::filestore {

Result<> require_blank(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return last_errno();
  struct stat status{};
  if (::fstat(fd.get(), &status) < 0) return last_errno();
  if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode)) return Errc::invalid;
  off_t end = ::lseek(fd.get(), 0, SEEK_END);
  if (end < 0) return last_errno();
  std::vector<char> part(1 << 20);
  for (off_t at : {off_t{0}, std::max<off_t>(end - static_cast<off_t>(part.size()), 0)}) {
    ssize_t got = ::pread(fd.get(), part.data(), part.size(), at);
    if (got < 0) return last_errno();
    if (std::any_of(part.begin(), part.begin() + got, [](char c) { return c != 0; })) return Errc::busy;
  }
  return {};
}

}  // namespace spirula::filestore
