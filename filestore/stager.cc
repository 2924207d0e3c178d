#include "filestore/stager.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <libaio.h>
#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"
#include "filestore/btrfs.h"
#include "filestore/faults.h"
#include "filestore/limits.h"
#include "filestore/onode.h"
#include "filestore/superblock.h"

namespace spirula::filestore {
namespace {

using limits::block_bytes;
using T = Transaction;

std::string name_of(std::uint64_t generation, std::uint32_t ring) {
  return fmt::format("{}.{}", generation, ring);
}

/// The whole blocks within a write, if they are many enough to be worth a sync of their own.
struct Middle {
  std::uint64_t begin, end;
  explicit Middle(const T::Write& write)
      : begin((write.offset + block_bytes - 1) / block_bytes * block_bytes),
        end((write.offset + write.data.size()) / block_bytes * block_bytes) {}
  bool worth_it(std::uint64_t bytes_min) const { return end > begin && end - begin >= bytes_min; }
};

}  // namespace

/// Writes side by side, from one thread. Where the kernel has no room for the requests of libaio they are written in
/// turn.
class StagingWrites {
 public:
  StagingWrites() {
    if (io_setup(depth_max, &context_) < 0) context_ = nullptr;
  }
  StagingWrites(const StagingWrites&) = delete;
  StagingWrites& operator=(const StagingWrites&) = delete;
  ~StagingWrites() {
    if (context_) io_destroy(context_);
  }

  /// The bytes must stay as they are until wait() returns.
  Result<> begin(int fd, std::uint64_t offset, ByteView bytes) {
    if (context_) {
      if (under_way_.size() == depth_max) TRY(wait());
      under_way_.push_back({fd, offset, bytes});
      iocb request{};
      io_prep_pwrite(&request, fd, const_cast<std::byte*>(bytes.data()), bytes.size(), static_cast<long long>(offset));
      request.data = reinterpret_cast<void*>(under_way_.size() - 1);
      iocb* list[] = {&request};
      int begun;
      do begun = io_submit(context_, 1, list);
      while (begun == -EINTR);
      if (begun == 1) return {};
      under_way_.pop_back();
      if (begun < 0 && begun != -EAGAIN) return from_errno(-begun);
    }
    return write_rest(fd, offset, bytes, 0);
  }
  /// Until all that have begun have ended; the first error of any.
  Result<> wait() {
    Result<> result;
    for (std::size_t left = under_way_.size(); left > 0;) {
      io_event events[depth_max];
      int got = io_getevents(context_, 1, static_cast<long>(left), events, nullptr);
      if (got == -EINTR) continue;
      CHECK(got > 0, "writes that never end");
      left -= static_cast<std::size_t>(got);
      for (int i = 0; i < got; ++i) {
        const Write& write = under_way_[reinterpret_cast<std::size_t>(events[i].data)];
        auto put = static_cast<std::int64_t>(events[i].res);
        Result<> one;
        if (put < 0) {
          one = from_errno(static_cast<int>(-put));
        } else if (static_cast<std::size_t>(put) < write.bytes.size()) {
          one = write_rest(write.fd, write.offset, write.bytes, static_cast<std::size_t>(put));
        }
        if (result) result = one;
      }
    }
    under_way_.clear();
    return result;
  }

