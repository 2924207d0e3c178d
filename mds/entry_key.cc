#include "mds/entry_key.h"

#include <fmt/format.h>

#include "crush/object_hash.h"

namespace spirula::mds {

namespace {
constexpr std::size_t digits = 6;
}

EntryKey::EntryKey(std::string name_in) : hash(crush::hash_rjenkins(name_in) & 0xffffff), name(std::move(name_in)) {}

std::string EntryKey::stored() const {
  return fmt::format("{:06x}{}", hash, name);
}

EntryKey EntryKey::from_stored(const std::string& key) {
  return key.size() > digits ? EntryKey(key.substr(digits)) : EntryKey();
}

}  // namespace spirula::mds
