#include "mon/osd_service.h"

#include "mon/state.h"

namespace spirula::mon {

Result<> OsdService::apply(const Change& change) {
  if (!change.first_map.empty()) {
    TRY(auto map, maps::OsdMap::decode_map(change.first_map));
    first_ = map.epoch;
    first_full_ = full_ = change.first_map;
    incrementals_.clear();
    map_ = std::make_shared<const maps::OsdMap>(std::move(map));
  }
  if (!change.incremental.empty()) {
    TRY(auto incremental, maps::OsdMapIncremental::decode_map(change.incremental));
    auto next = std::make_shared<maps::OsdMap>(*map_);
    TRY(next->apply(incremental));
    incrementals_[incremental.epoch] = {change.incremental, incremental.modified};
    map_ = std::move(next);
    full_ = {};
  }
  if (change.trim_to > first_ && change.trim_to <= map_->epoch) {
    TRY(first_full_, full(change.trim_to));
    first_ = change.trim_to;
    incrementals_.erase(incrementals_.begin(), incrementals_.upper_bound(first_));
  }
  for (const auto& [id, metadata] : change.metadata) metadata_[id] = metadata;
  for (auto id : change.metadata_removed) metadata_.erase(id);
  return {};
}

Result<maps::OsdMap> OsdService::map_at(msg::Epoch epoch) const {
  if (epoch < first_ || epoch > map_->epoch) return Errc::not_found;
  if (epoch == map_->epoch) return *map_;
  TRY(auto map, maps::OsdMap::decode_map(first_full_));
  for (const auto& [leads_to, past] : incrementals_) {
    if (leads_to > epoch) break;
    TRY(auto incremental, maps::OsdMapIncremental::decode_map(past.incremental));
    TRY(map.apply(incremental));
  }
  return map;
}

Result<Buffer> OsdService::full(msg::Epoch epoch) const {
  if (epoch == map_->epoch) {
    if (full_.empty()) full_ = map_->encode_map();
    return full_;
  }
  if (epoch == first_) return first_full_;
  TRY(auto map, map_at(epoch));
  return map.encode_map();
}

void OsdService::encode(Encoder& encoder) const {
  encoder.envelope(version, compat, [&] {
    encoder(map_->encode_map());
    encoder(first_);
    encoder(first_full_);
    encoder(incrementals_);
    encoder(metadata_);
  });
}

void OsdService::decode(Decoder& decoder) {
  decoder.envelope(version, [&] {
    decoder(full_);
    decoder(first_);
    decoder(first_full_);
    decoder(incrementals_);
    decoder(metadata_);
    auto map = maps::OsdMap::decode_map(full_);
    if (!map) return decoder.fail();
    map_ = std::make_shared<const maps::OsdMap>(std::move(*map));
  });
}

maps::OsdMapIncremental next_incremental(const maps::OsdMap& map, msg::Time now) {
  maps::OsdMapIncremental change;
  change.fsid = map.fsid;
  change.epoch = map.epoch.next();
  change.modified = now;
  return change;
}

Result<> draft_osd_change(Draft& draft, maps::OsdMapIncremental change) {
  return draft_osd_change(draft, std::move(change), {});
}

Result<> draft_osd_change(Draft& draft, maps::OsdMapIncremental change, OsdService::Change with) {
  const maps::OsdMap& map = draft->osd().map();
  if (change.epoch != map.epoch.next()) return Errc::invalid;
  auto differs = [&](auto flag, const auto& next) {
    for (std::size_t id = 0; id < std::max(map.osds.size(), next.osds.size()); ++id) {
      auto before = id < map.osds.size() && flag(map.osds[id]);
      auto after = id < next.osds.size() && flag(next.osds[id]);
      if (before != after) return true;
    }
    return false;
  };
  maps::OsdMap next = map;
  TRY(next.apply(change));
  if (differs([](const maps::Osd& osd) { return osd.is_up(); }, next)) change.new_last_up_change = change.modified;
  if (differs([](const maps::Osd& osd) { return osd.is_in(); }, next)) change.new_last_in_change = change.modified;
  next = map;
  TRY(next.apply(change));
  TRY(change.full_crc, maps::checksum_of_encoded_map(next.encode_map()));
  with.incremental = change.encode_map();
  return draft.change<OsdService>(with);
}

}  // namespace spirula::mon
