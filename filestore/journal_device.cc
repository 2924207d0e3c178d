#include "filestore/journal_device.h"

#include <fcntl.h>
#include <libaio.h>
#include <liburing.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>

#include "base/check.h"
#include "base/log.h"
#include "filestore/faults.h"
#include "filestore/file_descriptor.h"

namespace spirula::filestore {
namespace {

/// What both engines share. A write is O_DIRECT with RWF_DSYNC: one request to the block layer that completes when the
/// device says it is stable (FUA, or a write and a flush). O_DIRECT alone would leave it in the device's cache.
class SystemDevice : public JournalDevice {
 public:
  SystemDevice(FileDescriptor fd, std::uint64_t size) : fd_(std::move(fd)), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    while (!into.empty()) {
      ssize_t got = ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return last_errno();
      if (got == 0) return Errc::io;
      offset += static_cast<std::uint64_t>(got);
      into = into.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

 protected:
  static Result<> outcome(std::int64_t result, std::size_t expected) {
    if (result < 0) return from_errno(static_cast<int>(-result));
    if (static_cast<std::size_t>(result) != expected) return Errc::io;
    return {};
  }
  // The kernel carries what the thread that starts a write has done before to the one that takes its completion. The
  // language (and ThreadSanitizer) does not see that; so it is said here, around every call that hands over.
  void hand_over() { handed_over_.fetch_add(1, std::memory_order_release); }
  void take_over() { (void)handed_over_.load(std::memory_order_acquire); }
  FileDescriptor fd_;
  std::uint64_t size_;

 private:
  std::atomic<std::uint32_t> handed_over_{0};
};

class UringDevice final : public SystemDevice {
 public:
  using SystemDevice::SystemDevice;
  ~UringDevice() override {
    if (ready_) io_uring_queue_exit(&ring_);
  }
  Result<> open() {
    int error = io_uring_queue_init(8, &ring_, 0);
    if (error < 0) return from_errno(-error);
    ready_ = true;
    return {};
  }
  Result<> start_write(std::uint64_t offset, ByteView bytes) override {
    TRY(fault_at(FaultPoint::journal_write));
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    CHECK(sqe, "one write in flight");
    expected_ = bytes.size();
    io_uring_prep_write(sqe, fd_.get(), bytes.data(), static_cast<unsigned>(bytes.size()), offset);
    sqe->rw_flags = RWF_DSYNC;
    io_uring_sqe_set_data64(sqe, tag_write);
    return submit();
  }
  Result<> wait() override {
    io_uring_cqe* cqe = nullptr;
    int error;
    do error = io_uring_wait_cqe(&ring_, &cqe);
    while (error == -EINTR);
    if (error < 0) return from_errno(-error);
    take_over();
    bool interrupted = io_uring_cqe_get_data64(cqe) == tag_interrupt;
    std::int64_t result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    if (interrupted) return Errc::cancelled;
    return outcome(result, expected_);
  }
  void interrupt() override {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    CHECK(sqe);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data64(sqe, tag_interrupt);
    (void)submit();
  }
  const char* engine() const override { return "io_uring"; }

