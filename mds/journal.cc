#include "mds/journal.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/crc32c.h"

namespace spirula::mds {

namespace {
constexpr std::uint32_t frame_magic = 0x6672616d;  // "fram"
constexpr std::size_t frame_head = 12;             // magic, length, crc32c of the payload
}  // namespace

std::string Journal::object(std::uint64_t number) {
  return fmt::format("200.{:08x}", number);
}

std::uint64_t Journal::bytes() const {
  std::uint64_t sum = 0;
  for (const Segment& segment : segments_) sum += segment.bytes;
  return sum;
}

Task<Result<>> Journal::format() {
  // An earlier journal's segments would read as ours: take them away before the header says there are none.
  Result<Buffer> old = co_await store_.read(object(0));
  if (old) {
    Result<JournalHeader> header = decode<JournalHeader>(*old);
    const std::uint64_t first = header ? header->first_segment : 1;
    std::uint64_t end = first;
    for (;; ++end) {
      CO_TRY(bool there, co_await exists(end));
      if (!there) break;
    }
    // From the end, so that a crash half-way leaves what the next attempt finds.
    while (end > first) CO_TRY(co_await store_.remove(object(--end)));
    CO_TRY(co_await remove_before(first));
  } else if (old.error() != Errc::not_found) {
    co_return old.error();
  }
  CO_TRY(co_await store_.write_full(object(0), encode(JournalHeader{})));
  segments_.clear();
  next_segment_ = 1;
  next_ = BatchId{1};
  open_new_segment_ = true;
  co_return Result<>{};
}

Task<Result<bool>> Journal::exists(std::uint64_t number) {
  Result<Buffer> there = co_await store_.read(object(number));
  if (!there && there.error() != Errc::not_found) co_return there.error();
  co_return bool(there);
}

/// What trim() gave up and then had no time to remove: a later journal would run into it.
Task<Result<>> Journal::remove_before(std::uint64_t first) {
  while (--first > 0) {
    CO_TRY(bool there, co_await exists(first));
    if (!there) break;
    CO_TRY(co_await store_.remove(object(first)));
  }
  co_return Result<>{};
}

Result<> Journal::read_segment(const Buffer& bytes, Segment& segment, const std::function<void(Batch)>& apply) {
  std::size_t at = 0;
  auto damaged = [&](std::string_view what) -> Result<> {
    problem_ = fmt::format("journal object {} is damaged at byte {}: {}", object(segment.number), at, what);
    return Errc::malformed;
  };
  while (at < bytes.size()) {
    Decoder head(bytes.slice(at));
    std::uint32_t magic = head.read<std::uint32_t>(), length = head.read<std::uint32_t>();
    std::uint32_t crc = head.read<std::uint32_t>();
    if (head.failed() || magic != frame_magic || length > head.remaining()) return damaged("no frame");
    Buffer payload = head.raw(length);
    if (crc32c(~0u, payload.view()) != crc) return damaged("checksum");
    Result<Batch> batch = decode<Batch>(payload);
    if (!batch) return damaged("a batch that does not decode");
    bool first = segments_.empty() && at == 0;
    if (!first && batch->id != next_) return damaged(fmt::format("batch {} follows {}", batch->id.value, next_.value));
    if (at == 0) segment.first = batch->id;
    next_ = batch->id.next();
    apply(std::move(*batch));
    at += frame_head + length;
  }
  segment.bytes = at;
  return {};
}

Task<Result<>> Journal::replay(std::function<void(Batch)> apply) {
  CO_TRY(Buffer stored, co_await store_.read(object(0)));
  Result<JournalHeader> header = decode<JournalHeader>(stored);
  if (!header || header->magic != JournalHeader::magic_value) {
    problem_ = "the journal's header is damaged";
    co_return Errc::malformed;
  }
  segments_.clear();
  next_ = BatchId{1};
  for (next_segment_ = header->first_segment;; ++next_segment_) {
    Result<Buffer> bytes = co_await store_.read(object(next_segment_));
    if (!bytes && bytes.error() == Errc::not_found) {
      Result<Buffer> beyond = co_await store_.read(object(next_segment_ + 1));
      if (!beyond && beyond.error() == Errc::not_found) break;
      if (!beyond) co_return beyond.error();
      problem_ = fmt::format("journal object {} is missing", object(next_segment_));
      co_return Errc::malformed;
    }
    if (!bytes) co_return bytes.error();
    Segment segment{next_segment_, next_, 0};
    CO_TRY(read_segment(*bytes, segment, apply));
    segments_.push_back(segment);
  }
  open_new_segment_ = true;
  co_return co_await remove_before(header->first_segment);
}

Task<Result<>> Journal::append(Batch batch) {
  CHECK(batch.id == next_);
  Buffer payload = encode(batch);
  Encoder frame;
  frame(frame_magic);
  frame(static_cast<std::uint32_t>(payload.size()));
  frame(crc32c(~0u, payload.view()));
  frame.raw(payload);
  Buffer bytes = frame.take();
  if (open_new_segment_ || segments_.back().bytes >= segment_bytes) {
    Segment segment{next_segment_, batch.id, bytes.size()};
    CO_TRY(co_await store_.write_full(object(segment.number), bytes));
    segments_.push_back(segment);
    ++next_segment_;
    open_new_segment_ = false;
  } else {
    Segment& segment = segments_.back();
    CO_TRY(co_await store_.write(object(segment.number), segment.bytes, bytes));
    segment.bytes += bytes.size();
  }
  next_ = next_.next();
  co_return Result<>{};
}

Task<Result<>> Journal::trim(BatchId oldest_needed) {
  std::vector<std::uint64_t> gone;
  // A segment may go when the one after it begins no later than the first batch needed; the newest always stays.
  while (segments_.size() > gone.size() + 1 && segments_[gone.size() + 1].first <= oldest_needed)
    gone.push_back(segments_[gone.size()].number);
  if (gone.empty()) co_return Result<>{};
  JournalHeader header;
  header.first_segment = gone.back() + 1;
  CO_TRY(co_await store_.write_full(object(0), encode(header)));
  while (segments_.front().number < header.first_segment) segments_.pop_front();
  // Upwards, so that what a crash leaves ends just before the first one kept: remove_before() finds it.
  for (std::uint64_t number : gone) CO_TRY(co_await store_.remove(object(number)));
  co_return Result<>{};
}

}  // namespace spirula::mds
