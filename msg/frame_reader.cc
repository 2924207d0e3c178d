#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"
#include "msg/frame.h"
#include "msg/frame_layout.h"
#include "msg/limits.h"

namespace spirula::msg {
using namespace frame_layout;

FrameReader::FrameReader() : memory_buffer_(Buffer::allocate(limits::read_ahead_bytes, frame_layout::page_size)) {
  static_assert(limits::read_ahead_bytes >= limits::control_bytes_max + 4096, "a whole head fits");
  memory_ = memory_buffer_.mutable_data();
}
FrameReader::~FrameReader() = default;

std::span<std::byte> FrameReader::space() {
  direct_ = false;
  if (state_ == State::tail && available() == 0 && current_ < segments_.size()) {
    Segment& segment = segments_[current_];
    std::size_t rest = segment.wire_size - segment.done;
    if (rest >= limits::direct_read_bytes_min) {
      direct_ = true;
      return {segment.buffer.mutable_data() + segment.done, std::min(rest, limits::direct_read_bytes_max)};
    }
  }
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (memory_buffer_.size() - end_ < memory_buffer_.size() / 4) {
    std::memmove(memory_, memory_ + begin_, available());
    end_ -= begin_;
    begin_ = 0;
  }
  CHECK(end_ < memory_buffer_.size(), "next() leaves room: no part of a frame but its head waits whole");
  return {memory_ + end_, memory_buffer_.size() - end_};
}

std::size_t FrameReader::expected() const {
  return direct_ ? segments_[current_].wire_size - segments_[current_].done : 1;
}

void FrameReader::filled(std::size_t count) {
  if (!direct_) {
    end_ += count;
    CHECK(end_ <= memory_buffer_.size());
    return;
  }
  Segment& segment = segments_[current_];
  CHECK(count <= segment.wire_size - segment.done);
  absorb(segment, nullptr, count);
}

void FrameReader::record(std::size_t count) {
  if (recording_) transcript_.append(reinterpret_cast<const char*>(at()), count);
}

void FrameReader::stop_transcript() {
  recording_ = false;
  transcript_.clear();
  transcript_.shrink_to_fit();
}

std::optional<Buffer> FrameReader::raw(std::size_t count) {
  if (available() < count) return std::nullopt;
  Buffer bytes = Buffer::copy_of(ByteView(at(), count));
  record(count);
  begin_ += count;
  return bytes;
}

void FrameReader::decrypt_with(const FrameSecret& secret) {
  cipher_.emplace(secret, false);
}

Result<FrameReader::Step> FrameReader::next() {
  while (true) {
    switch (state_) {
      case State::head: {
        TRY(bool whole, read_head());
        if (!whole) return Step::bytes;
        if (segment_count_ == 1) return Step::frame;
        state_ = State::permit;
        break;
      }
      case State::permit:
        if (!permitted_) return Step::permit;
        begin_tail();
        state_ = State::tail;
        break;
      case State::tail: {
        TRY(bool whole, read_tail());
        if (!whole) return Step::bytes;
        state_ = State::epilogue;
        break;
      }
      case State::epilogue: {
        if (available() < (cipher_ ? secure_epilogue_size + tag_size : crc_epilogue_size)) return Step::bytes;
        TRY(bool complete, read_epilogue());
        state_ = State::head;
        if (complete) return Step::frame;
        break;  // the sender gave the message up half-way; there is none
      }
    }
  }
}

/// Preamble and control. They stay in the read-ahead, where frame_.control points.
Result<bool> FrameReader::read_head() {
  begin_ += consumed_later_;
  consumed_later_ = 0;
  if (!preamble_known_) {
    std::size_t needed = cipher_ ? secure_head_size + tag_size : preamble_size;
    if (available() < needed) return false;
    std::byte* start = memory_ + begin_;
    if (cipher_) {
      cipher_->start();
      cipher_->update(start, start, secure_head_size);
      if (!cipher_->finish_decrypting(start + secure_head_size)) return Errc::malformed;
    }
    TRY(parse_preamble(start));
    preamble_known_ = true;
  }
  std::byte* start = memory_ + begin_;
  std::size_t control_size = lengths_[0];
  std::size_t head_size = 0;
  if (!cipher_) {
    head_size = preamble_size + control_size + (control_size ? crc_size : 0);
    if (available() < head_size) return false;
    if (control_size) {
      std::uint32_t expected = load_u32(start + preamble_size + control_size);
      if (crc32c(~0u, ByteView(start + preamble_size, control_size)) != expected) return Errc::malformed;
    }
  } else {
    head_size = secure_head_size + tag_size;
    if (control_size > inline_size) {
      std::size_t rest = padded(control_size - inline_size);
      head_size += rest + tag_size;
      if (available() < head_size) return false;
      // Moved down over the tag, so that the control is one run.
      std::byte* to = start + secure_head_size;
      std::memmove(to, to + tag_size, rest);
      cipher_->start();
      cipher_->update(to, to, rest);
      if (!cipher_->finish_decrypting(to + tag_size + rest)) return Errc::malformed;
    }
  }
  record(head_size);
  frame_.control = ByteView(start + preamble_size, control_size);
  frame_.segments = {};
  preamble_known_ = false;
  permitted_ = false;
  consumed_later_ = head_size;
  return true;
}

Result<> FrameReader::parse_preamble(const std::byte* at) {
  if (crc32c(0, ByteView(at, preamble_size - crc_size)) != load_u32(at + preamble_size - crc_size))
    return Errc::malformed;
  frame_.tag = static_cast<Tag>(at[0]);
  segment_count_ = static_cast<unsigned>(at[1]);
  if (segment_count_ < 1 || segment_count_ > lengths_.size()) return Errc::malformed;
  lengths_ = {};
  std::size_t total = 0;
  for (unsigned i = 0; i < segment_count_; ++i) {
    lengths_[i] = load_u32(at + 2 + 6 * i);
    if (i > 0) total += lengths_[i];
  }
  if (segment_count_ > 1 && lengths_[segment_count_ - 1] == 0) return Errc::malformed;
  if (lengths_[0] > limits::control_bytes_max) return Errc::too_large;
  if (segment_count_ > 1 && frame_.tag != Tag::message) return Errc::malformed;
  if (total > message_bytes_max_) return Errc::too_large;
  announced_ = total;
  return {};
}

void FrameReader::begin_tail() {
  // The control stays readable: the tail's bytes come behind it and nothing is moved before the frame is out.
  // (A caller that needs it beyond its next touch of the reader copies it: MessageHeader::get().)
  begin_ += consumed_later_;
  consumed_later_ = 0;
  header_.assign(frame_.control.begin(), frame_.control.end());
  frame_.control = header_;
  for (unsigned i = 0; i < segments_.size(); ++i) {
    Segment& segment = segments_[i];
    segment = {};
    segment.size = lengths_[i + 1];
    segment.wire_size = cipher_ ? padded(segment.size) : segment.size;
    segment.crc = i + 1 < segment_count_ ? ~0u : 0;
    bool aligned = i == 2 && segment.size >= page_size;
    if (aligned && !cipher_ && segment.size >= limits::checksums_kept_from) {
      segment.buffer = Buffer::allocate_with_checksums(segment.size);
    } else if (segment.wire_size) {
      segment.buffer = Buffer::allocate(segment.wire_size, aligned ? page_size : 16);
    }
  }
  current_ = 0;
  if (cipher_) cipher_->start();
}

namespace {

/// The crc of `buffer` up to `at` becomes that of up to `at + bytes.size()`. The checksum of a block that is not whole
/// yet grows in its place.
std::uint32_t add_to_crc(std::uint32_t crc, Buffer& buffer, std::size_t at, ByteView bytes) {
  constexpr std::size_t block_bytes = Buffer::block_bytes;
  std::span<std::uint32_t> sums = buffer.mutable_checksums();
  while (!bytes.empty() && at / block_bytes < sums.size()) {
    std::uint32_t& sum = sums[at / block_bytes];
    if (at % block_bytes == 0) sum = ~0u;
    ByteView here = bytes.first(std::min(bytes.size(), block_bytes - at % block_bytes));
    sum = crc32c(sum, here);
    at += here.size();
    if (at % block_bytes == 0) crc = crc32c_join(crc, sum);
    bytes = bytes.subspan(here.size());
  }
  return crc32c(crc, bytes);
}

}  // namespace

void FrameReader::absorb(Segment& segment, const std::byte* from, std::size_t count) {
  std::byte* to = segment.buffer.mutable_data() + segment.done;
  if (cipher_) {
    cipher_->update(from ? from : to, to, count);
  } else {
    if (from) std::memcpy(to, from, count);
    segment.crc = add_to_crc(segment.crc, segment.buffer, segment.done, ByteView(to, count));
  }
  segment.done += count;
}

Result<bool> FrameReader::read_tail() {
  while (current_ < segments_.size()) {
    Segment& segment = segments_[current_];
    std::size_t count = std::min(available(), segment.wire_size - segment.done);
    if (count) {
      absorb(segment, at(), count);
      begin_ += count;
    }
    if (segment.done < segment.wire_size) return false;
    ++current_;
  }
  return true;
}

/// False if the sender aborted the frame.
Result<bool> FrameReader::read_epilogue() {
  std::byte* start = memory_ + begin_;
  if (cipher_) {
    cipher_->update(start, start, secure_epilogue_size);
    begin_ += secure_epilogue_size + tag_size;
    if (!cipher_->finish_decrypting(start + secure_epilogue_size)) return Errc::malformed;
  } else {
    begin_ += crc_epilogue_size;
  }
  std::byte status = start[0] & status_mask;
  if (status == status_aborted) return false;
  if (status != status_complete) return Errc::malformed;
  for (unsigned i = 0; i < segments_.size(); ++i) {
    Segment& segment = segments_[i];
    if (!cipher_ && load_u32(start + 1 + 4 * i) != segment.crc) return Errc::malformed;
    frame_.segments[i] =
        segment.wire_size == segment.size ? std::move(segment.buffer) : segment.buffer.slice(0, segment.size);
    segment.buffer = {};
  }
  return true;
}

}  // namespace spirula::msg
