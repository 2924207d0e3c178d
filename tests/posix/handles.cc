/// Opens files and folders by handles that were made before the file system was mounted anew, as an NFS server does:
/// the client knows only their numbers, and has to ask for the rest.
///
///     handles save FILE PATH...    keeps a handle of each
///     handles open FILE MOUNT      a line for each: the path of what it opens, and the beginning of what is in it
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Handle {
  file_handle head;
  unsigned char rest[MAX_HANDLE_SZ];
};

[[noreturn]] void fail(const char* what) {
  std::printf("%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void save(int file, const char* path) {
  Handle handle{};
  handle.head.handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (name_to_handle_at(AT_FDCWD, path, &handle.head, &mount, 0)) fail(path);
  if (write(file, &handle, sizeof handle) != sizeof handle) fail("write");
}

void show(int mount, Handle& handle) {
  const int opened = open_by_handle_at(mount, &handle.head, O_RDONLY);
  if (opened < 0) fail("open_by_handle_at");
  char path[4096]{}, text[100]{};
  if (readlink(("/proc/self/fd/" + std::to_string(opened)).c_str(), path, sizeof path - 1) < 0) fail("readlink");
  if (read(opened, text, sizeof text - 1) < 0 && errno != EISDIR) fail("read");
  std::printf("%s %s\n", path, text);
  close(opened);
}

}  // namespace

int main(int count, char** words) {
  if (count < 4) return 2;
  const bool saves = std::string(words[1]) == "save";
  const int file = open(words[2], saves ? O_CREAT | O_TRUNC | O_WRONLY : O_RDONLY, 0600);
  if (file < 0) fail(words[2]);
  if (saves) {
    for (int i = 3; i < count; ++i) save(file, words[i]);
    return 0;
  }
  const int mount = open(words[3], O_RDONLY | O_DIRECTORY);
  if (mount < 0) fail(words[3]);
  Handle handle;
  while (read(file, &handle, sizeof handle) == sizeof handle) show(mount, handle);
}
