#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/strong.h"

/// The declarative codec. A struct lists its fields once:
///
///   struct CloneRecord {
///     static constexpr std::uint8_t version = 2, compat = 1;   // leave both out for a plain, unversioned struct
///     ...
///     static void fields(auto& self, auto& wire) {
///       wire(self.head);
///       wire(self.snaps, limits::snaps_per_clone_max);   // counts are checked before anything is allocated
///       wire.since(2, self.flags);                       // older writers leave it at its default
///     }
///   };
///
/// and encode(), decode() and every other walk follow. Integers are little-endian; a string, a Buffer and a container
/// start with a 32-bit count (Ceph: src/include/encoding.h); a versioned struct starts with version, compat and the
/// length of its body, and what a newer sender appended is skipped.
/// A struct whose layout depends on more than its version defines `void encode(Encoder&) const` and
/// `void decode(Decoder&)` instead of fields(). Inside fields(), `if constexpr (decodes<decltype(wire)>)`
/// tells the direction.
namespace spirula {

class Encoder;
class Decoder;

namespace codec {
/// No container on the wire may claim more elements than this; a field's own limit is usually far lower.
inline constexpr std::size_t elements_max = std::size_t{1} << 26;

template <class T>
concept SelfCoded = requires(const T& c, T& m, Encoder& e, Decoder& d) {
  c.encode(e);
  m.decode(d);
};
template <class T, class Wire>
concept HasFields = requires(T& t, Wire& w) { std::remove_const_t<T>::fields(t, w); };
template <class T>
concept Versioned = requires {
  { T::version } -> std::convertible_to<std::uint8_t>;
  { T::compat } -> std::convertible_to<std::uint8_t>;
};
template <class T>
concept Scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;

template <class T, template <class...> class U>
inline constexpr bool is_a = false;
template <template <class...> class U, class... A>
inline constexpr bool is_a<U<A...>, U> = true;
template <class T>
inline constexpr bool is_sequence = is_a<T, std::vector> || is_a<T, std::deque> || is_a<T, std::list>;
template <class T>
inline constexpr bool is_set = is_a<T, std::set>;
template <class T>
inline constexpr bool is_map = is_a<T, std::map> || is_a<T, std::multimap> || is_a<T, std::unordered_map>;
template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;
}  // namespace codec

/// Whether a walk over fields reads them.
template <class Wire>
inline constexpr bool decodes = std::remove_cvref_t<Wire>::decoding;

/// Appends values to a growing run of bytes.
class Encoder {
 public:
  static constexpr bool decoding = false;
  /// `features`: the peer's feature bits, for the few Ceph structs whose encoding depends on them.
  explicit Encoder(std::uint64_t features = ~std::uint64_t{0}) : features_(features) {}

  std::uint64_t features() const { return features_; }
  std::size_t size() const { return size_; }
  Buffer take();

  template <class T>
  void operator()(const T& value) {
    put(value);
  }
  template <class T>
  void operator()(const T& value, std::size_t /*count_max*/) {
    put(value);
  }
  template <class T>
  void since(unsigned /*version*/, const T& value) {
    put(value);
  }
  template <class T>
  void since(unsigned /*version*/, const T& value, std::size_t /*count_max*/) {
    put(value);
  }

  /// Bytes as they are, without a count.
  void raw(ByteView bytes);
  void zeros(std::size_t count);
  /// A versioned envelope around whatever `body()` puts.
  template <class F>
  void envelope(std::uint8_t version, std::uint8_t compat, F&& body) {
    put(version);
    put(compat);
    std::size_t at = reserve_u32();
    body();
    patch_u32(at, static_cast<std::uint32_t>(size_ - at - 4));
  }
  /// Leaves room for a 32-bit number to be filled in later; returns its position.
  std::size_t reserve_u32();
  void patch_u32(std::size_t at, std::uint32_t value);
  /// What has been put so far, for checksums over it.
  ByteView written(std::size_t from = 0) const { return buffer_.view().subspan(from, size_ - from); }

