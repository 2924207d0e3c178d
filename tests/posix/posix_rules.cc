// What POSIX says of each call on files: every errno it names that a test can bring about, and the effects. One
// argument: an empty folder on the file system in question. Prints what does not hold; the last line counts. A static
// program without libraries, so that it runs in a guest as well. Must be root: part of it runs as nobody.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <tuple>

namespace {

struct Counts {
  int rules = 0, broken = 0;
};
Counts* counts;  // shared with the children

void rule(bool holds, const std::string& what) {
  ++counts->rules;
  if (holds) return;
  ++counts->broken;
  std::printf("BROKEN %s\n", what.c_str());
  std::fflush(stdout);
}

std::string name_of(int error) {
  const char* name = error ? strerrorname_np(error) : "success";
  return name ? name : std::to_string(error);
}

/// The call must fail with this errno (0: must succeed). `other`: POSIX leaves the choice.
void expect(const char* what, long result, int error, int other = -1) {
  int got = result < 0 ? errno : 0;
  rule(got == error || got == other, std::string(what) + ": " + name_of(got) + ", expected " + name_of(error));
}
#define EXPECT(error, call) expect(#call, static_cast<long>(call), error)
#define EXPECT_EITHER(error, other, call) expect(#call, static_cast<long>(call), error, other)
#define RULE(condition) rule(condition, #condition)

int opened(const char* path, int flags, mode_t mode = 0) {
  int fd = open(path, flags, mode);
  if (fd >= 0) {
    int error = errno;
    close(fd);
    errno = error;
  }
  return fd;
}
void make(const char* path, const std::string& content = "", mode_t mode = 0644) {
  int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
  rule(fd >= 0 && write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()),
       std::string("making ") + path);
  if (fd >= 0) {
    fchmod(fd, mode);
    close(fd);
  }
}
std::string content(const char* path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return "(" + name_of(errno) + ")";
  std::string all(1 << 16, 0);
  ssize_t size = read(fd, all.data(), all.size());
  close(fd);
  all.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return all;
}
struct stat status(const char* path) {
  struct stat found{};
  if (lstat(path, &found) < 0) found.st_ino = 0;
  return found;
}
bool later(const timespec& one, const timespec& two) {
  return one.tv_sec != two.tv_sec ? one.tv_sec > two.tv_sec : one.tv_nsec > two.tv_nsec;
}
void pause_clock() {
  usleep(20'000);  // longer than a tick of the coarsest clock that stamps files
}
std::set<std::string> list(const char* path) {
  std::set<std::string> names;
  DIR* dir = opendir(path);
  if (!dir) return {"(" + name_of(errno) + ")"};
  while (dirent* entry = readdir(dir)) rule(names.insert(entry->d_name).second, std::string("twice in ") + path);
  closedir(dir);
  return names;
}
/// In a child without rights.
void as_nobody(const std::function<void()>& body) {
  std::fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) || setuid(65534)) _exit(2);
    body();
    std::fflush(stdout);
    _exit(0);
  }
  int how = 0;
  waitpid(child, &how, 0);
  rule(how == 0, "the child ran");
}
int in_child(const std::function<int()>& body) {
  std::fflush(stdout);
  pid_t child = fork();
  if (child == 0) _exit(body());
  int how = 0;
  waitpid(child, &how, 0);
  return WIFEXITED(how) ? WEXITSTATUS(how) : 255;
}

const std::string long_name(256, 'n'), longest_name(255, 'n');
std::string long_path() {
  std::string path;
  while (path.size() < PATH_MAX) path += "d/";
  return path;
}

