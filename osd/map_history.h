#pragma once
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "filestore/object_store.h"
#include "maps/osd_map.h"
#include "msg/mon_messages.h"

namespace spirula::osd {

using OsdMapRef = std::shared_ptr<const maps::OsdMap>;
using msg::Epoch;

/// Who this store belongs to and which maps it has. Under "superblock" in the metadata of the OSD's own collection.
struct Superblock {
  static constexpr std::uint8_t version = 1, compat = 1;
  msg::Uuid cluster, store;
  std::int32_t whoami = -1;
  Epoch oldest_map, newest_map;
  Epoch mounted, clean_thru;  ///< when we were last up
  static void fields(auto& self, auto& wire) {
    wire(self.cluster);
    wire(self.store);
    wire(self.whoami);
    wire(self.oldest_map);
    wire(self.newest_map);
    wire(self.mounted);
    wire(self.clean_thru);
  }
};

/// One epoch as the shards get it: the map, and the bytes to tell a client that is behind. Immutable.
struct MapView {
  OsdMapRef map;
  std::map<Epoch, Buffer> incrementals;  ///< the newest ones, without a gap up to the map
  Buffer full;
  Epoch oldest;  ///< the oldest map the store has

  /// What leads somebody who has `have` (0: nothing) to this map: differences if they reach back so far, else the
  /// whole map.
  msg::OsdMapMessage message_for(Epoch have) const;
};
using MapViewRef = std::shared_ptr<const MapView>;

/// The osdmaps this OSD has seen, in its store. Lives on the daemon's home shard.
class MapHistory {
 public:
  explicit MapHistory(filestore::ObjectStore& store) : store_(store) {}

  /// The collection of the OSD's own things.
  static filestore::CollectionId collection() { return {-1, 0}; }
  /// For mkfs.
  static Task<Result<>> format(filestore::ObjectStore& store, Superblock superblock);
  /// Errc::malformed: not formatted, or damaged.
  Task<Result<>> load();

  const Superblock& superblock() const { return superblock_; }
  /// nullptr before the first map.
  const MapViewRef& newest() const { return view_; }
  Epoch epoch() const { return view_ ? view_->map->epoch : Epoch{}; }

  /// Takes what is new in the message; makes it durable before it returns every new epoch in order.
  /// Errc::malformed: a map that does not decode or follow; ask for full maps.
  Task<Result<std::vector<MapViewRef>>> take(const msg::OsdMapMessage& message);
  /// The stored full map of an older epoch. Errc::not_found.
  Task<Result<OsdMapRef>> find(Epoch epoch);
  /// The same, from any shard.
  static Task<Result<OsdMapRef>> read(filestore::ObjectStore& store, Epoch epoch);
  Task<Result<>> note_mounted(Epoch epoch);

 private:
  filestore::ObjectStore& store_;
  Superblock superblock_;
  MapViewRef view_;
};

}  // namespace spirula::osd