 private:
  static constexpr std::uint64_t tag_write = 1, tag_interrupt = 2;
  Result<> submit() {
    hand_over();
    int error;
    do error = io_uring_submit(&ring_);
    while (error == -EINTR);
    if (error < 0) return from_errno(-error);
    return {};
  }
  io_uring ring_{};
  std::size_t expected_ = 0;
  bool ready_ = false;
};

/// The kernel tells the completion to whoever waits, without the thread that has started the write. interrupt() raises
/// an eventfd, of which a poll is under way in the same context.
class AioDevice final : public SystemDevice {
 public:
  using SystemDevice::SystemDevice;
  ~AioDevice() override {
    if (context_) io_destroy(context_);
  }
  Result<> open() {
    int error = io_setup(8, &context_);
    if (error < 0) return from_errno(-error);
    event_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event_) return last_errno();
    io_prep_poll(&poll_, event_.get(), POLLIN);
    return submit(poll_);
  }
  Result<> start_write(std::uint64_t offset, ByteView bytes) override {
    TRY(fault_at(FaultPoint::journal_write));
    expected_ = bytes.size();
    io_prep_pwrite(&write_, fd_.get(), const_cast<std::byte*>(bytes.data()), bytes.size(),
                   static_cast<long long>(offset));
    write_.aio_rw_flags = RWF_DSYNC;
    hand_over();
    return submit(write_);
  }
  Result<> wait() override {
    io_event event{};
    int got;
    do got = io_getevents(context_, 1, 1, &event, nullptr);
    while (got == -EINTR);
    if (got < 0) return from_errno(-got);
    take_over();
    if (event.obj == &write_) return outcome(static_cast<std::int64_t>(event.res), expected_);
    // A poll is over once it has been answered. Read first: what is raised from here on answers the next at once.
    std::uint64_t count;
    (void)!::read(event_.get(), &count, sizeof count);
    TRY(submit(poll_));
    return Errc::cancelled;
  }
  void interrupt() override {
    std::uint64_t one = 1;
    hand_over();
    CHECK(::write(event_.get(), &one, sizeof one) == sizeof one);
  }
  const char* engine() const override { return "libaio"; }

 private:
  Result<> submit(iocb& control) {
    iocb* list[] = {&control};
    int submitted;
    do submitted = io_submit(context_, 1, list);
    while (submitted == -EINTR);
    if (submitted < 0) return from_errno(-submitted);
    return {};
  }
  io_context_t context_ = nullptr;
  FileDescriptor event_;
  iocb write_{}, poll_{};
  std::size_t expected_ = 0;
};

}  // namespace

Result<> JournalDevice::write(std::uint64_t offset, ByteView bytes) {
  TRY(start_write(offset, bytes));
  return wait();
}

Result<std::unique_ptr<JournalDevice>> open_journal_device(const std::string& path,
                                                           FilestoreOptions::JournalEngine engine) {
  using Engine = FilestoreOptions::JournalEngine;
  FileDescriptor fd;
  std::uint64_t size = 0;
  bool block = false;
  auto open = [&]() -> Result<> {
    struct stat status{};
    if (::stat(path.c_str(), &status) < 0) return last_errno();
    block = S_ISBLK(status.st_mode);
    if (!block && !S_ISREG(status.st_mode)) return Errc::invalid;
    fd = {};
    fd = FileDescriptor(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC | (block ? O_EXCL : 0)));
    if (!fd) return last_errno();
    if (!block && ::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) return errno == EWOULDBLOCK ? Errc::busy : Errc::io;
    size = static_cast<std::uint64_t>(status.st_size);
    if (block && ::ioctl(fd.get(), BLKGETSIZE64, &size) < 0) return last_errno();
    size -= size % journal_block_bytes;
    return {};
  };
  auto with = [&]<class Device>(std::unique_ptr<Device> device) -> Result<std::unique_ptr<JournalDevice>> {
    TRY(device->open());
    return device;
  };
  auto by = [&](Engine which) {
    return which == Engine::libaio ? with(std::make_unique<AioDevice>(std::move(fd), size))
                                   : with(std::make_unique<UringDevice>(std::move(fd), size));
  };
  TRY(open());
  if (engine != Engine::automatic) return by(engine);
  // Completions of io_uring run on the thread that has started the write, which must wake up for that: 5 us of CPU and
  // a change of context more for a lone transaction. But a file system may block whoever starts a write with libaio.
  Engine first = block ? Engine::libaio : Engine::io_uring;
  auto device = by(first);
  if (device) return device;
  log_info("filestore", "{} is refused ({}), the journal uses {}", first == Engine::libaio ? "libaio" : "io_uring",
           device.error().message(), first == Engine::libaio ? "io_uring" : "libaio");
  TRY(open());
  return by(first == Engine::libaio ? Engine::io_uring : Engine::libaio);
}

}  // namespace spirula::filestore