void path_rules() {
  // The errors of resolving a path, for every call that takes one.
  mkdir("d", 0755);
  make("f", "text");
  symlink("loop2", "loop1");
  symlink("loop1", "loop2");
  symlink("nowhere", "dangling");
  symlink("d", "to-d");
  const std::string too_long = long_path();
  struct Call {
    const char* name;
    std::function<int(const char*)> call;
    bool follows;
  };
  struct stat found;
  char buffer[64];
  const Call calls[] = {
      {"open", [](const char* p) { return opened(p, O_RDONLY); }, true},
      {"open to write", [](const char* p) { return opened(p, O_WRONLY); }, true},
      {"stat", [&](const char* p) { return stat(p, &found); }, true},
      {"lstat", [&](const char* p) { return lstat(p, &found); }, false},
      {"access", [](const char* p) { return access(p, F_OK); }, true},
      {"chdir", [](const char* p) { return chdir(p); }, true},
      {"chmod", [](const char* p) { return chmod(p, 0644); }, true},
      {"chown", [](const char* p) { return chown(p, 0, 0); }, true},
      {"lchown", [](const char* p) { return lchown(p, 0, 0); }, false},
      {"truncate", [](const char* p) { return truncate(p, 0); }, true},
      {"utimensat", [](const char* p) { return utimensat(AT_FDCWD, p, nullptr, 0); }, true},
      {"unlink", [](const char* p) { return unlink(p); }, false},
      {"rmdir", [](const char* p) { return rmdir(p); }, false},
      {"readlink", [&](const char* p) { return static_cast<int>(readlink(p, buffer, sizeof buffer)); }, false},
      {"rename from", [](const char* p) { return rename(p, "new"); }, false},
      {"link from", [](const char* p) { return link(p, "new"); }, false},
      {"getxattr", [&](const char* p) { return static_cast<int>(getxattr(p, "user.x", buffer, 9)); }, true},
      {"opendir",
       [](const char* p) {
         DIR* dir = opendir(p);
         if (dir) closedir(dir);
         return dir ? 0 : -1;
       },
       true},
  };
  for (const Call& each : calls) {
    auto fails = [&](const std::string& path, int error) {
      expect((std::string(each.name) + " " + path.substr(0, 40)).c_str(), each.call(path.c_str()), error);
    };
    fails("none", ENOENT);
    fails("none/none", ENOENT);
    fails("", ENOENT);
    fails("d/none", ENOENT);
    fails("f/none", ENOTDIR);
    fails("loop1/none", ELOOP);
    fails("dangling/none", ENOENT);
    fails(long_name, ENAMETOOLONG);
    fails("d/" + long_name, ENAMETOOLONG);
    fails(longest_name, ENOENT);
    fails(too_long, ENAMETOOLONG);
    if (each.follows) {
      fails("loop1", ELOOP);
      fails("dangling", ENOENT);
    }
  }
  const Call makers[] = {
      {"create", [](const char* p) { return opened(p, O_CREAT | O_EXCL | O_WRONLY, 0644); }, false},
      {"mkdir", [](const char* p) { return mkdir(p, 0755); }, false},
      {"mkfifo", [](const char* p) { return mkfifo(p, 0644); }, false},
      {"mknod", [](const char* p) { return mknod(p, S_IFREG | 0644, 0); }, false},
      {"symlink", [](const char* p) { return symlink("target", p); }, false},
      {"link to", [](const char* p) { return link("f", p); }, false},
      {"rename to", [](const char* p) { return rename("f", p); }, false},
  };
  for (const Call& each : makers) {
    auto fails = [&](const std::string& path, int error) {
      expect((std::string(each.name) + " " + path.substr(0, 40)).c_str(), each.call(path.c_str()), error);
    };
    fails("none/new", ENOENT);
    fails("", ENOENT);
    fails("f/new", ENOTDIR);
    fails("loop1/new", ELOOP);
    fails("dangling/new", ENOENT);
    fails(long_name, ENAMETOOLONG);
    fails("d/" + long_name, ENAMETOOLONG);
    fails(too_long, ENAMETOOLONG);
    if (std::strcmp(each.name, "rename to") == 0) continue;
    for (const char* there : {"f", "d", "dangling", "loop1", "to-d"}) fails(there, EEXIST);
  }
  for (const char* path : {"f", "loop1", "loop2", "dangling", "to-d"}) unlink(path);
  EXPECT(0, rmdir("d"));
}

