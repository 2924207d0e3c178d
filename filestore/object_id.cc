#include "filestore/object_id.h"

#include <fmt/format.h>

#include "filestore/key.h"

namespace spirula::filestore {

std::string ObjectId::describe() const {
  return fmt::format("{}:{:08x}:{}:{}:{}:{:x}", pool, reverse_bits(hash), name_space, key, name, snap);
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
