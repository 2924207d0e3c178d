#pragma once
#include <compare>
#include <cstdint>
#include <string>

namespace spirula::mds {

/// The place of a name in its directory: entries are ordered by the hash clients compute too, then by name, as their
/// cursors are hash positions. The stored names have this order as well, so that a directory can be read in parts.
struct EntryKey {
  std::uint32_t hash = 0;  ///< the low 24 bits of the name's rjenkins hash
  std::string name;
  /// Before all entries.
  EntryKey() = default;
  explicit EntryKey(std::string name);
  EntryKey(std::uint32_t hash, std::string name) : hash(hash), name(std::move(name)) {}
  /// The key in the directory object's omap: six hex digits and the name.
  std::string stored() const;
  static EntryKey from_stored(const std::string& key);
  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};

}  // namespace spirula::mds
