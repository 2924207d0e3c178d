#include "filestore/journal.h"

#include <pthread.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "filestore/error.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

constexpr std::uint64_t ring_begin = 2 * journal_block_bytes;
constexpr std::uint32_t record_magic = 0x4c525053;              // "SPRL"
constexpr std::uint64_t superblock_magic = 0x4c4e524a52495053;  // "SPIRJRNL"
constexpr std::uint32_t superblock_version = 1;
constexpr std::size_t record_alignment = 16;

/// Before each record's body.
struct RecordHeader {
  std::uint32_t magic;
  std::uint32_t header_crc;  ///< of what follows it in the header, seeded with the store
  std::uint64_t incarnation;
  std::uint64_t lap;
  std::uint64_t sequence;
  std::uint32_t length;  ///< of the body
  std::uint32_t body_crc;
  std::uint64_t reserved;
};
static_assert(sizeof(RecordHeader) == 48 && sizeof(RecordHeader) % record_alignment == 0);

struct Superblock {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t crc;  ///< of the whole struct with this field zero
  StoreUuid store;
  std::uint64_t incarnation;
  std::uint64_t size;
};
static_assert(sizeof(Superblock) == 48);

std::uint64_t align(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}
template <class T>
ByteView bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}
std::uint32_t header_crc(std::uint32_t seed, const RecordHeader& header) {
  return crc32c(seed, bytes_of(header).subspan(offsetof(RecordHeader, incarnation)));
}
std::uint32_t superblock_crc(Superblock block) {
  block.crc = 0;
  return crc32c(~0u, bytes_of(block));
}
std::uint64_t record_bytes(const Record& record) {
  return align(sizeof(RecordHeader) + record.size(), record_alignment);
}

}  // namespace

Journal::Journal(std::unique_ptr<JournalDevice> device, const StoreUuid& store, std::uint64_t incarnation)
    : device_(std::move(device)), store_(store), seed_(crc32c(~0u, bytes_of(store))), incarnation_(incarnation) {}

Journal::~Journal() {
  stop();
}

std::uint64_t Journal::ring_bytes() const {
  return device_->size() - ring_begin;
}

Result<> Journal::write_superblock() {
  Buffer block = Buffer::allocate(journal_block_bytes, journal_block_bytes);
  std::memset(block.mutable_data(), 0, block.size());
  Superblock super{superblock_magic, superblock_version, 0, store_, incarnation_, device_->size()};
  super.crc = superblock_crc(super);
  std::memcpy(block.mutable_data(), &super, sizeof super);
  return device_->write((incarnation_ % 2) * journal_block_bytes, block.view());
}

Result<> Journal::format(JournalDevice& device, const StoreUuid& store) {
  if (device.size() < limits::journal_bytes_min) return Errc::no_space;
  // Both superblocks and the first block of the ring: an older journal's must not be found again.
  Buffer zeros = Buffer::allocate(ring_begin + journal_block_bytes, journal_block_bytes);
  std::memset(zeros.mutable_data(), 0, zeros.size());
  Superblock super{superblock_magic, superblock_version, 0, store, 0, device.size()};
  super.crc = superblock_crc(super);
  std::memcpy(zeros.mutable_data(), &super, sizeof super);
  return device.write(0, zeros.view());
}

Result<std::unique_ptr<Journal>> Journal::open(std::unique_ptr<JournalDevice> device, const StoreUuid& store) {
  Buffer blocks = Buffer::allocate(ring_begin, journal_block_bytes);
  if (device->size() < ring_begin) return Errc::not_found;
  TRY(device->read(0, {blocks.mutable_data(), blocks.size()}));
  std::error_code why = make_error_code(Errc::not_found);
  std::optional<Superblock> best;
  for (std::size_t i = 0; i < 2; ++i) {
    Superblock super;
    std::memcpy(&super, blocks.data() + i * journal_block_bytes, sizeof super);
    if (super.magic != superblock_magic) continue;
    if (super.version > superblock_version) return Errc::unsupported;
    if (super.crc != superblock_crc(super)) continue;
    if (super.store != store) {
      why = make_error_code(Errc::stale);
      continue;
    }
    if (super.size > device->size()) return Errc::invalid;  // the device shrank under us
    if (!best || super.incarnation > best->incarnation) best = super;
  }
  if (!best) return why;
  return std::unique_ptr<Journal>(new Journal(std::move(device), store, best->incarnation));
}

