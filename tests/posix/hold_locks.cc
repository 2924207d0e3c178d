// hold_locks FOLDER: makes a file with an access list, locks ranges of one and the whole of another, says so, and holds
// them until it is killed. For tests/interop/kernel_locks.py, which looks at them from another client.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace {

/// An access control list as the attribute has it: version 2, then tag, rights and id of each entry.
std::string access_list() {
  constexpr unsigned none = ~0u;
  std::string bytes("\2\0\0\0", 4);
  auto put = [&](unsigned value, int size) {
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  };
  auto entry = [&](unsigned tag, unsigned rights, unsigned id) { put(tag, 2), put(rights, 2), put(id, 4); };
  entry(1, 6, none), entry(2, 4, 1234), entry(4, 0, none), entry(16, 4, none), entry(32, 0, none);
  return bytes;
}

bool lock_range(int fd, short type, off_t start, off_t length) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return fcntl(fd, F_SETLK, &lock) == 0;
}

int fail(const char* what) {
  std::perror(what);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || chdir(argv[1])) return fail("usage: hold_locks FOLDER");
  const int listed = open("listed", O_CREAT | O_RDWR, 0600);
  const std::string list = access_list();
  if (listed < 0 || write(listed, "text", 4) != 4) return fail("listed");
  if (fsetxattr(listed, "system.posix_acl_access", list.data(), list.size(), 0)) return fail("access list");
  close(listed);
  const int ranges = open("ranges", O_CREAT | O_RDWR, 0666), whole = open("whole", O_CREAT | O_RDWR, 0666);
  if (ranges < 0 || whole < 0) return fail("open");
  if (!lock_range(ranges, F_WRLCK, 10, 10) || !lock_range(ranges, F_RDLCK, 30, 10)) return fail("ranges");
  if (flock(whole, LOCK_EX)) return fail("whole");
  std::printf("@@ holds\n");
  std::fflush(stdout);
  for (;;) pause();
}
