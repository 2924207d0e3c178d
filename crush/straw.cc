#include "crush/straw.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

namespace spirula::crush {

std::vector<std::uint32_t> straw_lengths(const std::vector<std::uint32_t>& weights, std::uint8_t version) {
  const std::size_t count = weights.size();
  std::vector<std::size_t> order(count);  // lightest first
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(weights[i], i); });

  std::vector<std::uint32_t> lengths(count, 0);
  double straw = 1.0, mass_below = 0.0, previous_weight = 0.0;
  int left = static_cast<int>(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double weight = weights[order[i]];
    if (weight == 0) {
      // Length 0. Version 0 goes on counting the item among those that compete.
      if (version >= 1) --left;
      continue;
    }
    lengths[order[i]] = static_cast<std::uint32_t>(std::min(straw * 0x10000, 4294967295.0));
    if (i + 1 == count) break;
    const double next_weight = weights[order[i + 1]];
    if (version == 0 && next_weight == weight) continue;

    mass_below += (weight - previous_weight) * left;
    if (version == 0) {
      // Version 0 takes away the items of the next weight rather than those it has just passed.
      for (std::size_t j = i + 1; j < count && weights[order[j]] == weights[order[i + 1]]; ++j) --left;
    } else {
      --left;
    }
    const double mass_next = left * (next_weight - weight);
    const double below = mass_below / (mass_below + mass_next);
    straw *= std::pow(1.0 / below, 1.0 / left);
    previous_weight = weight;
  }
  return lengths;
}

}  // namespace spirula::crush
