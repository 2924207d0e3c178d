#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crush/crush_map.h"

namespace spirula::crush {

/// One line of `ceph osd tree` or `ceph osd crush tree`.
struct TreeNode {
  ItemId id = 0;
  std::string name;  ///< a device without one is "osd.N"
  std::string type;
  std::int32_t type_id = 0;
  std::string device_class;      ///< empty if none
  std::optional<ItemId> parent;  ///< nothing for a root
  std::int32_t depth = 0;
  Weight weight = 0;             ///< in its parent; a root's own
  std::vector<ItemId> children;  ///< in the order of the JSON forms, which is the reverse of the walk's
};

/// Every node under every root (in ascending order of ids), parents before children, children by class, then name:
/// the order of the stock commands. An item that is linked into several buckets comes several times; the walk stops
/// after limits::tree_nodes_max. Ceph: CrushTreeDumper.
std::vector<TreeNode> walk_tree(const CrushMap& map, bool with_shadows = false);
/// The same below one item.
std::vector<TreeNode> walk_tree(const CrushMap& map, ItemId root);

namespace limits {
/// Links multiply paths; a map of ten thousand OSDs without links has some twelve thousand nodes.
inline constexpr std::size_t tree_nodes_max = 200'000;
}  // namespace limits

}  // namespace spirula::crush
