#include "base/buffer.h"

#include <sys/mman.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "base/check.h"

namespace spirula {

namespace {

/// Large page-aligned blocks that are used again: fresh ones cost a page fault for every 4 KiB of every write that
/// passes through. They are mapped apart from everything else, so that one given back is memory given back.
/// Thread-safe; what is kept and what is in use are together at most `bytes_max`, if what is in use alone is not more.
class BlockPool {
 public:
  static constexpr std::size_t alignment = 4096;
  static constexpr std::size_t step = 64 << 10, block_bytes_max = 8 << 20, bytes_max = 36 << 20;
  static bool serves(std::size_t size) { return size >= step / 2 && size <= block_bytes_max; }

  std::byte* take(std::size_t size) {
    std::size_t kind = kind_of(size);
    {
      std::lock_guard lock(mutex_);
      used_bytes_ += kind * step;
      if (auto& blocks = blocks_[kind]; !blocks.empty()) {
        std::byte* block = blocks.back();
        blocks.pop_back();
        kept_bytes_ -= kind * step;
        return block;
      }
      shrink();
    }
    void* block = ::mmap(nullptr, kind * step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED, "memory for payloads");
    return static_cast<std::byte*>(block);
  }
  void give(std::byte* block, std::size_t size) {
    std::size_t kind = kind_of(size);
    std::lock_guard lock(mutex_);
    used_bytes_ -= kind * step;
    blocks_[kind].push_back(block);
    kept_bytes_ += kind * step;
    shrink();
  }

 private:
  static std::size_t kind_of(std::size_t size) { return (size + step - 1) / step; }
  /// The largest go first: they are the fewest calls.
  void shrink() {
    for (std::size_t kind = blocks_.size() - 1; kind > 0 && kept_bytes_ > 0 && used_bytes_ + kept_bytes_ > bytes_max;) {
      if (blocks_[kind].empty()) {
        --kind;
        continue;
      }
      ::munmap(blocks_[kind].back(), kind * step);
      blocks_[kind].pop_back();
      kept_bytes_ -= kind * step;
    }
  }
  std::mutex mutex_;
  std::array<std::vector<std::byte*>, block_bytes_max / step + 1> blocks_;
  std::size_t kept_bytes_ = 0, used_bytes_ = 0;
};

BlockPool& block_pool() {
  static auto* pool = new BlockPool;  // never destroyed: the last Buffer may go after main
  return *pool;
}

}  // namespace

Buffer Buffer::allocate(std::size_t size, std::size_t alignment) {
  Buffer buffer;
  if (size == 0) return buffer;
  if (alignment <= alignof(std::max_align_t)) {
    buffer.owner_ = std::make_shared_for_overwrite<std::byte[]>(size);
  } else if (alignment == BlockPool::alignment && BlockPool::serves(size)) {
    buffer.owner_ =
        std::shared_ptr<std::byte[]>(block_pool().take(size), [size](std::byte* p) { block_pool().give(p, size); });
  } else {
    auto* memory = static_cast<std::byte*>(::operator new[](size, std::align_val_t{alignment}));
    buffer.owner_ = std::shared_ptr<std::byte[]>(
        memory, [alignment](std::byte* p) { ::operator delete[](p, std::align_val_t{alignment}); });
  }
  buffer.data_ = buffer.owner_.get();
  buffer.size_ = size;
  return buffer;
}

Buffer Buffer::allocate_with_checksums(std::size_t size) {
  constexpr std::size_t word = sizeof(std::uint32_t);
  std::size_t checksums_at = (size + word - 1) / word * word;
  Buffer buffer = allocate(checksums_at + size / block_bytes * word, BlockPool::alignment);
  buffer.size_ = size;
  buffer.checksums_ = reinterpret_cast<const std::uint32_t*>(buffer.data_ + checksums_at);
  return buffer;
}

Buffer Buffer::zeros(std::size_t size) {
  Buffer buffer = allocate(size);
  if (size) std::memset(buffer.mutable_data(), 0, size);
  return buffer;
}

Buffer Buffer::copy_of(ByteView bytes) {
  Buffer buffer = allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(buffer.mutable_data(), bytes.data(), bytes.size());
  return buffer;
}

Buffer Buffer::borrow(ByteView bytes) {
  Buffer buffer;
  buffer.data_ = bytes.data();
  buffer.size_ = bytes.size();
  return buffer;
}

Buffer Buffer::slice(std::size_t offset, std::size_t length) const {
  CHECK(offset <= size_ && length <= size_ - offset);
  Buffer part = *this;
  part.data_ += offset;
  part.size_ = length;
  if (checksums_) part.checksums_ = offset % block_bytes ? nullptr : checksums_ + offset / block_bytes;
  return part;
}

std::byte* Buffer::mutable_data() {
  CHECK(size_ == 0 || owner_.use_count() == 1, "only a Buffer's sole owner writes into it");
  return const_cast<std::byte*>(data_);
}

std::span<std::uint32_t> Buffer::mutable_checksums() {
  CHECK(owner_.use_count() <= 1, "only a Buffer's sole owner writes into it");
  return {const_cast<std::uint32_t*>(checksums_), checksums().size()};
}

void BufferList::append(Buffer buffer) {
  if (buffer.empty()) return;
  size_ += buffer.size();
  buffers_.push_back(std::move(buffer));
}

void BufferList::append(const BufferList& other) {
  for (const Buffer& buffer : other.buffers_) append(buffer);
}

BufferList BufferList::slice(std::size_t offset, std::size_t length) const {
  CHECK(offset <= size_ && length <= size_ - offset);
  BufferList part;
  for (const Buffer& buffer : buffers_) {
    if (length == 0) break;
    if (offset >= buffer.size()) {
      offset -= buffer.size();
      continue;
    }
    std::size_t here = std::min(length, buffer.size() - offset);
    part.append(buffer.slice(offset, here));
    offset = 0;
    length -= here;
  }
  return part;
}

Buffer BufferList::flatten() const {
  if (buffers_.empty()) return {};
  if (buffers_.size() == 1) return buffers_[0];
  Buffer whole = Buffer::allocate(size_);
  std::byte* at = whole.mutable_data();
  for (const Buffer& buffer : buffers_) {
    std::memcpy(at, buffer.data(), buffer.size());
    at += buffer.size();
  }
  return whole;
}

void BufferList::clear() {
  buffers_.clear();
  size_ = 0;
}

std::string to_hex(ByteView bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte b : bytes) {
    text += digits[std::to_integer<unsigned>(b) >> 4];
    text += digits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

}  // namespace spirula