Result<JournalPosition> Journal::replay(const JournalPosition& from,
                                        const std::function<Result<>(JournalPosition, const Buffer&)>& visit) {
  constexpr std::size_t window_bytes = 4 << 20;
  Buffer window;
  std::uint64_t window_offset = 0;
  std::uint64_t end = device_->size() - device_->size() % journal_block_bytes;

  // Bytes [offset, offset + length) of the device, read ahead in large pieces.
  auto view = [&](std::uint64_t offset, std::uint64_t length) -> Result<Buffer> {
    if (offset < window_offset || offset + length > window_offset + window.size()) {
      window_offset = offset - offset % journal_block_bytes;
      std::uint64_t want =
          std::max<std::uint64_t>(window_bytes, align(offset + length, journal_block_bytes) - window_offset);
      window = Buffer::allocate(std::min(want, end - window_offset), journal_block_bytes);
      TRY(device_->read(window_offset, {window.mutable_data(), window.size()}));
    }
    return window.slice(offset - window_offset, length);
  };

  JournalPosition at = from;
  std::uint64_t incarnation = 0;
  // The record that follows `at`, if it stands at this place.
  auto record_at = [&](std::uint64_t offset, std::uint64_t lap) -> Result<std::optional<Buffer>> {
    if (offset + sizeof(RecordHeader) > end) return std::optional<Buffer>{};
    TRY(Buffer raw, view(offset, sizeof(RecordHeader)));
    RecordHeader header;
    std::memcpy(&header, raw.data(), sizeof header);
    if (header.magic != record_magic || header.header_crc != header_crc(seed_, header) || header.lap != lap ||
        header.sequence != at.sequence + 1 || header.incarnation < incarnation || header.incarnation > incarnation_ ||
        header.length > end - offset - sizeof header)
      return std::optional<Buffer>{};
    TRY(Buffer body, view(offset + sizeof header, header.length));
    if (crc32c(seed_, body.view()) != header.body_crc) return std::optional<Buffer>{};
    incarnation = header.incarnation;
    at = {header.sequence, lap, offset + align(sizeof header + header.length, record_alignment)};
    return std::optional<Buffer>(std::move(body));
  };

  if (at.offset < ring_begin) at.offset = ring_begin;
  for (;;) {
    std::uint64_t next_block = align(at.offset, journal_block_bytes);
    TRY(std::optional<Buffer> body, record_at(at.offset, at.lap));
    if (!body && next_block != at.offset) {
      TRY(body, record_at(next_block, at.lap));
    }
    if (!body) {
      TRY(body, record_at(ring_begin, at.lap + 1));
    }
    if (!body) return at;
    TRY(visit(at, *body));
  }
}

Result<> Journal::start(const JournalPosition& at, const JournalPosition& tail, OnDurable on_durable,
                        MayWrite may_write) {
  CHECK(!thread_.joinable());
  ++incarnation_;
  TRY(write_superblock());
  on_durable_ = std::move(on_durable);
  may_write_ = std::move(may_write);
  head_offset_ = align(std::max(at.offset, ring_begin), journal_block_bytes);
  head_lap_ = at.lap;
  tail_offset_ = std::max(tail.offset, ring_begin);
  tail_lap_ = tail.lap;
  memory_ = Buffer::allocate(limits::journal_batch_bytes_max, journal_block_bytes);
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "journal");
    run();
  });
  return {};
}

void Journal::stop() {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    // What waits for room will not get it any more; what can be written still is.
    auto done = [this] { return !in_flight_ && !delivering_ && (queue_.empty() || starved_ || !failure_); };
    while (!done()) {
      lock.unlock();
      kick();  // who has promised one may come too late
      lock.lock();
      drained_.wait_for(lock, std::chrono::milliseconds(10), done);
    }
  }
  device_->interrupt();
  thread_.join();
}

/// Bytes of the ring that may not be overwritten. Head and tail are at most one lap apart.
std::uint64_t Journal::used_locked() const {
  std::uint64_t laps = head_lap_ - tail_lap_;
  CHECK(laps <= 1 && (laps == 1 || head_offset_ >= tail_offset_ - tail_offset_ % journal_block_bytes));
  return laps * ring_bytes() + head_offset_ - tail_offset_;
}

double Journal::fill() const {
  std::lock_guard lock(mutex_);
  return static_cast<double>(static_cast<std::int64_t>(used_locked())) / static_cast<double>(ring_bytes());
}
bool Journal::starved() const {
  std::lock_guard lock(mutex_);
  return starved_;
}
std::uint64_t Journal::bytes_written() const {
  std::lock_guard lock(mutex_);
  return bytes_written_;
}

void Journal::append(std::shared_ptr<Entry> entry) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(entry));
}

bool Journal::wants_kick() {
  std::lock_guard lock(mutex_);
  if (in_flight_ || kick_due_) return false;
  kick_due_ = true;
  return true;
}

void Journal::kick() {
  {
    std::lock_guard lock(mutex_);
    kick_due_ = false;
    if (in_flight_) return;
    if (!failure_ && !queue_.empty() && !stopping_) device_->interrupt();  // the thread delivers the failure
    if (!take_batch_locked(flight_)) return;
    in_flight_ = true;
  }
  start_batch(flight_);
}

void Journal::fail(std::error_code why) {
  std::lock_guard lock(mutex_);
  if (!failure_) return;
  failure_ = why;
  if (!in_flight_) device_->interrupt();  // else the write's own end wakes the thread, which delivers the failure
}