void open_rules() {
  mkdir("d", 0755);
  make("f", "text");
  symlink("f", "to-f");
  mkfifo("fifo", 0644);
  EXPECT(EISDIR, opened("d", O_WRONLY));
  EXPECT(EISDIR, opened("d", O_RDWR));
  EXPECT(EISDIR, opened("d", O_RDONLY | O_CREAT, 0644));
  EXPECT(ENOTDIR, opened("f", O_RDONLY | O_DIRECTORY));
  EXPECT(ELOOP, opened("to-f", O_RDONLY | O_NOFOLLOW));
  EXPECT(ENXIO, opened("fifo", O_WRONLY | O_NONBLOCK));
  EXPECT(EEXIST, opened("f", O_CREAT | O_EXCL | O_RDWR, 0644));
  EXPECT(EEXIST, opened("to-f", O_CREAT | O_EXCL | O_RDWR, 0644));
  EXPECT(0, opened("f", O_CREAT | O_RDWR, 0600));
  RULE((status("f").st_mode & 07777) == 0644);
  EXPECT(0, opened("f", O_WRONLY | O_TRUNC));
  RULE(status("f").st_size == 0);
  mode_t before = umask(027);
  EXPECT(0, opened("masked", O_CREAT | O_WRONLY, 0666));
  umask(before);
  RULE((status("masked").st_mode & 07777) == 0640);
  symlink("made", "makes");
  EXPECT(0, opened("makes", O_CREAT | O_WRONLY, 0644));
  RULE(S_ISREG(status("made").st_mode));

  int reads = open("f", O_RDONLY), writes = open("f", O_WRONLY), dir = open("d", O_RDONLY);
  char byte = 'x';
  EXPECT(EBADF, write(reads, &byte, 1));
  EXPECT(EBADF, read(writes, &byte, 1));
  EXPECT(EISDIR, read(dir, &byte, 1));
  EXPECT(EBADF, write(dir, &byte, 1));
  EXPECT(EINVAL, lseek(reads, -1, SEEK_SET));
  EXPECT(EINVAL, lseek(reads, 0, 77));
  EXPECT(EINVAL, pread(reads, &byte, 1, -1));
  EXPECT(EINVAL, pwrite(writes, &byte, 1, -1));
  EXPECT_EITHER(EINVAL, EBADF, ftruncate(reads, 0));
  EXPECT(EINVAL, ftruncate(writes, -1));
  EXPECT_EITHER(EINVAL, EISDIR, ftruncate(dir, 0));
  EXPECT(EINVAL, truncate("f", -1));
  EXPECT(EISDIR, truncate("d", 0));
  EXPECT_EITHER(EFBIG, EINVAL, truncate("f", LLONG_MAX));
  EXPECT_EITHER(EFBIG, EINVAL, pwrite(writes, &byte, 1, LLONG_MAX - 1));
  EXPECT(ENOTDIR, openat(reads, "x", O_RDONLY));
  EXPECT(EBADF, openat(1000, "x", O_RDONLY));
  EXPECT(0, fsync(dir));
  close(reads), close(writes), close(dir);

  rlimit limit{}, small{};
  getrlimit(RLIMIT_FSIZE, &limit);
  small = limit;
  small.rlim_cur = 1000;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT(EFBIG, truncate("f", 1001));
  writes = open("f", O_WRONLY);
  EXPECT(EFBIG, pwrite(writes, &byte, 1, 1000));
  close(writes);
  setrlimit(RLIMIT_FSIZE, &limit);
  for (const char* path : {"f", "to-f", "fifo", "masked", "makes", "made"}) EXPECT(0, unlink(path));
  EXPECT(0, rmdir("d"));
}

