#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <linux/falloc.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "tests/crash/recorder.h"

namespace spirula::crash {
namespace {

/// One thread serves, so the order of the recording is the order in which requests were answered.
struct Disk {
  DiskImage image;
  std::shared_ptr<Recording> recording;
  unsigned source = 0;
  std::vector<std::byte> scratch;
  std::string refuse_path;

  bool refuses(unsigned part, ByteView bytes) const {
    constexpr std::size_t block = 4096;
    if (part == 0) return false;
    for (; bytes.size() >= block; bytes = bytes.subspan(block))
      if (std::memcmp(bytes.data(), Recorder::refused_mark.data(), Recorder::refused_mark.size()) == 0)
        return ::access(refuse_path.c_str(), F_OK) == 0;
    return false;
  }
  /// 0 or an errno.
  int record(Action action, unsigned part, std::uint64_t offset, std::uint64_t length, ByteView payload = {}) {
    if (action != Action::flush) {
      if (offset % sector_bytes || length % sector_bytes) return EINVAL;
      if (offset > image.size(part) || length > image.size(part) - offset) return ENOSPC;
    }
    Result<Record> record = recording->append(action, part, offset, length, payload);
    if (!record) return EIO;
    image.apply(source, *record);
    return 0;
  }
};

Disk& disk_of(fuse_req_t request) {
  return *static_cast<Disk*>(fuse_req_userdata(request));
}
/// Node 1 is the directory, node 2 the first part.
constexpr fuse_ino_t first_part = 2;

struct stat status_of(const Disk& disk, fuse_ino_t node) {
  struct stat status{};
  status.st_ino = node;
  status.st_nlink = 1;
  status.st_mode = node == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
  if (node != FUSE_ROOT_ID)
    status.st_size = static_cast<off_t>(disk.image.size(static_cast<unsigned>(node - first_part)));
  return status;
}

void on_lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  Disk& disk = disk_of(request);
  for (unsigned part = 0; part < disk.image.part_count(); ++part) {
    if (std::to_string(part) != name) continue;
    fuse_entry_param entry{};
    entry.ino = first_part + part;
    entry.attr = status_of(disk, entry.ino);
    entry.attr_timeout = entry.entry_timeout = 1000;
    fuse_reply_entry(request, &entry);
    return;
  }
  fuse_reply_err(request, ENOENT);
}

void on_readdir(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info*) {
  Disk& disk = disk_of(request);
  std::vector<char> entries(size);
  std::size_t used = 0;
  for (auto part = static_cast<unsigned>(offset); part < disk.image.part_count(); ++part) {
    struct stat status = status_of(disk, first_part + part);
    std::size_t more =
        fuse_add_direntry(request, entries.data() + used, size - used, std::to_string(part).c_str(), &status, part + 1);
    if (more > size - used) break;
    used += more;
  }
  fuse_reply_buf(request, entries.data(), used);
}

void on_getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  struct stat status = status_of(disk_of(request), node);
  fuse_reply_attr(request, &status, 1000);
}

/// Loop devices set none that matter here.
void on_setattr(fuse_req_t request, fuse_ino_t node, struct stat*, int, fuse_file_info* info) {
  on_getattr(request, node, info);
}

void on_open(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  info->direct_io = 1;
  fuse_reply_open(request, info);
}

void on_read(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset, fuse_file_info*) {
  Disk& disk = disk_of(request);
  unsigned part = static_cast<unsigned>(node - first_part);
  auto at = static_cast<std::uint64_t>(offset);
  if (at % sector_bytes || size % sector_bytes) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  size = at >= disk.image.size(part) ? 0 : std::min<std::uint64_t>(size, disk.image.size(part) - at);
  disk.scratch.resize(std::max(size, disk.scratch.size()));
  Result<> done = disk.image.read(part, at, std::span(disk.scratch).first(size));
  if (!done) {
    fuse_reply_err(request, EIO);
    return;
  }
  fuse_reply_buf(request, reinterpret_cast<const char*>(disk.scratch.data()), size);
}

void on_write(fuse_req_t request, fuse_ino_t node, const char* bytes, std::size_t size, off_t offset, fuse_file_info*) {
  const auto part = static_cast<unsigned>(node - first_part);
  ByteView payload = as_bytes(std::string_view(bytes, size));
  int failure = disk_of(request).refuses(part, payload)
                    ? EIO
                    : disk_of(request).record(Action::write, part, static_cast<std::uint64_t>(offset), size, payload);
  if (failure)
    fuse_reply_err(request, failure);
  else
    fuse_reply_write(request, size);
}

void on_fsync(fuse_req_t request, fuse_ino_t node, int, fuse_file_info*) {
  fuse_reply_err(request, disk_of(request).record(Action::flush, static_cast<unsigned>(node - first_part), 0, 0));
}

void on_fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t length, fuse_file_info*) {
  int failure = EOPNOTSUPP;
  if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
    failure = disk_of(request).record(mode & FALLOC_FL_PUNCH_HOLE ? Action::discard : Action::zeros,
                                      static_cast<unsigned>(node - first_part), static_cast<std::uint64_t>(offset),
                                      static_cast<std::uint64_t>(length));
  fuse_reply_err(request, failure);
}

}  // namespace

int serve_disk(DiskImage image, const std::string& recording_path, const std::string& mount_point,
               const std::function<void()>& ready) {
  Result<Recording> recording = Recording::create(recording_path);
  CHECK(recording, "the recording cannot be made");
  Disk disk{std::move(image), std::make_shared<Recording>(std::move(*recording)), 0, {}, recording_path + ".refuse"};
  disk.source = disk.image.add_source(disk.recording);

  fuse_lowlevel_ops operations{};
  operations.lookup = on_lookup;
  operations.readdir = on_readdir;
  operations.getattr = on_getattr;
  operations.setattr = on_setattr;
  operations.open = on_open;
  operations.read = on_read;
  operations.write = on_write;
  operations.fsync = on_fsync;
  operations.fallocate = on_fallocate;

  std::string name = "crash-recorder";
  std::string options = "-ofsname=crash-recorder";
  char* words[] = {name.data(), options.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(2, words);
  fuse_session* session = fuse_session_new(&arguments, &operations, sizeof operations, &disk);
  if (!session || fuse_session_mount(session, mount_point.c_str()) != 0) return 1;
  // The last process to leave a mount namespace unmounts what is in it. Here that would be a file system on this very
  // disk, and the server would wait for itself; so it stays in a namespace that does not know the disk.
  CHECK(::unshare(CLONE_NEWNS) == 0 && ::umount2(mount_point.c_str(), MNT_DETACH) == 0);
  ready();
  int status = fuse_session_loop(session);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  return status < 0 ? 1 : 0;
}

}  // namespace spirula::crash
