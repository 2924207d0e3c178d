#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spirula {

using ByteView = std::span<const std::byte>;
inline ByteView as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A slice of shared memory. Copying a Buffer shares the bytes; nobody changes bytes that more than one Buffer sees.
class Buffer {
 public:
  Buffer() = default;
  /// Fresh uninitialised memory of `size` bytes, aligned for O_DIRECT when `alignment` is 4096.
  static Buffer allocate(std::size_t size, std::size_t alignment = 16);
  /// The same, aligned for O_DIRECT, with room for the checksums() of its blocks: who fills the bytes fills those too.
  static Buffer allocate_with_checksums(std::size_t size);
  static Buffer zeros(std::size_t size);
  static Buffer copy_of(ByteView bytes);
  static Buffer copy_of(std::string_view text) { return copy_of(as_bytes(text)); }
  /// Borrows memory that outlives every copy (a string literal, say).
  static Buffer borrow(ByteView bytes);

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  ByteView view() const { return {data_, size_}; }
  operator ByteView() const { return view(); }
  std::string_view text() const { return as_text(view()); }
  std::string to_string() const { return std::string(text()); }

  /// Bytes [offset, offset + length); CHECKs that they exist.
  Buffer slice(std::size_t offset, std::size_t length) const;
  Buffer slice(std::size_t offset) const { return slice(offset, size_ - offset); }
  /// For filling a Buffer that allocate() just made; CHECKs that nobody else shares it.
  std::byte* mutable_data();

  /// A checksum travels with the bytes from where they were verified to where one is wanted next, over the whole way
  /// and without another pass: crc32c(~0, block) of each whole block, counted from the first byte. Empty: not known.
  static constexpr std::size_t block_bytes = 4096;
  std::span<const std::uint32_t> checksums() const { return {checksums_, checksums_ ? size_ / block_bytes : 0}; }
  std::span<std::uint32_t> mutable_checksums();

  friend bool operator==(const Buffer& a, const Buffer& b) { return a.text() == b.text(); }

 private:
  std::shared_ptr<std::byte[]> owner_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  const std::uint32_t* checksums_ = nullptr;  ///< the owner's, behind the bytes
};

/// A sequence of Buffers read as one run of bytes; appending copies nothing.
class BufferList {
 public:
  BufferList() = default;
  BufferList(Buffer buffer) { append(std::move(buffer)); }

  void append(Buffer buffer);
  void append(const BufferList& other);
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const std::vector<Buffer>& buffers() const { return buffers_; }
  BufferList slice(std::size_t offset, std::size_t length) const;
  /// One contiguous Buffer; copies only if there is more than one piece.
  Buffer flatten() const;
  void clear();

  friend bool operator==(const BufferList& a, const BufferList& b) { return a.flatten() == b.flatten(); }

 private:
  std::vector<Buffer> buffers_;
  std::size_t size_ = 0;
};

/// Lower-case hexadecimal, for messages and tests.
std::string to_hex(ByteView bytes);

}  // namespace spirula