 private:
  std::byte* grow(std::size_t count);

  template <class T>
  void put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      *grow(1) = static_cast<std::byte>(value);
    } else if constexpr (codec::Scalar<T>) {
      static_assert(std::endian::native == std::endian::little);
      std::memcpy(grow(sizeof value), &value, sizeof value);
    } else if constexpr (StrongNumber<T>) {
      put(value.value);
    } else if constexpr (codec::SelfCoded<T>) {
      value.encode(*this);
    } else if constexpr (codec::Versioned<T> && codec::HasFields<const T, Encoder>) {
      envelope(T::version, T::compat, [&] { T::fields(value, *this); });
    } else if constexpr (codec::HasFields<const T, Encoder>) {
      T::fields(value, *this);
    } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
      put(static_cast<std::uint32_t>(value.size()));
      raw(as_bytes(value));
    } else if constexpr (std::is_same_v<T, Buffer>) {
      put(static_cast<std::uint32_t>(value.size()));
      raw(value.view());
    } else if constexpr (std::is_same_v<T, BufferList>) {
      put(static_cast<std::uint32_t>(value.size()));
      for (const Buffer& piece : value.buffers()) raw(piece.view());
    } else if constexpr (codec::is_a<T, std::optional>) {
      put(static_cast<std::uint8_t>(value.has_value()));
      if (value) put(*value);
    } else if constexpr (codec::is_a<T, std::pair>) {
      put(value.first);
      put(value.second);
    } else if constexpr (codec::is_array<T>) {
      for (const auto& element : value) put(element);
    } else if constexpr (codec::is_sequence<T> || codec::is_set<T>) {
      put(static_cast<std::uint32_t>(value.size()));
      for (const auto& element : value) put(static_cast<const typename T::value_type&>(element));
    } else if constexpr (codec::is_map<T>) {
      put(static_cast<std::uint32_t>(value.size()));
      for (const auto& [key, element] : value) {
        put(key);
        put(element);
      }
    } else {
      static_assert(sizeof(T) == 0, "no encoding for this type");
    }
  }

  std::uint64_t features_;
  Buffer buffer_;
  std::size_t size_ = 0;
};

/// Reads values from bytes that a stranger may have written. The first thing that does not fit makes the decoder
/// fail for good: everything read after that is zero or empty, and finish() says Errc::malformed.
class Decoder {
 public:
  static constexpr bool decoding = true;
  explicit Decoder(Buffer bytes, std::uint64_t features = ~std::uint64_t{0})
      : buffer_(std::move(bytes)), features_(features), end_(buffer_.size()) {}

  std::uint64_t features() const { return features_; }
  /// The version of the innermost versioned struct being decoded.
  unsigned version() const { return version_; }
  /// For bytes whose version stands elsewhere, as in a message header.
  void assume_version(unsigned version) { version_ = version; }
  std::size_t remaining() const { return end_ - at_; }
  bool failed() const { return failed_; }
  void fail() {
    failed_ = true;
    at_ = end_;
  }
  Result<> finish() const {
    if (failed_) return Errc::malformed;
    return {};
  }

  template <class T>
  void operator()(T& value) {
    get(value, codec::elements_max);
  }
  template <class T>
  void operator()(T& value, std::size_t count_max) {
    get(value, count_max);
  }
  template <class T>
  void since(unsigned version, T& value) {
    if (version_ >= version) get(value, codec::elements_max);
  }
  template <class T>
  void since(unsigned version, T& value, std::size_t count_max) {
    if (version_ >= version) get(value, count_max);
  }
  template <class T>
  T read() {
    T value{};
    get(value, codec::elements_max);
    return value;
  }

