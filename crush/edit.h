#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "crush/crush_map.h"

/// What the monitor's `osd crush` commands do to the hierarchy. Each edit keeps weights right up to the roots, rebuilds
/// the class shadows, and happens whole or not at all. Besides the errors named, adding weight may give Errc::overflow
/// (a bucket's weight has 32 bits) and adding a bucket Errc::too_large.
namespace spirula::crush {

/// Where an item belongs: type name -> bucket name, as in {"host": "a", "root": "default"}. Types that are left out are
/// left out of the hierarchy as well.
using Location = std::map<std::string, std::string>;

/// Parses "type=bucket" words. Errc::invalid if one is not of that form.
Result<Location> parse_location(std::span<const std::string> words);
/// A weight as people write it, in units of weight_one. Errc::invalid if it is negative or no number; Errc::overflow
/// if it does not fit.
Result<Weight> to_weight(double weight);
constexpr double from_weight(Weight weight) {
  return static_cast<double>(weight) / weight_one;
}

/// Adds an empty bucket: into `location`, or as a root of its own if that is empty. Errc::exists: the name is taken;
/// Errc::invalid: no such type, no valid name, or a location that does not fit.
Result<ItemId> add_bucket(CrushMap& map, std::string_view name, std::string_view type, const Location& location = {});

/// Puts an item that is not there yet into the lowest bucket of a location, creating the location's missing buckets and
/// hanging the topmost new one into the first that exists. Errc::exists: the name belongs to another item;
/// Errc::invalid: an unknown type, a bucket of another type, an item that is there already, or no location;
/// Errc::loop: the bucket would contain itself.
Result<> insert_item(CrushMap& map, ItemId item, Weight weight, std::string_view name, const Location& location);
/// True if the item is in the lowest bucket that the location names.
bool is_at(const CrushMap& map, ItemId item, const Location& location);
/// Inserts an item, or moves and reweights it if it is elsewhere or weighs something else. False if nothing changed.
/// Errors as for insert_item.
Result<bool> update_item(CrushMap& map, ItemId item, Weight weight, std::string_view name, const Location& location);
/// The same, but an item that exists keeps its weight: what an OSD asks for when it starts.
Result<bool> create_or_move_item(CrushMap& map, ItemId item, Weight weight, std::string_view name,
                                 const Location& location);
/// Moves a bucket or device, with its weight. False if it is there already. Errc::not_found: no such item.
Result<bool> move_item(CrushMap& map, ItemId item, const Location& location);
/// Hangs a bucket into a further place. Errc::not_found: no such bucket.
Result<> link_bucket(CrushMap& map, ItemId bucket, const Location& location);

/// Removes an item from every bucket (or from those at or below `ancestor`), and the item itself when it is in none.
/// Errc::not_found: it is in no bucket and not a bucket; Errc::not_empty: a bucket with items; Errc::busy: a bucket
/// that a rule takes.
Result<> remove_item(CrushMap& map, ItemId item, std::optional<ItemId> ancestor = std::nullopt);
/// Takes a bucket out of the buckets that hold it, but keeps it and what is in it.
Result<> unlink_bucket(CrushMap& map, ItemId bucket, std::optional<ItemId> ancestor = std::nullopt);

/// Sets an item's weight wherever it is. Errc::not_found: nowhere.
Result<> reweight_item(CrushMap& map, ItemId item, Weight weight);
/// Sets the weight of every device at or below a bucket. Errc::not_found: no such bucket.
Result<> reweight_subtree(CrushMap& map, ItemId bucket, Weight weight);
/// Recalculates every bucket's weight from its items.
Result<> reweight_all(CrushMap& map);

/// Errc::not_found, Errc::exists, Errc::not_directory (a device), Errc::invalid (no valid name).
Result<> rename_bucket(CrushMap& map, std::string_view from, std::string_view to);

}  // namespace spirula::crush