void content_rules() {
  make("f", "0123456789");
  int fd = open("f", O_RDWR);
  EXPECT(0, ftruncate(fd, 4));
  EXPECT(0, ftruncate(fd, 8));
  RULE(content("f") == std::string("0123\0\0\0\0", 8));
  RULE(pwrite(fd, "end", 3, 100'000) == 3);
  RULE(status("f").st_size == 100'003);
  char bytes[100] = {};
  RULE(pread(fd, bytes, 100, 50'000) == 100);
  RULE(std::string(bytes, 100) == std::string(100, '\0'));
  RULE(pread(fd, bytes, 100, 100'003) == 0);
  RULE(pread(fd, bytes, 100, 200'000) == 0);
  RULE(pread(fd, bytes, 100, 100'000) == 3);
  int appends = open("f", O_WRONLY | O_APPEND);
  RULE(lseek(appends, 0, SEEK_SET) == 0);
  RULE(write(appends, "!", 1) == 1);
  RULE(status("f").st_size == 100'004);
  close(appends);
  ftruncate(fd, 8192);
  char* map = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  RULE(map != MAP_FAILED);
  if (map != MAP_FAILED) {
    std::memcpy(map + 5000, "mapped", 6);
    EXPECT(0, msync(map, 8192, MS_SYNC));
    munmap(map, 8192);
    RULE(pread(fd, bytes, 6, 5000) == 6 && std::string(bytes, 6) == "mapped");
  }
  close(fd);

  // Removed, and still there for who has it open.
  make("gone", "still here");
  fd = open("gone", O_RDWR);
  EXPECT(0, unlink("gone"));
  EXPECT(ENOENT, access("gone", F_OK));
  struct stat found{};
  EXPECT(0, fstat(fd, &found));
  RULE(found.st_nlink == 0);
  RULE(pread(fd, bytes, 10, 0) == 10 && std::string(bytes, 10) == "still here");
  RULE(pwrite(fd, "more", 4, 10) == 4);
  close(fd);
  EXPECT(0, unlink("f"));
}

void folder_rules() {
  EXPECT(EEXIST, mkdir(".", 0755));
  mkdir("d", 0755);
  RULE((list("d") == std::set<std::string>{".", ".."}));
  mkdir("d/sub", 0755);
  RULE(status("d").st_ino != 0 && status("d/..").st_ino == status(".").st_ino);
  RULE(status("d/sub/..").st_ino == status("d").st_ino);
  EXPECT_EITHER(ENOTEMPTY, EEXIST, rmdir("d"));
  EXPECT(EINVAL, rmdir("d/sub/."));
  EXPECT_EITHER(ENOTEMPTY, EEXIST, rmdir("d/sub/.."));
  make("f");
  EXPECT(ENOTDIR, rmdir("f"));
  symlink("d", "to-d");
  EXPECT(ENOTDIR, rmdir("to-d"));
  EXPECT_EITHER(EISDIR, EPERM, unlink("d"));
  EXPECT_EITHER(EISDIR, EPERM, unlink("d/sub"));
  EXPECT_EITHER(EPERM, EISDIR, link("d", "second"));
  char none[1];
  EXPECT(EINVAL, readlink("f", none, 0));
  char target[64] = {};
  RULE(readlink("to-d", target, sizeof target) == 1 && target[0] == 'd');
  EXPECT(EINVAL, readlink("d", target, sizeof target));
  EXPECT(ENOENT, symlink("", "empty"));
  EXPECT(ENAMETOOLONG, symlink(std::string(PATH_MAX, 't').c_str(), "long"));
  const std::string longest(PATH_MAX - 1, 't');
  if (symlink(longest.c_str(), "long") == 0) {
    std::string read_back(PATH_MAX, 0);
    RULE(readlink("long", read_back.data(), PATH_MAX) == PATH_MAX - 1);
    unlink("long");
  }
  EXPECT(0, rmdir("d/sub"));
  // A folder that is gone takes nothing more.
  int gone = open("d", O_RDONLY);
  EXPECT(0, rmdir("d"));
  EXPECT(ENOENT, mkdirat(gone, "new", 0755));
  EXPECT(ENOENT, openat(gone, "new", O_CREAT | O_WRONLY, 0644));
  close(gone);
  EXPECT(0, unlink("f"));
  EXPECT(0, unlink("to-d"));

  mkdir("many", 0755);
  std::set<std::string> expected{".", ".."};
  for (int i = 0; i < 500; ++i) {
    std::string name = "many/" + std::to_string(i);
    make(name.c_str());
    expected.insert(std::to_string(i));
  }
  RULE(list("many") == expected);
  DIR* dir = opendir("many");
  for (int i = 0; i < 100; ++i) (void)readdir(dir);
  long where = telldir(dir);
  dirent* entry = readdir(dir);
  std::string next = entry ? entry->d_name : "";
  while (readdir(dir)) continue;
  seekdir(dir, where);
  entry = readdir(dir);
  RULE(entry && next == entry->d_name);
  rewinddir(dir);
  std::size_t count = 0;
  while (readdir(dir)) ++count;
  RULE(count == 502);
  // Removing while listing: nothing is missed that stays, nothing comes twice.
  rewinddir(dir);
  while ((entry = readdir(dir)))
    if (entry->d_name[0] != '.') unlink(("many/" + std::string(entry->d_name)).c_str());
  closedir(dir);
  RULE((list("many") == std::set<std::string>{".", ".."}));
  EXPECT(0, rmdir("many"));
}

void link_rules() {
  make("f", "text");
  struct stat before = status("f");
  RULE(before.st_nlink == 1);
  pause_clock();
  EXPECT(0, link("f", "g"));
  RULE(status("f").st_nlink == 2 && status("g").st_ino == before.st_ino);
  RULE(later(status("f").st_ctim, before.st_ctim));
  EXPECT(0, rename("f", "g"));  // two names of one file: both stay
  RULE(status("f").st_ino == before.st_ino && status("g").st_ino == before.st_ino);
  EXPECT(0, unlink("f"));
  RULE(status("g").st_nlink == 1 && content("g") == "text");
  symlink("g", "to-g");
  EXPECT(0, link("to-g", "to-g2"));
  RULE(S_ISLNK(status("to-g2").st_mode));
  EXPECT(0, linkat(AT_FDCWD, "to-g", AT_FDCWD, "g2", AT_SYMLINK_FOLLOW));
  RULE(status("g2").st_ino == before.st_ino);
  for (const char* path : {"g", "g2", "to-g", "to-g2"}) EXPECT(0, unlink(path));
}

void rename_rules() {
  mkdir("d", 0755);
  mkdir("d/sub", 0755);
  mkdir("empty", 0755);
  make("f", "f");
  make("g", "g");
  EXPECT(EINVAL, rename("d", "d/sub/below"));
  EXPECT(EINVAL, rename("d", "d/below"));
  EXPECT_EITHER(EINVAL, EBUSY, rename("d/.", "new"));
  EXPECT_EITHER(EINVAL, EBUSY, rename("d", "empty/."));
  EXPECT(EISDIR, rename("f", "empty"));
  EXPECT(ENOTDIR, rename("d", "f"));
  EXPECT_EITHER(ENOTEMPTY, EEXIST, rename("empty", "d"));
  EXPECT(0, rename("f", "g"));
  RULE(content("g") == "f");
  EXPECT(ENOENT, access("f", F_OK));
  ino_t ino = status("d").st_ino;
  EXPECT(0, rename("d", "empty"));
  RULE(status("empty").st_ino == ino && access("empty/sub", F_OK) == 0);
  EXPECT(0, rename("empty/sub", "sub"));
  RULE(status("sub/..").st_ino == status(".").st_ino);
  EXPECT(0, rename("g", "g"));
  symlink("g", "link");
  EXPECT(0, rename("link", "moved"));
  RULE(S_ISLNK(status("moved").st_mode));
  EXPECT(0, rename("g", "moved"));  // over the link, not what it points to
  RULE(S_ISREG(status("moved").st_mode));
  make("open", "open");
  int fd = open("open", O_RDONLY);
  EXPECT(0, rename("moved", "open"));
  char bytes[8];
  RULE(read(fd, bytes, 8) == 4 && std::string(bytes, 4) == "open");
  close(fd);
  EXPECT(0, unlink("open"));
  EXPECT(0, rmdir("sub"));
  EXPECT(0, rmdir("empty"));
}

void time_rules() {
  mkdir("d", 0755);
  make("d/f", "x");
  auto changes = [](const char* path, const std::function<void()>& action, bool mtime, bool ctime, const char* what) {
    struct stat before = status(path);
    pause_clock();
    action();
    struct stat after = status(path);
    rule(later(after.st_mtim, before.st_mtim) == mtime, std::string(what) + ": mtime of " + path);
    rule(later(after.st_ctim, before.st_ctim) == ctime, std::string(what) + ": ctime of " + path);
  };
  changes("d", [] { make("d/new"); }, true, true, "create");
  changes("d", [] { unlink("d/new"); }, true, true, "unlink");
  changes("d", [] { mkdir("d/sub", 0755); }, true, true, "mkdir");
  changes("d", [] { rmdir("d/sub"); }, true, true, "rmdir");
  changes("d", [] { rename("d/f", "d/g"); }, true, true, "rename");
  changes("d", [] { rename("d/g", "d/f"); }, true, true, "rename");
  changes("d/f", [] { chmod("d/f", 0600); }, false, true, "chmod");
  changes("d/f", [] { chown("d/f", 1, 1); }, false, true, "chown");
  changes("d/f", [] { truncate("d/f", 5); }, true, true, "truncate");
  changes("d/f", [] { make("d/f", "written"); }, true, true, "write");
  changes("d/f", [] { link("d/f", "d/g"); }, false, true, "link");
  changes("d/f", [] { unlink("d/g"); }, false, true, "unlink of another name");
  changes("d/f", [] { setxattr("d/f", "user.a", "b", 1, 0); }, false, true, "setxattr");
  const timespec given[2] = {{1'000'000'000, 123'456'789}, {1'100'000'000, 987'654'321}};
  EXPECT(0, utimensat(AT_FDCWD, "d/f", given, 0));
  struct stat found = status("d/f");
  RULE(found.st_atim.tv_sec == 1'000'000'000 && found.st_mtim.tv_sec == 1'100'000'000);
  RULE(found.st_mtim.tv_nsec == 987'654'321);
  const timespec omitted[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  EXPECT(0, utimensat(AT_FDCWD, "d/f", omitted, 0));
  RULE(status("d/f").st_atim.tv_sec == 1'000'000'000 && status("d/f").st_mtim.tv_sec > 1'500'000'000);
  const timespec wrong[2] = {{0, 2'000'000'000}, {0, 0}};
  EXPECT(EINVAL, utimensat(AT_FDCWD, "d/f", wrong, 0));
  EXPECT(0, unlink("d/f"));
  EXPECT(0, rmdir("d"));
}

void right_rules() {
  chmod(".", 0755);
  mkdir("open", 0777);
  chmod("open", 0777);
  mkdir("closed", 0700);
  mkdir("seen", 0744);
  mkdir("sticky", 01777);
  chmod("sticky", 01777);
  make("secret", "s", 0600);
  make("public", "p", 0644);
  make("seen/f");
  make("closed/f");
  make("sticky/f", "", 0666);
  make("open/f", "", 0644);
  mkdir("sticky/d", 0777);
  as_nobody([] {
    EXPECT(EACCES, opened("secret", O_RDONLY));
    EXPECT(EACCES, opened("secret", O_WRONLY));
    EXPECT(0, opened("public", O_RDONLY));
    EXPECT(EACCES, opened("public", O_RDWR));
    EXPECT(EACCES, opened("public", O_RDONLY | O_TRUNC));
    EXPECT(EACCES, opened("new", O_CREAT | O_WRONLY, 0644));
    EXPECT(EACCES, opened("closed/f", O_RDONLY));
    EXPECT(EACCES, opened("seen/f", O_RDONLY));
    EXPECT(EACCES, access("secret", R_OK));
    EXPECT(EACCES, access("public", W_OK));
    EXPECT(EACCES, chdir("closed"));
    EXPECT(EACCES, mkdir("new", 0755));
    EXPECT(EACCES, mkdir("closed/new", 0755));
    EXPECT(EACCES, rmdir("closed"));
    EXPECT(EACCES, unlink("public"));
    EXPECT(EACCES, unlink("closed/f"));
    EXPECT(EACCES, rename("public", "open/public"));
    EXPECT(EACCES, rename("open/f", "f"));
    EXPECT(EACCES, symlink("x", "new"));
    EXPECT(EACCES, mkfifo("new", 0644));
    EXPECT(EACCES, link("public", "closed/new"));
    EXPECT(EACCES, truncate("public", 0));
    EXPECT(EACCES, utimensat(AT_FDCWD, "public", nullptr, 0));
    const timespec given[2] = {{1, 0}, {1, 0}};
    EXPECT(EPERM, utimensat(AT_FDCWD, "public", given, 0));
    EXPECT(EPERM, chmod("public", 0666));
    EXPECT(EPERM, chown("public", 65534, 65534));
    EXPECT_EITHER(EPERM, EACCES, unlink("sticky/f"));
    EXPECT_EITHER(EPERM, EACCES, rmdir("sticky/d"));
    EXPECT_EITHER(EPERM, EACCES, rename("sticky/f", "sticky/g"));
    EXPECT(EPERM, mknod("open/device", S_IFCHR | 0644, 0x103));
    EXPECT(EACCES, setxattr("public", "user.a", "b", 1, 0));
    EXPECT(EPERM, setxattr("public", "trusted.a", "b", 1, 0));
    // Its own.
    EXPECT(0, opened("open/mine", O_CREAT | O_WRONLY, 0644));
    EXPECT(0, chmod("open/mine", 0600));
    EXPECT(EPERM, chown("open/mine", 0, 65534));
    EXPECT(0, opened("sticky/mine", O_CREAT | O_WRONLY, 0644));
    EXPECT(0, unlink("sticky/mine"));
    EXPECT(0, unlink("open/f"));  // the folder's right counts, not the file's
  });
  RULE(status("open/mine").st_uid == 65534 && status("open/mine").st_gid == 65534);
  RULE((status("open/mine").st_mode & 07777) == 0600);
  // Set-id bits go when somebody else writes, or the owner changes.
  make("setid", "x", 06777);
  chmod("setid", 06777);
  as_nobody([] {
    int fd = open("setid", O_WRONLY);
    RULE(write(fd, "y", 1) == 1);
    close(fd);
  });
  RULE((status("setid").st_mode & 06000) == 0);
  chmod("setid", 06777);
  EXPECT(0, chown("setid", 7, 8));
  RULE((status("setid").st_mode & 06000) == 0);
  RULE(status("setid").st_uid == 7 && status("setid").st_gid == 8);
  mkdir("group", 02777);
  chown("group", 0, 99);
  chmod("group", 02777);
  mkdir("group/d", 0755);
  make("group/f");
  RULE(status("group/d").st_gid == 99 && (status("group/d").st_mode & 02000));
  RULE(status("group/f").st_gid == 99);
  for (const char* path : {"group/f", "setid", "secret", "public", "seen/f", "closed/f", "sticky/f", "open/mine"})
    EXPECT(0, unlink(path));
  for (const char* path : {"group/d", "group", "sticky/d", "sticky", "seen", "closed", "open"}) EXPECT(0, rmdir(path));
}

void attribute_rules() {
  make("f");
  symlink("f", "link");
  char value[100];
  EXPECT(ENODATA, getxattr("f", "user.none", value, sizeof value));
  EXPECT(ENODATA, removexattr("f", "user.none"));
  EXPECT(ENODATA, setxattr("f", "user.a", "1", 1, XATTR_REPLACE));
  EXPECT(0, setxattr("f", "user.a", "12345", 5, XATTR_CREATE));
  EXPECT(EEXIST, setxattr("f", "user.a", "1", 1, XATTR_CREATE));
  EXPECT(0, setxattr("f", "user.b", "", 0, 0));
  RULE(getxattr("f", "user.a", value, sizeof value) == 5 && std::string(value, 5) == "12345");
  RULE(getxattr("f", "user.b", value, sizeof value) == 0);
  RULE(getxattr("f", "user.a", nullptr, 0) == 5);
  EXPECT(ERANGE, getxattr("f", "user.a", value, 4));
  EXPECT(ERANGE, listxattr("f", value, 3));
  ssize_t size = listxattr("f", value, sizeof value);
  std::string names(value, size > 0 ? static_cast<std::size_t>(size) : 0);
  RULE(names.find(std::string("user.a\0", 7)) != names.npos && names.find(std::string("user.b\0", 7)) != names.npos);
  EXPECT(EOPNOTSUPP, setxattr("f", "nonsense.a", "1", 1, 0));
  EXPECT(ERANGE, setxattr("f", ("user." + long_name).c_str(), "1", 1, 0));
  EXPECT(E2BIG, setxattr("f", "user.big", std::string(65'537, 'x').c_str(), 65'537, 0));
  EXPECT(EPERM, lsetxattr("link", "user.a", "1", 1, 0));
  EXPECT(0, lsetxattr("link", "trusted.a", "1", 1, 0));
  EXPECT(0, setxattr("f", "security.test", "1", 1, 0));
  EXPECT(0, removexattr("f", "user.a"));
  EXPECT(ENODATA, getxattr("f", "user.a", value, sizeof value));
  EXPECT(0, unlink("f"));
  EXPECT(0, unlink("link"));
}

void lock_rules() {
  make("f", "0123456789");
  int fd = open("f", O_RDWR);
  auto range = [](short type, off_t start, off_t length) {
    struct flock lock{};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return lock;
  };
  struct flock lock = range(F_WRLCK, 0, 5);
  EXPECT(0, fcntl(fd, F_SETLK, &lock));
  RULE(in_child([&] {
         int own = open("f", O_RDWR);
         struct flock all = range(F_RDLCK, 0, 0), rest = range(F_WRLCK, 5, 5);
         if (fcntl(own, F_SETLK, &all) != -1 || (errno != EAGAIN && errno != EACCES)) return 1;
         if (fcntl(own, F_SETLK, &rest) != 0) return 2;
         if (fcntl(own, F_GETLK, &all) != 0 || all.l_type != F_WRLCK || all.l_start != 0 || all.l_len != 5) return 3;
         return 0;
       }) == 0);
  rule(in_child([&] {
         int own = open("f", O_RDWR);
         struct flock all = range(F_RDLCK, 0, 0);
         return fcntl(own, F_GETLK, &all) == 0 && all.l_pid == getppid() ? 0 : 1;
       }) == 0,
       "F_GETLK names the process that holds the lock");
  lock = range(F_RDLCK, 0, 5);
  EXPECT(0, fcntl(fd, F_SETLK, &lock));
  RULE(in_child([&] {
         int own = open("f", O_RDWR);
         struct flock shared = range(F_RDLCK, 0, 5);
         return fcntl(own, F_SETLK, &shared) == 0 ? 0 : 1;
       }) == 0);
  int reads = open("f", O_RDONLY);
  lock = range(F_WRLCK, 0, 1);
  EXPECT(EBADF, fcntl(reads, F_SETLK, &lock));
  close(reads);
  rule(in_child([&] {
         int own = open("f", O_RDWR);
         struct flock all = range(F_WRLCK, 0, 0);
         return fcntl(own, F_SETLK, &all) == 0 ? 0 : 1;
       }) == 0,
       "closing any descriptor of a file ends the process's fcntl locks on it");
  lock = range(F_UNLCK, 0, 0);
  EXPECT(0, fcntl(fd, F_SETLK, &lock));
  // Each waits for the other.
  lock = range(F_WRLCK, 0, 1);
  EXPECT(0, fcntl(fd, F_SETLK, &lock));
  int ready[2];
  RULE(pipe(ready) == 0);
  pid_t child = fork();
  if (child == 0) {
    int own = open("f", O_RDWR);
    struct flock second = range(F_WRLCK, 1, 1), first = range(F_WRLCK, 0, 1);
    fcntl(own, F_SETLK, &second);
    write(ready[1], "r", 1);
    _exit(fcntl(own, F_SETLKW, &first) == 0 ? 0 : 1);
  }
  char byte;
  read(ready[0], &byte, 1);
  usleep(300'000);  // it waits by now
  lock = range(F_WRLCK, 1, 1);
  EXPECT(EDEADLK, fcntl(fd, F_SETLKW, &lock));
  lock = range(F_UNLCK, 0, 0);
  EXPECT(0, fcntl(fd, F_SETLK, &lock));
  int how = 0;
  waitpid(child, &how, 0);
  RULE(how == 0);  // it got what it waited for

  EXPECT(0, flock(fd, LOCK_EX));
  RULE(in_child([] {
         int own = open("f", O_RDWR);
         return flock(own, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK ? 0 : 1;
       }) == 0);
  EXPECT(0, flock(fd, LOCK_SH));
  RULE(in_child([] {
         int own = open("f", O_RDWR);
         return flock(own, LOCK_SH | LOCK_NB) == 0 ? 0 : 1;
       }) == 0);
  EXPECT(0, flock(fd, LOCK_UN));
  EXPECT(EINVAL, flock(fd, 77));
  close(fd);
  EXPECT(0, unlink("f"));
}

/// An access control list as the attribute has it: version 2, then tag, rights and id of each entry.
std::string acl_of(std::initializer_list<std::tuple<int, int, unsigned>> entries) {
  std::string bytes("\2\0\0\0", 4);
  auto put = [&](unsigned value, int size) {
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  };
  for (const auto& [tag, rights, id] : entries)
    put(static_cast<unsigned>(tag), 2), put(static_cast<unsigned>(rights), 2), put(id, 4);
  return bytes;
}

void acl_rules() {
  constexpr int owner = 1, user = 2, group = 4, mask = 16, other = 32;
  constexpr unsigned none = ~0u, nobody = 65534;
  const std::string reads =
      acl_of({{owner, 6, none}, {user, 4, nobody}, {group, 0, none}, {mask, 4, none}, {other, 0, none}});
  make("f", "text", 0600);
  as_nobody([] { EXPECT(EACCES, opened("f", O_RDONLY)); });
  EXPECT(0, setxattr("f", "system.posix_acl_access", reads.data(), reads.size(), 0));
  RULE((status("f").st_mode & 0777) == 0640);  // the mask shows as the group's rights
  as_nobody([] {
    EXPECT(0, opened("f", O_RDONLY));
    EXPECT(EACCES, opened("f", O_WRONLY));
    EXPECT(EPERM, removexattr("f", "system.posix_acl_access"));
  });
  char back[200];
  RULE(getxattr("f", "system.posix_acl_access", back, sizeof back) == static_cast<ssize_t>(reads.size()));
  RULE(std::string(back, reads.size()) == reads);
  EXPECT(0, chmod("f", 0600));  // the mask, that is
  as_nobody([] { EXPECT(EACCES, opened("f", O_RDONLY)); });
  EXPECT(0, chmod("f", 0640));
  as_nobody([] { EXPECT(0, opened("f", O_RDONLY)); });
  EXPECT(0, removexattr("f", "system.posix_acl_access"));
  as_nobody([] { EXPECT(EACCES, opened("f", O_RDONLY)); });
  EXPECT(EINVAL, setxattr("f", "system.posix_acl_access", reads.data(), reads.size() - 1, 0));
  EXPECT(0, unlink("f"));

  mkdir("d", 0755);
  const std::string inherited =
      acl_of({{owner, 7, none}, {user, 6, nobody}, {group, 5, none}, {mask, 7, none}, {other, 0, none}});
  EXPECT(0, setxattr("d", "system.posix_acl_default", inherited.data(), inherited.size(), 0));
  EXPECT(0, opened("d/f", O_CREAT | O_WRONLY, 0660));
  EXPECT(0, mkdir("d/sub", 0770));
  RULE(getxattr("d/f", "system.posix_acl_access", back, sizeof back) > 0);
  RULE(getxattr("d/sub", "system.posix_acl_default", back, sizeof back) == static_cast<ssize_t>(inherited.size()));
  as_nobody([] { EXPECT(0, opened("d/f", O_RDWR)); });
  EXPECT(0, unlink("d/f"));
  EXPECT(0, rmdir("d/sub"));
  EXPECT(0, rmdir("d"));
}

}  // namespace

int main(int argc, char** argv) {
  counts =
      static_cast<Counts*>(mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  *counts = {};
  if (argc != 2 || chdir(argv[1]) || getuid() != 0) {
    std::printf("usage, as root: posix_rules EMPTY-FOLDER\n");
    return 2;
  }
  umask(022);
  const std::pair<const char*, void (*)()> groups[] = {
      {"paths", path_rules},           {"open", open_rules},     {"content", content_rules}, {"folders", folder_rules},
      {"links", link_rules},           {"rename", rename_rules}, {"times", time_rules},      {"rights", right_rules},
      {"attributes", attribute_rules}, {"locks", lock_rules},    {"acls", acl_rules}};
  for (const auto& [name, group] : groups) {
    int before = counts->broken;
    group();
    if (counts->broken != before) std::printf("(those were of %s)\n", name);
    rule(list(".") == std::set<std::string>{".", ".."}, std::string("something is left of ") + name);
  }
  std::printf("rules %d broken %d\n", counts->rules, counts->broken);
  return counts->broken ? 1 : 0;
}