  /// The next `size` bytes, shared with the source; empty (and failed) if there are not so many.
  Buffer raw(std::size_t size);
  void skip(std::size_t size) { (void)raw(size); }
  /// Decodes a versioned envelope: `body()` reads fields while version() is the sender's; the rest is skipped.
  template <class F>
  void envelope(std::uint8_t understood, F&& body) {
    std::uint8_t version = read<std::uint8_t>(), compat = read<std::uint8_t>();
    std::uint32_t length = read<std::uint32_t>();
    if (failed_ || length > remaining() || compat > understood) return fail();
    std::size_t outer_end = end_, body_end = at_ + length;
    unsigned outer_version = std::exchange(version_, version);
    end_ = body_end;
    body();
    end_ = outer_end;
    version_ = outer_version;
    at_ = failed_ ? end_ : body_end;
  }

 private:
  bool take(void* to, std::size_t size) {
    if (size > remaining()) [[unlikely]] {
      fail();
      return false;
    }
    std::memcpy(to, buffer_.data() + at_, size);
    at_ += size;
    return true;
  }
  std::size_t count(std::size_t count_max) {
    std::size_t n = read<std::uint32_t>();
    if (n > count_max || n > remaining()) {  // every element takes at least one byte
      fail();
      return 0;
    }
    return n;
  }

  template <class T>
  void get(T& value, std::size_t count_max) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = 0;
      take(&byte, 1);
      value = byte != 0;
    } else if constexpr (codec::Scalar<T>) {
      if (!take(&value, sizeof value)) value = T{};
    } else if constexpr (StrongNumber<T>) {
      get(value.value, count_max);
    } else if constexpr (codec::SelfCoded<T>) {
      value.decode(*this);
    } else if constexpr (codec::Versioned<T> && codec::HasFields<T, Decoder>) {
      envelope(T::version, [&] { T::fields(value, *this); });
    } else if constexpr (codec::HasFields<T, Decoder>) {
      T::fields(value, *this);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = raw(count(count_max)).to_string();
    } else if constexpr (std::is_same_v<T, Buffer>) {
      value = raw(count(count_max));
    } else if constexpr (std::is_same_v<T, BufferList>) {
      value = BufferList(raw(count(count_max)));
    } else if constexpr (codec::is_a<T, std::optional>) {
      if (read<std::uint8_t>()) {
        value.emplace();
        get(*value, count_max);
      } else {
        value.reset();
      }
    } else if constexpr (codec::is_a<T, std::pair>) {
      get(value.first, codec::elements_max);
      get(value.second, codec::elements_max);
    } else if constexpr (codec::is_array<T>) {
      for (auto& element : value) get(element, codec::elements_max);
    } else if constexpr (codec::is_sequence<T>) {
      value.clear();
      for (std::size_t n = count(count_max); n-- > 0 && !failed_;) {
        typename T::value_type element{};
        get(element, codec::elements_max);
        value.push_back(std::move(element));
      }
    } else if constexpr (codec::is_set<T>) {
      value.clear();
      for (std::size_t n = count(count_max); n-- > 0 && !failed_;) {
        typename T::value_type element{};
        get(element, codec::elements_max);
        value.insert(value.end(), std::move(element));
      }
    } else if constexpr (codec::is_map<T>) {
      value.clear();
      for (std::size_t n = count(count_max); n-- > 0 && !failed_;) {
        typename T::key_type key{};
        typename T::mapped_type element{};
        get(key, codec::elements_max);
        get(element, codec::elements_max);
        value.emplace(std::move(key), std::move(element));
      }
    } else {
      static_assert(sizeof(T) == 0, "no decoding for this type");
    }
  }

  Buffer buffer_;
  std::uint64_t features_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  unsigned version_ = 0;
  bool failed_ = false;
};

template <class T>
Buffer encode(const T& value, std::uint64_t features = ~std::uint64_t{0}) {
  Encoder encoder(features);
  encoder(value);
  return encoder.take();
}

/// Errc::malformed if the bytes are not a T. Bytes after the T are ignored, as Ceph's decoders do.
template <class T>
Result<T> decode(Buffer bytes, std::uint64_t features = ~std::uint64_t{0}) {
  Decoder decoder(std::move(bytes), features);
  T value{};
  decoder(value);
  TRY(decoder.finish());
  return value;
}

}  // namespace spirula
