// Any bytes: the decoder never crashes, what it accepts re-encodes to the same value, and the mapper, the tree walk,
// the dump and the edits survive it.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "crush/crush_map.h"
#include "crush/device_classes.h"
#include "crush/dump.h"
#include "crush/edit.h"
#include "crush/mapper.h"
#include "crush/tree.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spirula;
  using namespace spirula::crush;
  const auto map = CrushMap::decode_map(Buffer::copy_of(ByteView(reinterpret_cast<const std::byte*>(data), size)));
  if (!map) return 0;
  const auto again = CrushMap::decode_map(encode(*map));
  CHECK(again && *again == *map);
  (void)map->verify();
  (void)map->describe();

  // A limit far below the mapper's own keeps a fuzz run fast: maps that ask for many tries are left out.
  const bool patient = map->tunables.choose_total_tries > 100;
  const std::vector<Weight> reweights(16, weight_one);
  for (std::size_t id = 0; id < map->rules.size() && !patient; ++id) {
    const Rule* rule = map->rule(static_cast<std::int32_t>(id));
    if (!rule || rule->steps.size() > 8) continue;
    bool modest = true;
    for (const auto& step : rule->steps) modest = modest && step.arg1 < 20;
    if (modest) (void)do_rule(*map, static_cast<std::int32_t>(id), 42, 3, reweights, map->choose_args_for(1));
    (void)map->device_shares(static_cast<std::int32_t>(id));
  }
  if (map->max_devices < 1000) (void)boost::json::serialize(dump(*map));
  if (map->buckets.size() < 64) {
    (void)walk_tree(*map);
    CrushMap edited = *map;
    const Location location{{"host", "h"}, {"root", "default"}};
    (void)insert_item(edited, 5, weight_one, "osd.5", location);
    (void)reweight_all(edited);
    (void)rebuild_class_shadows(edited);
    (void)remove_item(edited, 5);
  }
  return 0;
}
