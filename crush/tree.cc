#include "crush/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace spirula::crush {
namespace {

std::string device_name(ItemId id) {
  return fmt::format("osd.{}", id);
}

class Walk {
 public:
  explicit Walk(const CrushMap& map) : map_(map) {}

  void visit(ItemId id, std::optional<ItemId> parent, std::int32_t depth, Weight weight) {
    if (nodes_.size() >= limits::tree_nodes_max) return;
    TreeNode node{.id = id, .parent = parent, .depth = depth, .weight = weight};
    const Bucket* bucket = map_.bucket(id);
    node.name = bucket || map_.item_names.contains(id) ? std::string(map_.item_name(id)) : device_name(id);
    node.type_id = bucket ? bucket->type : 0;
    node.type = map_.type_name(node.type_id);
    node.device_class = map_.item_class(id);
    std::vector<std::size_t> order;
    if (bucket) order = sorted(*bucket);
    for (auto it = order.rbegin(); it != order.rend(); ++it) node.children.push_back(bucket->items[*it]);
    nodes_.push_back(std::move(node));
    for (const auto position : order) visit(bucket->items[position], id, depth + 1, bucket->item_weight(position));
  }

  std::vector<TreeNode> take() { return std::move(nodes_); }

 private:
  /// Positions of a bucket's items by class and number or by name; buckets sort among the devices without a class.
  std::vector<std::size_t> sorted(const Bucket& bucket) const {
    std::vector<std::pair<std::string, std::size_t>> keys;
    for (std::size_t i = 0; i < bucket.size(); ++i) {
      const ItemId item = bucket.items[i];
      keys.emplace_back(is_bucket(item) ? fmt::format("_{}", map_.item_name(item))
                                        : fmt::format("{}_osd.{:08}", map_.item_class(item), item),
                        i);
    }
    std::ranges::sort(keys);
    std::vector<std::size_t> order;
    for (const auto& [key, position] : keys) order.push_back(position);
    return order;
  }

  const CrushMap& map_;
  std::vector<TreeNode> nodes_;
};

}  // namespace

std::vector<TreeNode> walk_tree(const CrushMap& map, bool with_shadows) {
  Walk walk(map);
  for (const auto root : map.roots(with_shadows)) walk.visit(root, std::nullopt, 0, map.bucket(root)->weight);
  return walk.take();
}

std::vector<TreeNode> walk_tree(const CrushMap& map, ItemId root) {
  Walk walk(map);
  walk.visit(root, std::nullopt, 0, map.weight_of(root).value_or(0));
  return walk.take();
}

}  // namespace spirula::crush
