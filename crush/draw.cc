// Bucket::draw: one item of a bucket for (x, r). The arithmetic, down to truncation and signedness, is what the CRUSH
// of every client does (Ceph: crush/mapper.c, bucket_*_choose), because a draw that differs in one bit sends an object
// to another OSD.
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "crush/bucket.h"
#include "crush/hash.h"
#include "crush/ln.h"

namespace spirula::crush {
namespace {

template <class... Words>
std::uint32_t bucket_hash(const Bucket& bucket, Words... words) {
  if (bucket.hash != hash_rjenkins1) return 0;  // as in Ceph: an unknown hash is constant
  return hash32(static_cast<std::uint32_t>(words)...);
}

/// Walks from the newest item back, each time taking the item with the odds of its weight in the sum up to it.
ItemId draw_list(const Bucket& bucket, std::uint32_t x, std::uint32_t r) {
  for (std::size_t i = bucket.size(); i-- > 0;) {
    const std::uint64_t dice = bucket_hash(bucket, x, bucket.items[i], r, bucket.id) & 0xffff;
    if ((dice * bucket.derived[i]) >> 16 < bucket.weights[i]) return bucket.items[i];
  }
  return bucket.items.front();  // the sums are damaged
}

/// Descends from the root, at each node going left or right with the odds of the two weights.
ItemId draw_tree(const Bucket& bucket, std::uint32_t x, std::uint32_t r) {
  std::size_t node = bucket.derived.size() / 2;
  while (node % 2 == 0) {
    const std::size_t half = (node & -node) / 2;
    const std::uint64_t dice = bucket_hash(bucket, x, node, r, bucket.id);
    const bool left = (dice * bucket.derived[node]) >> 32 < bucket.derived[node - half];
    node = left ? node - half : node + half;
  }
  // Weights of nothing but leaves lead to a leaf with an item; damaged ones may lead past the last.
  return bucket.items[std::min(node / 2, bucket.size() - 1)];
}

ItemId draw_straw(const Bucket& bucket, std::uint32_t x, std::uint32_t r) {
  std::size_t best = 0;
  std::uint64_t longest = 0;
  for (std::size_t i = 0; i < bucket.size(); ++i) {
    const std::uint64_t dice = bucket_hash(bucket, x, bucket.items[i], r) & 0xffff;
    const std::uint64_t straw = dice * bucket.derived[i];
    if (i == 0 || straw > longest) best = i, longest = straw;
  }
  return bucket.items[best];
}

/// Each item draws from an exponential distribution with its weight as the rate; the smallest wins. In fixed point:
/// the logarithm of a hash (so a negative number) over the weight, and the greatest wins.
ItemId draw_straw2(const Bucket& bucket, std::uint32_t x, std::uint32_t r, std::span<const ItemId> ids,
                   std::span<const Weight> weights) {
  constexpr std::int64_t ln_of_one = std::int64_t{1} << 48;
  std::size_t best = 0;
  std::int64_t greatest = 0;
  for (std::size_t i = 0; i < bucket.size(); ++i) {
    std::int64_t score = std::numeric_limits<std::int64_t>::min();
    if (weights[i]) {
      const std::uint32_t dice = bucket_hash(bucket, x, ids[i], r) & 0xffff;
      score = (static_cast<std::int64_t>(ln(dice)) - ln_of_one) / static_cast<std::int64_t>(weights[i]);
    }
    if (i == 0 || score > greatest) best = i, greatest = score;
  }
  return bucket.items[best];
}

}  // namespace

ItemId Bucket::draw_permuted(std::uint32_t x, std::uint32_t r, std::vector<std::uint32_t>& permutation) const {
  const auto count = static_cast<std::uint32_t>(items.size());
  const std::uint32_t wanted = r % count;
  if (wanted == 0) return items[bucket_hash(*this, x, id, 0) % count];
  // A Fisher-Yates shuffle, run as far as it is wanted; its swaps do not depend on `wanted`.
  permutation.resize(count);
  std::iota(permutation.begin(), permutation.end(), 0u);
  for (std::uint32_t i = 0; i <= wanted && i + 1 < count; ++i) {
    const std::uint32_t other = i + bucket_hash(*this, x, id, i) % (count - i);
    std::swap(permutation[i], permutation[other]);
  }
  return items[permutation[wanted]];
}

ItemId Bucket::draw(std::uint32_t x, std::uint32_t r, std::span<const ItemId> ids,
                    std::span<const Weight> weights_override, std::vector<std::uint32_t>& permutation) const {
  CHECK(!items.empty());
  switch (algorithm) {
    case Algorithm::uniform:
      return draw_permuted(x, r, permutation);
    case Algorithm::list:
      return draw_list(*this, x, r);
    case Algorithm::tree:
      return draw_tree(*this, x, r);
    case Algorithm::straw:
      return draw_straw(*this, x, r);
    case Algorithm::straw2:
      return draw_straw2(*this, x, r, ids.size() == items.size() ? ids : std::span<const ItemId>(items),
                         weights_override.size() == items.size() ? weights_override : std::span<const Weight>(weights));
  }
  return items.front();
}

}  // namespace spirula::crush
