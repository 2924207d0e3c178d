#include "filestore/object_id.h"

#include <fmt/format.h>

#include "filestore/key.h"

namespace spirula::filestore {

namespace {

/// A name is any bytes of any length; a log line is not.
std::string shown(std::string_view name) {
  constexpr std::size_t shown_max = 64;
  std::string text;
  for (unsigned char c : name.substr(0, shown_max)) {
    if (c < 0x20 || c >= 0x7f || c == '%' || c == ':') {
      text += fmt::format("%{:02x}", c);
    } else {
      text.push_back(static_cast<char>(c));
    }
  }
  if (name.size() > shown_max) text += fmt::format("...({} bytes)", name.size());
  return text;
}

}  // namespace

std::string ObjectId::describe() const {
  return fmt::format("{}:{:08x}:{}:{}:{}:{:x}", pool, reverse_bits(hash), shown(name_space), shown(key), shown(name),
                     snap);
}

std::strong_ordering operator<=>(const ObjectId& a, const ObjectId& b) {
  if (auto c = a.pool <=> b.pool; c != 0) return c;
  if (auto c = reverse_bits(a.hash) <=> reverse_bits(b.hash); c != 0) return c;
  if (auto c = a.name_space <=> b.name_space; c != 0) return c;
  if (auto c = a.key <=> b.key; c != 0) return c;
  if (auto c = a.name <=> b.name; c != 0) return c;
  return a.snap <=> b.snap;
}

std::string CollectionId::describe() const {
  return fmt::format("{}.{:x}", pool, seed);
}

}  // namespace spirula::filestore
