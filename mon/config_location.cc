#include "mon/config_location.h"

#include "mon/command_arguments.h"

namespace spirula::mon {

ConfigLocation locate(const State& state, const std::string& entity, const std::string& hostname) {
  ConfigLocation where;
  const auto& crush = *state.osd().map().crush;
  std::optional<crush::ItemId> item;
  if (entity.starts_with("osd.")) {
    if (auto id = parse_osd(entity); id && crush.weight_of(*id)) item = *id;
  }
  if (item) {
    where.device_class = crush.item_class(*item);
  } else if (auto host = crush.item_by_name(hostname); host && crush::is_bucket(*host)) {
    item = *host;
    if (auto type = crush.type_of(*host); type && crush.type_names.contains(*type))
      where.places.emplace_back(crush.type_names.at(*type), hostname);
  }
  if (item)
    for (auto& place : crush.location_of(*item)) where.places.push_back(std::move(place));
  return where;
}

ConfigService::Section config_for(const State& state, const std::string& entity, const std::string& hostname) {
  return state.config().for_entity(entity, locate(state, entity, hostname));
}

}  // namespace spirula::mon
