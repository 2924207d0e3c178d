#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "librados/operation.h"
#include "maps/osd_map.h"

namespace spirula::librados {

/// Where an operation goes, on a given map. Decides, sends nothing.
class Target {
 public:
  Target() = default;
  explicit Target(ObjectRef to) : object(std::move(to)) {}
  /// A whole PG, from `hash` on.
  Target(msg::PgId whole_pg, std::string name_space, std::uint32_t from_hash);

  enum class Change {
    none,       ///< where it went is still right
    moved,      ///< it must be sent, or sent again: another PG or OSD, or the PG has begun a new interval, or the pause
                ///< ended
    pool_gone,  ///< the map has no such pool
  };
  Change update(const maps::OsdMap& map, const Operation& operation);

  /// The request as it would be sent now; attempt and, if the operation names none, mtime are the sender's.
  msg::OsdRequest request(const Operation& operation, const maps::OsdMap& map) const;
  /// Where the operation stands in its pool's order, for backoffs: at the object's head, whichever snapshot it reads.
  msg::HObject place() const;

  ObjectRef object;
  std::optional<msg::PgId> fixed_pg;
  std::uint32_t hash = 0;
  msg::PgId pg;
  std::int32_t primary = -1;  ///< -1: nobody serves the PG
  bool paused = false;        ///< flags of the map or the pool forbid it for now

 private:
  std::vector<std::int32_t> up_, acting_;
  std::uint8_t size_ = 0, min_size_ = 0;
  std::uint32_t pg_num_ = 0;
};

}  // namespace spirula::librados
