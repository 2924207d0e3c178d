/// Random writes, reads, truncations, mappings and syncs of one file, every byte compared with what it should be.
///
///     random_io FILE SEED STEPS
///
/// The last line is `steps N` when all was right, `WRONG ...` where it was not.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

namespace {

constexpr std::size_t size_max = (8 << 20) + 12'345;  // two objects' ends in it
constexpr std::size_t piece_max = 200'000;

std::mt19937_64 dice;
std::string expected;
int file = -1;
const char* path = nullptr;

std::size_t below(std::size_t bound) {
  return bound ? dice() % bound : 0;
}

[[noreturn]] void wrong(const char* what, std::size_t at) {
  std::printf("WRONG %s at %zu of %zu: %s\n", what, at, expected.size(), std::strerror(errno));
  std::exit(1);
}

void compare(const char* what, const char* found, std::size_t at, std::size_t length) {
  for (std::size_t i = 0; i < length; ++i)
    if (found[i] != expected[at + i]) {
      const std::size_t good =
          static_cast<std::size_t>(std::find_if(found + i, found + length,
                                                [&](const char& each) {
                                                  return each == expected[at + static_cast<std::size_t>(&each - found)];
                                                }) -
                                   found);
      std::printf("byte %d instead of %d, wrong up to %zu, asked for %zu to %zu\n", found[i], expected[at + i],
                  at + good, at, at + length);
      wrong(what, at + i);
    }
}

std::string bytes(std::size_t length) {
  std::string made(length, 0);
  for (char& each : made) each = static_cast<char>(dice());
  return made;
}

void put(std::size_t at, const std::string& text) {
  if (expected.size() < at + text.size()) expected.resize(at + text.size());
  expected.replace(at, text.size(), text);
}

void step_write() {
  const std::size_t at = below(size_max - piece_max);
  const std::string text = bytes(1 + below(below(4) ? piece_max : 5'000));
  if (pwrite(file, text.data(), text.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(text.size()))
    wrong("write", at);
  put(at, text);
}

void step_read() {
  const std::size_t at = below(expected.size() + 1000), length = below(piece_max);
  std::string found(length, 0);
  const ssize_t got = pread(file, found.data(), length, static_cast<off_t>(at));
  const std::size_t there = at >= expected.size() ? 0 : std::min(length, expected.size() - at);
  if (got != static_cast<ssize_t>(there)) wrong("length of read", at);
  compare("read", found.data(), at, there);
}

void step_truncate() {
  const std::size_t size = below(4) ? below(expected.size() + 1) : below(size_max);
  if (ftruncate(file, static_cast<off_t>(size))) wrong("truncate", size);
  expected.resize(size);
}

void step_map() {
  if (expected.size() < 10'000) return;
  const std::size_t page = 4096, at = below((expected.size() - 1) / page) * page;
  const std::size_t length = std::min(1 + below(piece_max), expected.size() - at);
  void* mapped = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, static_cast<off_t>(at));
  if (mapped == MAP_FAILED) wrong("map", at);
  auto* text = static_cast<char*>(mapped);
  compare("mapping", text, at, length);
  const std::string fresh = bytes(1 + below(length));
  const std::size_t where = below(length - fresh.size() + 1);
  std::memcpy(text + where, fresh.data(), fresh.size());
  put(at + where, fresh);
  if (below(2) && msync(mapped, length, MS_SYNC)) wrong("msync", at);
  munmap(mapped, length);
}

void step_forget() {
  // What the kernel keeps of it goes, so that it comes from the servers again.
  if (fsync(file)) wrong("fsync", 0);
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  if (below(3)) return;
  close(file);
  file = open(path, O_RDWR);
  if (file < 0) wrong("open", 0);
}

void check_all() {
  struct stat status;
  if (fstat(file, &status) || status.st_size != static_cast<off_t>(expected.size())) wrong("size", 0);
  std::string found(expected.size(), 0);
  if (pread(file, found.data(), found.size(), 0) != static_cast<ssize_t>(found.size())) wrong("read of all", 0);
  compare("all", found.data(), 0, found.size());
}

}  // namespace

int main(int, char** argv) {
  path = argv[1];
  dice.seed(std::strtoull(argv[2], nullptr, 10));
  const int steps = std::atoi(argv[3]);
  file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (file < 0) wrong("create", 0);
  for (int i = 0; i < steps; ++i) {
    switch (below(16)) {
      case 0:
        step_truncate();
        break;
      case 1:
        step_forget();
        break;
      case 2:
      case 3:
      case 4:
        step_map();
        break;
      case 5:
      case 6:
      case 7:
      case 8:
        step_read();
        break;
      default:
        step_write();
        break;
    }
    if (i % 100 == 99) check_all();
  }
  step_forget();
  check_all();
  close(file);
  unlink(path);
  std::printf("steps %d\n", steps);
}
