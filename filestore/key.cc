#include "filestore/key.h"

#include "base/check.h"
#include "filestore/limits.h"

namespace spirula::filestore {

std::uint32_t reverse_bits(std::uint32_t v) {
  v = ((v >> 1) & 0x55555555u) | ((v & 0x55555555u) << 1);
  v = ((v >> 2) & 0x33333333u) | ((v & 0x33333333u) << 2);
  v = ((v >> 4) & 0x0f0f0f0fu) | ((v & 0x0f0f0f0fu) << 4);
  return __builtin_bswap32(v);
}

bool collection_holds(const CollectionId& collection, unsigned bits, const ObjectId& object) {
  std::uint32_t mask = bits >= 32 ? ~0u : (1u << bits) - 1;
  return object.pool == collection.pool && (object.hash & mask) == (collection.seed & mask);
}

namespace key {
namespace {

constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

template <class T>
void put_number(std::string& to, T value) {
  for (int shift = (sizeof value - 1) * 8; shift >= 0; shift -= 8) to.push_back(static_cast<char>(value >> shift));
}
void put_pool(std::string& to, std::int64_t pool) {
  put_number(to, static_cast<std::uint64_t>(pool) ^ sign_bit);
}
void put_name(std::string& to, std::string_view name) {
  for (char c : name) {
    to.push_back(c);
    if (c == 0) to.push_back('\xff');
  }
  to.push_back('\0');
  to.push_back('\x01');
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T number() {
    if (bytes_.size() < sizeof(T)) return fail(), T{};
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value = static_cast<T>(value << 8 | static_cast<unsigned char>(bytes_[i]));
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  std::string name() {
    std::string text;
    for (;;) {
      if (bytes_.empty()) return fail(), text;
      char c = bytes_[0];
      if (c != 0) {
        text.push_back(c);
        bytes_.remove_prefix(1);
        continue;
      }
      if (bytes_.size() < 2) return fail(), text;
      char next = bytes_[1];
      bytes_.remove_prefix(2);
      if (next == '\x01') return text;
      if (next != '\xff') return fail(), text;
      text.push_back('\0');
    }
  }
  bool letter(char expected) {
    if (bytes_.empty() || bytes_[0] != expected) return fail(), false;
    bytes_.remove_prefix(1);
    return true;
  }
  bool complete() const { return !failed_ && bytes_.empty(); }

 private:
  void fail() { failed_ = true; }
  std::string_view bytes_;
  bool failed_ = false;
};

std::string with_collection(char letter, const CollectionId& collection) {
  std::string text(1, letter);
  put_pool(text, collection.pool);
  put_number(text, collection.seed);
  return text;
}
std::string with_id(char letter, std::uint64_t id) {
  std::string text(1, letter);
  put_number(text, id);
  return text;
}
Range prefixed(std::string prefix) {
  std::string last = after_prefix(prefix);
  return {std::move(prefix), std::move(last)};
}

}  // namespace

std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

std::string collection(const CollectionId& collection) {
  return with_collection('C', collection);
}
Result<CollectionId> parse_collection(std::string_view text) {
  Reader reader(text);
  CollectionId id;
  reader.letter('C');
  id.pool = static_cast<std::int64_t>(reader.number<std::uint64_t>() ^ sign_bit);
  id.seed = reader.number<std::uint32_t>();
  if (!reader.complete()) return Errc::malformed;
  return id;
}
Range collections() {
  return {"C", "D"};
}
std::string collection_entry(const CollectionId& collection, std::string_view name) {
  std::string text = with_collection('P', collection);
  text += name;
  return text;
}
Range collection_entries(const CollectionId& collection) {
  return prefixed(with_collection('P', collection));
}

std::string object(const ObjectId& object) {
  std::string text;
  text.reserve(13 + 6 + 8 + object.name_space.size() + object.key.size() + object.name.size());
  text.push_back('O');
  put_pool(text, object.pool);
  put_number(text, reverse_bits(object.hash));
  put_name(text, object.name_space);
  put_name(text, object.key);
  put_name(text, object.name);
  put_number(text, object.snap);
  return text;
}
Result<ObjectId> parse_object(std::string_view text) {
  Reader reader(text);
  ObjectId id;
  reader.letter('O');
  id.pool = static_cast<std::int64_t>(reader.number<std::uint64_t>() ^ sign_bit);
  id.hash = reverse_bits(reader.number<std::uint32_t>());
  id.name_space = reader.name();
  id.key = reader.name();
  id.name = reader.name();
  id.snap = reader.number<std::uint64_t>();
  if (!reader.complete()) return Errc::malformed;
  return id;
}
Range objects(const CollectionId& collection, unsigned bits) {
  CHECK(bits <= 32);
  std::uint32_t mask = bits >= 32 ? ~0u : (1u << bits) - 1;
  std::uint32_t low = reverse_bits(collection.seed & mask);
  std::uint64_t high = std::uint64_t{low} + (std::uint64_t{1} << (32 - bits));
  Range range;
  range.first.push_back('O');
  put_pool(range.first, collection.pool);
  range.last = range.first;
  put_number(range.first, low);
  if (high > 0xffffffffu) {
    range.last = after_prefix(range.last);
  } else {
    put_number(range.last, static_cast<std::uint32_t>(high));
  }
  return range;
}
Range all_objects() {
  return {"O", "P"};
}

std::string inline_data(std::uint64_t id) {
  return with_id('I', id);
}
std::string checksums(std::uint64_t id, std::uint32_t chunk) {
  std::string text = with_id('K', id);
  put_number(text, chunk);
  return text;
}
Range checksums(std::uint64_t id) {
  return prefixed(with_id('K', id));
}
Range checksums(std::uint64_t id, std::uint64_t first_block, std::uint64_t end_block) {
  constexpr std::uint64_t n = limits::blocks_per_chunk;
  return {checksums(id, static_cast<std::uint32_t>(first_block / n)),
          checksums(id, static_cast<std::uint32_t>((end_block + n - 1) / n))};
}
std::string checksum_shares(std::uint64_t id) {
  return with_id('S', id);
}
std::uint64_t parse_chunk(std::string_view key) {
  std::uint64_t number = 0;
  for (char c : key.substr(1 + sizeof(std::uint64_t))) number = number << 8 | static_cast<unsigned char>(c);
  return number;
}
std::string retired_slot(std::uint64_t id) {
  return with_id('F', id);
}
Range retired_slots() {
  return {"F", "G"};
}
std::uint64_t parse_id(std::string_view key) {
  std::uint64_t id = 0;
  for (char c : key.substr(1, sizeof id)) id = id << 8 | static_cast<unsigned char>(c);
  return id;
}
std::string omap_entry(std::uint64_t id, std::string_view name) {
  std::string text = with_id('M', id);
  text += name;
  return text;
}
Range omap_entries(std::uint64_t id) {
  return prefixed(with_id('M', id));
}
std::string omap_header(std::uint64_t id) {
  return with_id('H', id);
}

}  // namespace key
}  // namespace spirula::filestore
