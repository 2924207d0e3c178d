#include "maps/pool.h"

#include "crush/hash.h"
#include "crush/object_hash.h"

namespace spirula::maps {

std::uint32_t Pool::pg_seed(std::uint32_t hash) const {
  return crush::stable_mod(hash, pg_num);
}

std::uint32_t Pool::placement_seed(PgId pg) const {
  std::uint32_t folded = crush::stable_mod(pg.seed, pgp_num);
  if (has(hash_ps_pool)) return crush::hash32(folded, static_cast<std::uint32_t>(pg.pool));
  return folded + static_cast<std::uint32_t>(pg.pool);  // pools then overlap: kept for very old maps
}

msg::SnapContext Pool::snap_context() const {
  msg::SnapContext context{snap_sequence, {}};
  for (auto it = snaps.rbegin(); it != snaps.rend(); ++it) context.snaps.push_back(it->first);
  return context;
}

}  // namespace spirula::maps
