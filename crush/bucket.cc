#include "crush/bucket.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "crush/straw.h"

namespace spirula::crush {
namespace {

constexpr std::array<std::pair<Algorithm, std::string_view>, 5> algorithm_names{{
    {Algorithm::uniform, "uniform"},
    {Algorithm::list, "list"},
    {Algorithm::tree, "tree"},
    {Algorithm::straw, "straw"},
    {Algorithm::straw2, "straw2"},
}};

constexpr std::size_t node_of(std::size_t position) {
  return 2 * position + 1;
}

/// Nodes of the smallest tree with a leaf for each item; leaves are the odd nodes, the root is the middle one.
std::size_t tree_nodes(std::size_t items) {
  return items == 0 ? 0 : 2 * std::bit_ceil(items);
}

/// Node weights from leaf weights: a node whose lowest set bit is h sums the two nodes h/2 to its left and right.
std::vector<std::uint32_t> make_tree(const std::vector<Weight>& leaves) {
  std::vector<std::uint32_t> nodes(tree_nodes(leaves.size()));
  for (std::size_t i = 0; i < leaves.size(); ++i) nodes[node_of(i)] = leaves[i];
  for (std::size_t step = 2; step < nodes.size(); step *= 2)
    for (std::size_t node = step; node < nodes.size(); node += 2 * step)
      nodes[node] = nodes[node - step / 2] + nodes[node + step / 2];
  return nodes;
}

std::vector<std::uint32_t> make_derived(Algorithm algorithm, const std::vector<Weight>& weights,
                                        std::uint8_t straw_calc_version) {
  switch (algorithm) {
    case Algorithm::list: {
      std::vector<std::uint32_t> sums(weights.size());
      std::partial_sum(weights.begin(), weights.end(), sums.begin());
      return sums;
    }
    case Algorithm::tree:
      return make_tree(weights);
    case Algorithm::straw:
      return straw_lengths(weights, straw_calc_version);
    case Algorithm::uniform:
    case Algorithm::straw2:
      break;
  }
  return {};
}

}  // namespace

std::string_view name_of(Algorithm algorithm) {
  for (const auto& [value, name] : algorithm_names)
    if (value == algorithm) return name;
  return "unknown";
}

std::optional<Algorithm> algorithm_by_name(std::string_view name) {
  for (const auto& [value, known] : algorithm_names)
    if (known == name) return value;
  return std::nullopt;
}

Weight Bucket::item_weight(std::size_t position) const {
  if (position >= items.size()) return 0;
  if (algorithm == Algorithm::uniform) return uniform_weight;
  if (algorithm == Algorithm::tree) return derived[node_of(position)];
  return weights[position];
}

std::vector<Weight> Bucket::item_weights() const {
  std::vector<Weight> result(items.size());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = item_weight(i);
  return result;
}

std::size_t Bucket::position_of(ItemId item) const {
  return static_cast<std::size_t>(std::ranges::find(items, item) - items.begin());
}

Result<> Bucket::assign(std::vector<ItemId> new_items, const std::vector<Weight>& new_weights,
                        std::uint8_t straw_calc_version) {
  const auto sum = std::accumulate(new_weights.begin(), new_weights.end(), std::uint64_t{0});
  if (sum > std::numeric_limits<Weight>::max()) return Errc::overflow;
  if (new_items.size() != new_weights.size()) return Errc::invalid;
  if (algorithm == Algorithm::tree && new_items.size() > limits::tree_items_max) return Errc::invalid;
  if (algorithm == Algorithm::uniform) {
    if (std::ranges::adjacent_find(new_weights, std::not_equal_to{}) != new_weights.end()) return Errc::invalid;
    if (!new_weights.empty()) uniform_weight = new_weights.front();
  }
  derived = make_derived(algorithm, new_weights, straw_calc_version);
  const bool keeps_weights = algorithm != Algorithm::uniform && algorithm != Algorithm::tree;
  weights = keeps_weights ? new_weights : std::vector<Weight>{};
  items = std::move(new_items);
  weight = static_cast<Weight>(sum);
  return {};
}

bool Bucket::well_formed() const {
  const std::size_t count = items.size();
  switch (algorithm) {
    case Algorithm::uniform:
      return weights.empty() && derived.empty();
    case Algorithm::list:
    case Algorithm::straw:
      return weights.size() == count && derived.size() == count;
    case Algorithm::straw2:
      return weights.size() == count && derived.empty();
    case Algorithm::tree:
      // The node count is a power of two with a leaf for every item. An empty bucket has any number of nodes.
      return weights.empty() && (count == 0 || (std::has_single_bit(derived.size()) && derived.size() >= 2 * count));
  }
  return false;
}

void Bucket::encode(Encoder& encoder) const {
  encoder(id);
  encoder(type);
  encoder(algorithm);
  encoder(hash);
  encoder(weight);
  encoder(static_cast<std::uint32_t>(items.size()));
  for (const auto item : items) encoder(item);
  switch (algorithm) {
    case Algorithm::uniform:
      encoder(uniform_weight);
      break;
    case Algorithm::list:
    case Algorithm::straw:
      for (std::size_t i = 0; i < items.size(); ++i) {
        encoder(weights[i]);
        encoder(derived[i]);
      }
      break;
    case Algorithm::tree:
      encoder(static_cast<std::uint8_t>(derived.size()));
      for (const auto node : derived) encoder(node);
      break;
    case Algorithm::straw2:
      for (const auto item_weight : weights) encoder(item_weight);
      break;
  }
}

void Bucket::decode(Decoder& decoder) {
  decoder(id);
  decoder(type);
  decoder(algorithm);
  decoder(hash);
  decoder(weight);
  decoder(items);
  const std::size_t count = items.size();
  switch (algorithm) {
    case Algorithm::uniform:
      decoder(uniform_weight);
      break;
    case Algorithm::list:
    case Algorithm::straw:
      if (decoder.remaining() / 8 < count) return decoder.fail();
      weights.resize(count);
      derived.resize(count);
      for (std::size_t i = 0; i < count; ++i) {
        decoder(weights[i]);
        decoder(derived[i]);
      }
      break;
    case Algorithm::tree:
      derived.resize(decoder.read<std::uint8_t>());
      for (auto& node : derived) decoder(node);
      break;
    case Algorithm::straw2:
      if (decoder.remaining() / 4 < count) return decoder.fail();
      weights.resize(count);
      for (auto& item_weight : weights) decoder(item_weight);
      break;
    default:
      return decoder.fail();
  }
  if (!decoder.failed() && !well_formed()) decoder.fail();
}

}  // namespace spirula::crush
