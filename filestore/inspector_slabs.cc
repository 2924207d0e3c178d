#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "filestore/inspector.h"
#include "filestore/key.h"
#include "filestore/slabs.h"

/// The part of Inspector that holds the index against slabs: whose a slot is, which blocks it must have, and slots with
/// data that are neither an object's nor about to be freed. What more there is in an object's slot is nobody's.
namespace spirula::filestore {
namespace {

using limits::block_bytes;

/// What the slots of a slab hold, by block.
class HeldBlocks {
 public:
  static Result<HeldBlocks> of(const Slabs::File& slab) {
    FileChanges unused;
    HeldBlocks held;
    TRY(held.extents_, DataFile(slab, unused, 0).extents(0, Slabs::slots_bytes));
    return held;
  }
  bool holds(std::uint64_t offset) const {
    auto after = std::ranges::upper_bound(extents_, offset, {}, &Extent::offset);
    return after != extents_.begin() && offset < std::prev(after)->offset + std::prev(after)->length;
  }
  /// Slots with data, by number in the slab.
  std::set<std::uint64_t> slots() const {
    std::set<std::uint64_t> found;
    for (const Extent& each : extents_)
      for (std::uint64_t slot = each.offset / limits::slab_bytes_max;
           slot <= (each.offset + each.length - 1) / limits::slab_bytes_max; ++slot)
        found.insert(slot);
    return found;
  }

 private:
  std::vector<Extent> extents_;
};

}  // namespace

Result<> Inspector::check_slabs(const ById& by_id, std::vector<std::string>& problems) {
  std::set<std::uint64_t> retired, seen;
  auto rows = index_->cursor(key::retired_slots(), Access::blocking);
  for (; rows->valid(); rows->next()) retired.insert(key::parse_id(rows->key()));
  TRY(rows->status());

  auto in_slab = [&](std::uint64_t id) {
    auto it = by_id.find(id);
    return it != by_id.end() && it->second.onode.in_slab;
  };
  for (std::uint64_t id : retired)
    if (in_slab(id)) problems.push_back(fmt::format("slot {:x} is to be freed and in use", id));

  TRY(for_each_slab(objects_.get(), [&](SlabEntry& entry) -> Result<> {
    if (!entry.number) {
      problems.push_back(fmt::format("file objects/{} belongs to nobody", entry.path));
      return {};
    }
    std::uint64_t first = *entry.number * Slabs::slots;
    seen.insert(*entry.number);
    SlotOwners owners;
    if (!read_slot_owners(entry.file.get(), owners))
      problems.push_back(fmt::format("file objects/{}: its records of owners are damaged", entry.path));
    TRY(auto held, HeldBlocks::of(std::make_shared<const FileDescriptor>(std::move(entry.file))));
    for (auto it = by_id.lower_bound(first); it != by_id.end() && it->first < first + Slabs::slots; ++it) {
      const auto& [id, object] = *it;
      if (!object.onode.in_slab) continue;
      auto say = [&](std::string_view text) { problems.push_back(fmt::format("{}: {}", object.id.describe(), text)); };
      if (auto owner = owners.find(id); owner == owners.end() || owner->second != key::object(object.id))
        say("its slot names another object");
      const std::vector<std::uint32_t> none;
      const auto& known = object.onode.block_checksums ? *object.onode.block_checksums : none;
      for (std::uint64_t block = 0; block < known.size(); ++block) {
        if (known[block] == 0) continue;
        if (block * block_bytes >= object.onode.size) say(fmt::format("its block {} lies beyond its end", block));
        if (!held.holds(Slabs::offset_of(id) + block * block_bytes))
          say(fmt::format("its block {} is a hole in the slab", block));
      }
    }
    for (std::uint64_t slot : held.slots())
      if (!in_slab(first + slot) && !retired.contains(first + slot))
        problems.push_back(fmt::format("slot {:x} belongs to nobody", first + slot));
    return {};
  }));
  for (const auto& [id, object] : by_id)
    if (object.onode.in_slab && object.onode.block_checksums && !object.onode.block_checksums->empty() &&
        !seen.contains(Slabs::slab_of(id)))
      problems.push_back(fmt::format("{}: its slab is missing", object.id.describe()));
  return {};
}

}  // namespace spirula::filestore