 private:
  static constexpr int depth_max = 64;
  struct Write {
    int fd;
    std::uint64_t offset;
    ByteView bytes;
  };
  static Result<> write_rest(int fd, std::uint64_t offset, ByteView bytes, std::size_t at) {
    while (at < bytes.size()) {
      ssize_t put = ::pwrite(fd, bytes.data() + at, bytes.size() - at, static_cast<off_t>(offset + at));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return last_errno();
      if (put == 0) return Errc::io;
      at += static_cast<std::size_t>(put);
    }
    return {};
  }
  io_context_t context_ = nullptr;
  std::vector<Write> under_way_;
};

Result<> StagingFiles::format(int root, Integrity integrity) {
  TRY(btrfs::create_subvolume(root, staging_name));
  FileDescriptor staging(::openat(root, staging_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!staging) return last_errno();
  if (integrity == Integrity::index_checksums) TRY(btrfs::disable_checksums(staging.get()));
  return {};
}

Result<int> StagingFiles::open(std::uint64_t generation, std::uint32_t ring) {
  std::lock_guard lock(mutex_);
  auto it = files_.find({generation, ring});
  if (it != files_.end()) return it->second.get();
  FileDescriptor fd(::openat(directory_.get(), name_of(generation, ring).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return last_errno();
  int number = fd.get();
  files_.emplace(std::pair(generation, ring), std::move(fd));
  return number;
}

Result<int> StagingFiles::create(std::uint64_t generation, std::uint32_t ring) {
  std::lock_guard lock(mutex_);
  FileDescriptor fd(::openat(directory_.get(), name_of(generation, ring).c_str(),
                             O_RDWR | O_DIRECT | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return last_errno();
  int number = fd.get();
  files_[{generation, ring}] = std::move(fd);
  return number;
}

Result<> StagingFiles::remove_before(std::uint64_t generation) {
  std::lock_guard lock(mutex_);
  files_.erase(files_.begin(), files_.lower_bound({generation, 0}));
  FileDescriptor copy(::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) return last_errno();
  DIR* listing = ::fdopendir(::dup(copy.get()));
  if (!listing) return last_errno();
  std::vector<std::string> old;
  while (const dirent* entry = ::readdir(listing)) {
    std::string_view name = entry->d_name;
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && number < generation) old.emplace_back(name);
  }
  ::closedir(listing);
  for (const std::string& name : old)
    if (::unlinkat(directory_.get(), name.c_str(), 0) < 0) return last_errno();
  return {};
}

Result<std::unique_ptr<Stager>> Stager::open(StagingFiles& files, std::uint64_t generation, std::uint64_t ring_bytes,
                                             bool checksums, std::uint64_t staged_bytes_min, OnStaged on_staged) {
  std::unique_ptr<Stager> stager(new Stager(generation, ring_bytes / block_bytes * block_bytes, checksums,
                                            staged_bytes_min, std::move(on_staged)));
  for (std::uint32_t number = 0; number < limits::staging_rings; ++number) {
    auto ring = std::make_unique<Ring>();
    ring->number = number;
    TRY(ring->fd, files.create(generation, number));
    stager->rings_.push_back(std::move(ring));
  }
  for (auto& ring : stager->rings_)
    ring->thread = std::thread([self = stager.get(), &ring = *ring] {
      pthread_setname_np(pthread_self(), "stage");
      self->run(ring);
    });
  return stager;
}

Stager::~Stager() {
  stop();
}

void Stager::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& ring : rings_) ring->work.notify_all();
  }
  for (auto& ring : rings_)
    if (ring->thread.joinable()) ring->thread.join();
}

std::optional<std::uint64_t> Stager::room_for(const Ring& ring, std::uint64_t bytes) const {
  std::uint64_t begin = ring.head, left = ring_bytes_ - begin % ring_bytes_;
  if (bytes > left) begin += left;
  if (begin + bytes - ring.tail > ring_bytes_) return std::nullopt;
  return begin;
}

bool Stager::reserve(Submission& submission) {
  std::uint64_t total = 0;
  for (const T::Operation& each : submission.transaction.operations())
    if (const auto* on = std::get_if<T::OnObject>(&each))
      if (const auto* write = std::get_if<T::Write>(&on->operation))
        if (Middle middle(*write); middle.worth_it(staged_bytes_min_)) total += middle.end - middle.begin;
  if (total == 0) return false;

  std::lock_guard lock(mutex_);
  Ring* ring = nullptr;
  for (auto& each : rings_)
    if (room_for(*each, total) && (!ring || each->queued_bytes < ring->queued_bytes)) ring = each.get();
  if (stopping_ || !ring) return false;
  std::uint64_t head = *room_for(*ring, total), at = head;
  Transaction split;
  split.space = submission.transaction.space;
  split.reservation = submission.transaction.reservation;
  for (const T::Operation& each : submission.transaction.operations()) {
    const auto* on = std::get_if<T::OnObject>(&each);
    const auto* write = on ? std::get_if<T::Write>(&on->operation) : nullptr;
    Middle middle(write ? *write : T::Write{});
    if (!write || !middle.worth_it(staged_bytes_min_)) {
      on ? split.add(on->object, on->operation) : split.add(std::get<T::CollectionOperation>(each));
      continue;
    }
    std::uint64_t end = write->offset + write->data.size();
    if (middle.begin > write->offset)
      split.write(on->object, write->offset, write->data.slice(0, middle.begin - write->offset));
    auto extent = std::make_shared<StagedExtent>();
    extent->generation = generation_;
    extent->ring = ring->number;
    extent->offset = at % ring_bytes_;
    extent->length = middle.end - middle.begin;
    at += extent->length;
    T::Write staged{middle.begin, write->data.slice(middle.begin - write->offset, extent->length), extent};
    submission.staged.push_back({extent, staged.data});
    split.add(on->object, std::move(staged));
    if (end > middle.end)
      split.write(on->object, middle.end, write->data.slice(middle.end - write->offset, end - middle.end));
  }
  submission.transaction = std::move(split);
  submission.staged_bytes = total;
  submission.ring = ring->number;
  bytes_reserved_.fetch_add(head + total - ring->head, std::memory_order_relaxed);
  ring->head = head + total;
  submission.ring_use = std::make_shared<Submission::RingUse>();
  ring->uses.push_back({submission.ring_use, ring->head});
  return true;
}

void Stager::begin(SubmissionPointer submission) {
  std::lock_guard lock(mutex_);
  Ring& ring = *rings_[submission->ring];
  ring.queued_bytes += submission->staged_bytes;
  ring.queue.push_back(std::move(submission));
  ring.work.notify_one();
}

void Stager::trim(std::uint64_t sequence) {
  std::lock_guard lock(mutex_);
  for (auto& ring : rings_) {
    while (!ring->uses.empty()) {
      const Use& first = ring->uses.front();
      std::uint64_t its = first.by->sequence.load();
      if (!first.by->refused.load() && (its == 0 || its > sequence)) break;
      ring->tail = first.end;
      ring->uses.pop_front();
    }
  }
}

void Stager::release() {
  std::lock_guard lock(mutex_);
  for (auto& ring : rings_)
    if (ring->uses.empty()) (void)::ftruncate(ring->fd, 0);  // it is written anew wherever it is used again
}

Result<> Stager::write(Ring& ring, StagingWrites& writes, std::span<const SubmissionPointer> batch) {
  TRY(fault_at(FaultPoint::staging_write));
  std::vector<Buffer> written;  // until the device has it
  Result<> result;
  for (const SubmissionPointer& each : batch)
    for (auto& [extent, data] : each->staged) {
      if (extent->offset < ring.written_end && result) result = fault_at(FaultPoint::staging_reuse);
      ring.written_end = std::max(ring.written_end, extent->offset + extent->length);
      // O_DIRECT wants aligned memory; a payload in one aligned piece goes as it is.
      Buffer whole = data.buffers().size() == 1 ? data.buffers()[0] : Buffer{};
      if (whole.empty() || reinterpret_cast<std::uintptr_t>(whole.data()) % 512 != 0) {
        whole = Buffer::allocate(data.size(), block_bytes);
        std::byte* to = whole.mutable_data();
        for (const Buffer& piece : data.buffers()) {
          std::memcpy(to, piece.data(), piece.size());
          to += piece.size();
        }
      }
      if (result) result = writes.begin(ring.fd, extent->offset, whole.view());
      written.push_back(std::move(whole));
    }
  if (checksums_ && result) {  // while the device is busy
    auto whole = written.begin();
    for (const SubmissionPointer& each : batch)
      for (auto& [extent, data] : each->staged) {
        const Buffer& buffer = *whole++;
        ByteView bytes = buffer.view();
        extent->checksums.reserve(bytes.size() / block_bytes);
        // Those that the bytes bring are of the time when they were verified, so nothing slips in between.
        for (std::uint32_t crc : buffer.checksums()) extent->checksums.push_back(nonzero(crc));
        if (!extent->checksums.empty()) continue;
        for (std::uint64_t block = 0; block < bytes.size(); block += block_bytes)
          extent->checksums.push_back(block_checksum(bytes.subspan(block, block_bytes)));
      }
  }
  Result<> ended = writes.wait();  // in any case: the memory is the device's until then
  return result ? ended : result;
}

void Stager::run(Ring& ring) {
  StagingWrites writes;
  std::vector<SubmissionPointer> batch;
  for (;;) {
    std::uint64_t bytes = 0;
    {
      std::unique_lock lock(mutex_);
      ring.work.wait(lock, [&] { return stopping_ || !ring.queue.empty(); });
      if (ring.queue.empty()) return;
      while (!ring.queue.empty() && bytes < limits::staging_batch_bytes_max) {
        bytes += ring.queue.front()->staged_bytes;
        batch.push_back(std::move(ring.queue.front()));
        ring.queue.pop_front();
      }
    }
    Result<> result = write(ring, writes, batch);
    if (result) result = fault_at(FaultPoint::staging_sync);
    if (result && ::fdatasync(ring.fd) < 0) result = last_errno();
    bytes_staged_.fetch_add(bytes, std::memory_order_relaxed);
    {
      std::lock_guard lock(mutex_);
      ring.queued_bytes -= bytes;
    }
    on_staged_(batch, result);
    batch.clear();
  }
}

}  // namespace spirula::filestore
