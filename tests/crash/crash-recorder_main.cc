#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/crash/crash_point.h"
#include "tests/crash/recorded_disk.h"

/// The parts of crash tests by hand: record what is done to a disk, show it, serve the disk as a crash left it.
namespace spirula::crash {
namespace {

constexpr char usage[] =
    "crash-recorder record RECORDING MOUNT_POINT SIZE...   serve blank parts as MOUNT_POINT/0, 1, ... and record\n"
    "crash-recorder show RECORDING                         list the records\n"
    "crash-recorder replay RECORDING MOUNT_POINT SIZE... -- COUNT [SEED disk|part]\n"
    "    serve what a power failure after COUNT records left; without a seed everything written before is there.\n"
    "    disk: a flush speaks for all parts; part: for its own. Changes go to RECORDING.replay.\n"
    "Sizes are in bytes, with k, M or G if you like; part 1 is the one with btrfs. Ends with `umount MOUNT_POINT`.\n";

std::uint64_t size_of(const char* text) {
  char* unit = nullptr;
  std::uint64_t size = std::strtoull(text, &unit, 10);
  const char units[] = "kMG";
  if (const char* found = *unit ? std::strchr(units, *unit) : nullptr) size <<= 10 * (found - units + 1);
  return size;
}

int show(const char* path) {
  Result<Recording> recording = Recording::open(path);
  if (!recording) return 1;
  Result<std::vector<Record>> records = recording->records();
  if (!records) return 1;
  const char* names[] = {"?", "write", "zeros", "flush", "discard"};
  std::size_t number = 0;
  for (const Record& record : *records)
    fmt::print("{} at {}: {} part {} {}~{}\n", ++number, record.end, names[static_cast<unsigned>(record.action)],
               record.part, record.offset, record.length);
  return 0;
}

int run(const std::vector<const char*>& words) {
  if (words.size() == 2 && words[0] == std::string_view("show")) return show(words[1]);
  auto dashes = std::ranges::find(words, std::string_view("--"));
  std::vector<std::uint64_t> sizes;
  for (std::size_t i = 3; i < static_cast<std::size_t>(dashes - words.begin()); ++i) sizes.push_back(size_of(words[i]));
  if (sizes.empty()) return 2;
  std::vector<const char*> rest(dashes == words.end() ? dashes : dashes + 1, words.end());
  if (words[0] == std::string_view("record")) return serve_disk(DiskImage(sizes), words[1], words[2], [] {});
  if (words[0] != std::string_view("replay") || rest.empty()) return 2;

  Result<Recording> opened = Recording::open(words[1]);
  if (!opened) return 1;
  FlushScope scope = rest.size() > 2 && rest[2] == std::string_view("part") ? FlushScope::part : FlushScope::disk;
  CrashPoints moments(DiskImage(sizes), std::make_shared<Recording>(std::move(*opened)), btrfs_part, scope);
  moments.advance(std::strtoull(rest[0], nullptr, 10));
  DiskImage image =
      rest.size() > 1 ? moments.crashed(SeededRandom(std::strtoull(rest[1], nullptr, 10))) : moments.complete();
  return serve_disk(std::move(image), std::string(words[1]) + ".replay", words[2], [] {});
}

}  // namespace
}  // namespace spirula::crash

int main(int count, char** words) {
  int status = spirula::crash::run({words + 1, words + count});
  if (status == 2) fmt::print(stderr, "{}", spirula::crash::usage);
  return status;
}
