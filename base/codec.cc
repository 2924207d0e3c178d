#include "base/codec.h"

#include <algorithm>

#include "base/check.h"

namespace spirula {

std::byte* Encoder::grow(std::size_t count) {
  if (size_ + count > buffer_.size()) {
    Buffer bigger = Buffer::allocate(std::max({size_ + count, buffer_.size() * 2, std::size_t{128}}));
    if (size_) std::memcpy(bigger.mutable_data(), buffer_.data(), size_);
    buffer_ = std::move(bigger);
  }
  std::byte* at = buffer_.mutable_data() + size_;
  size_ += count;
  return at;
}

Buffer Encoder::take() {
  Buffer whole = buffer_.slice(0, size_);
  buffer_ = {};
  size_ = 0;
  return whole;
}

void Encoder::raw(ByteView bytes) {
  if (!bytes.empty()) std::memcpy(grow(bytes.size()), bytes.data(), bytes.size());
}

void Encoder::zeros(std::size_t count) {
  if (count) std::memset(grow(count), 0, count);
}

std::size_t Encoder::reserve_u32() {
  std::size_t at = size_;
  grow(4);
  return at;
}

void Encoder::patch_u32(std::size_t at, std::uint32_t value) {
  CHECK(at + 4 <= size_);
  std::memcpy(buffer_.mutable_data() + at, &value, 4);
}

Buffer Decoder::raw(std::size_t size) {
  if (size > remaining()) {
    fail();
    return {};
  }
  Buffer piece = buffer_.slice(at_, size);
  at_ += size;
  return piece;
}

}  // namespace spirula
