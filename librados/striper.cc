#include "librados/striper.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace spirula::librados {
namespace {

constexpr std::uint32_t stripe_unit_min = 64 << 10;  // CEPH_MIN_STRIPE_UNIT

}  // namespace

bool StripeLayout::is_valid() const {
  return stripe_unit > 0 && stripe_unit % stripe_unit_min == 0 && stripe_count > 0 && object_size >= stripe_unit &&
         object_size % stripe_unit == 0;
}

std::vector<ObjectExtent> map_extent(const StripeLayout& layout, std::uint64_t offset, std::uint64_t length) {
  CHECK(layout.is_valid());
  const std::uint64_t unit = layout.stripe_unit, count = layout.stripe_count;
  const std::uint64_t units_per_object = layout.object_size / unit;
  std::vector<ObjectExtent> extents;
  while (length > 0) {
    std::uint64_t block = offset / unit;   // which stripe unit of the file
    std::uint64_t stripe = block / count;  // which round over the objects of a set
    std::uint64_t set = stripe / units_per_object;
    std::uint64_t object = set * count + block % count;
    std::uint64_t within = offset % unit;
    std::uint64_t piece = std::min(length, unit - within);
    std::uint64_t at = stripe % units_per_object * unit + within;
    if (!extents.empty() && extents.back().object == object && extents.back().offset + extents.back().length == at)
      extents.back().length += piece;
    else
      extents.push_back({object, at, piece, offset});
    offset += piece;
    length -= piece;
  }
  return extents;
}

std::uint64_t object_count(const StripeLayout& layout, std::uint64_t file_size) {
  CHECK(layout.is_valid());
  std::uint64_t set_bytes = std::uint64_t{layout.object_size} * layout.stripe_count;
  std::uint64_t whole = file_size / set_bytes * layout.stripe_count, rest = file_size % set_bytes;
  return whole + std::min<std::uint64_t>(layout.stripe_count, (rest + layout.stripe_unit - 1) / layout.stripe_unit);
}

std::uint64_t object_bytes(const StripeLayout& layout, std::uint64_t object, std::uint64_t file_size) {
  CHECK(layout.is_valid());
  const std::uint64_t unit = layout.stripe_unit, stripe_bytes = unit * layout.stripe_count;
  std::uint64_t set_bytes = std::uint64_t{layout.object_size} * layout.stripe_count;
  std::uint64_t set_start = object / layout.stripe_count * set_bytes, column = object % layout.stripe_count;
  if (file_size <= set_start) return 0;
  std::uint64_t in_set = std::min(file_size - set_start, set_bytes);
  std::uint64_t rest = in_set % stripe_bytes, start = column * unit;
  return in_set / stripe_bytes * unit + (rest > start ? std::min(unit, rest - start) : 0);
}

std::uint64_t file_bytes(const StripeLayout& layout, std::uint64_t object, std::uint64_t object_bytes) {
  CHECK(layout.is_valid() && object_bytes > 0);
  const std::uint64_t unit = layout.stripe_unit, count = layout.stripe_count;
  const std::uint64_t last = std::min<std::uint64_t>(object_bytes, layout.object_size) - 1;
  const std::uint64_t stripe = object / count * (layout.object_size / unit) + last / unit;
  return (stripe * count + object % count) * unit + last % unit + 1;
}

std::string object_name(std::uint64_t inode, std::uint64_t object) {
  return fmt::format("{:x}.{:08x}", inode, object);
}

}  // namespace spirula::librados
