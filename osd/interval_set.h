#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "filestore/object_store.h"

namespace spirula::osd {

/// A set of bytes of an object, as disjoint ranges that do not touch. Offsets stay far below 2^63.
class IntervalSet {
 public:
  void insert(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return;
    std::uint64_t end = offset + length;
    auto it = ranges_.upper_bound(offset);
    if (it != ranges_.begin() && std::prev(it)->second >= offset) --it;
    while (it != ranges_.end() && it->first <= end) {
      offset = std::min(offset, it->first);
      end = std::max(end, it->second);
      it = ranges_.erase(it);
    }
    ranges_.emplace(offset, end);
  }
  void erase(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return;
    std::uint64_t end = offset + length;
    auto it = ranges_.upper_bound(offset);
    if (it != ranges_.begin()) --it;
    while (it != ranges_.end() && it->first < end) {
      auto [first, last] = *it;
      if (last <= offset) {
        ++it;
        continue;
      }
      it = ranges_.erase(it);
      if (first < offset) ranges_.emplace(first, offset);
      if (last > end) it = ranges_.emplace(end, last).first;
    }
  }
  void insert(const IntervalSet& other) {
    for (auto [first, last] : other.ranges_) insert(first, last - first);
  }
  void erase(const IntervalSet& other) {
    for (auto [first, last] : other.ranges_) erase(first, last - first);
  }
  void keep_only(const IntervalSet& other) {
    IntervalSet gone = *this;
    gone.erase(other);
    erase(gone);
  }
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (auto [first, last] : ranges_) sum += last - first;
    return sum;
  }
  std::size_t count() const { return ranges_.size(); }
  bool empty() const { return ranges_.empty(); }
  /// Of one that is not empty.
  filestore::Extent first() const { return {ranges_.begin()->first, ranges_.begin()->second - ranges_.begin()->first}; }
  std::vector<filestore::Extent> extents() const {
    std::vector<filestore::Extent> all;
    for (auto [first, last] : ranges_) all.push_back({first, last - first});
    return all;
  }
  static void fields(auto& self, auto& wire) { wire(self.ranges_); }
  friend bool operator==(const IntervalSet&, const IntervalSet&) = default;

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  ///< offset -> end
};

}  // namespace spirula::osd