void Journal::trim(const JournalPosition& tail) {
  {
    std::lock_guard lock(mutex_);
    tail_offset_ = std::max(tail.offset, ring_begin);
    tail_lap_ = tail.lap;
  }
  kick();
}

/// Takes from the queue what the next write shall carry and finds room for it. False if there is nothing or no room.
bool Journal::take_batch_locked(Batch& batch) {
  batch.entries.clear();
  if (queue_.empty() || !failure_) return false;
  std::uint64_t bytes = 0;
  std::size_t count = 0;
  for (const auto& entry : queue_) {
    std::uint64_t more = record_bytes(entry->record);
    if (count > 0 && bytes + more > limits::journal_batch_bytes_max) break;
    bytes += more;
    ++count;
  }
  std::uint64_t total = align(bytes, journal_block_bytes);
  starved_ = true;
  if (!may_write_(total)) return false;
  std::uint64_t end = device_->size() - device_->size() % journal_block_bytes;
  std::uint64_t offset = head_offset_, lap = head_lap_;
  if (offset + total > end) {  // it does not fit before the end: the rest of this lap stays unused
    offset = ring_begin;
    ++lap;
  }
  // The new end must stay behind the tail by at least a block, or full would look like empty.
  std::uint64_t tail_block = tail_offset_ - tail_offset_ % journal_block_bytes;
  if (lap > tail_lap_ + 1 || (lap == tail_lap_ + 1 && offset + total >= tail_block)) return false;
  starved_ = false;
  head_lap_ = lap;
  head_offset_ = offset + total;
  batch.entries.assign(std::make_move_iterator(queue_.begin()),
                       std::make_move_iterator(queue_.begin() + static_cast<std::ptrdiff_t>(count)));
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
  batch.bytes = total;
  batch.offset = offset;
  batch.lap = lap;
  bytes_written_ += total;
  return true;
}

/// Builds the write in memory_ and starts it; the caller has set in_flight_.
void Journal::start_batch(Batch& batch) {
  if (memory_.size() < batch.bytes ||
      (memory_.size() > limits::journal_batch_bytes_max && batch.bytes <= limits::journal_batch_bytes_max))
    memory_ =
        Buffer::allocate(std::max<std::size_t>(batch.bytes, limits::journal_batch_bytes_max), journal_block_bytes);
  std::byte* memory = memory_.mutable_data();
  std::size_t at = 0;
  for (const auto& entry : batch.entries) {
    const Record& record = entry->record;
    std::byte* header_at = memory + at;
    std::byte* body = header_at + sizeof(RecordHeader);
    std::byte* to = body;
    auto put = [&to](const void* from, std::size_t size) {
      if (size) std::memcpy(to, from, size);
      to += size;
    };
    auto description_size = static_cast<std::uint32_t>(record.description.size());
    put(&description_size, 4);
    put(record.description.data(), record.description.size());
    for (const Buffer& piece : record.payload.buffers()) put(piece.data(), piece.size());
    auto length = static_cast<std::uint32_t>(to - body);
    RecordHeader header{record_magic,
                        0,
                        incarnation_,
                        batch.lap,
                        entry->sequence.load(),
                        length,
                        crc32c(seed_, ByteView{body, length}),
                        0};
    header.header_crc = header_crc(seed_, header);
    std::memcpy(header_at, &header, sizeof header);
    std::size_t next = at + record_bytes(record);
    std::memset(to, 0, next - static_cast<std::size_t>(to - memory));
    at = next;
    entry->end = {entry->sequence.load(), batch.lap, batch.offset + at};
  }
  std::memset(memory + at, 0, batch.bytes - at);
  Result<> started = device_->start_write(batch.offset, ByteView{memory, batch.bytes});
  if (!started) {
    std::lock_guard lock(mutex_);
    failure_ = started;
    device_->interrupt();  // the thread delivers the failure
  }
}

void Journal::run() {
  EntryList done;
  for (;;) {
    Result<> result = device_->wait();
    bool interrupted = !result && is(result.error(), Errc::cancelled);
    bool next = false;
    {
      std::lock_guard lock(mutex_);
      if (interrupted && failure_ && stopping_) break;
      if (!interrupted && !result && failure_) failure_ = result;
      done = std::move(flight_.entries);
      flight_.entries.clear();
      in_flight_ = false;
      if (!failure_) {
        result = failure_;
        done.insert(done.end(), std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
        queue_.clear();
      } else {
        next = take_batch_locked(flight_);
        in_flight_ = next;
      }
      delivering_ = true;
    }
    if (next) start_batch(flight_);  // the device first: callbacks run beside the next write
    if (!done.empty()) on_durable_(done, result);
    done.clear();
    {
      std::lock_guard lock(mutex_);
      delivering_ = false;
      drained_.notify_all();
      if (interrupted && stopping_) break;
    }
  }
  std::lock_guard lock(mutex_);
  done.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
  queue_.clear();
  if (!done.empty()) on_durable_(done, Errc::cancelled);
}

}  // namespace spirula::filestore
