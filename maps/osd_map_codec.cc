// The encodings of OSDMap and OSDMap::Incremental. Ceph: src/osd/OSDMap.cc (encode); Linux: net/ceph/osdmap.c.
#include "base/crc32c.h"
#include "maps/osd_map.h"

namespace spirula::maps {
namespace {

constexpr std::uint8_t map_version = 8, map_compat = 7;
constexpr std::uint8_t client_version = 9, incremental_client_version = 8;
/// The OSD part: 9, 10 with stretch mode, 11 with ranges; written as old as it can be, as Pacific does.
constexpr std::uint8_t osd_version = 9, osd_version_stretch = 10, osd_version_ranges = 11;

/// One value of each OSD, as the wire has it: a count and the values in order of the ids.
template <class Member>
void column(auto& osds, auto& wire, Member member) {
  if constexpr (decodes<decltype(wire)>) {
    auto count = wire.template read<std::uint32_t>();
    if (count > osds.size()) return wire.fail();
    for (std::uint32_t i = 0; i < count && !wire.failed(); ++i) wire(osds[i].*member);
  } else {
    wire(static_cast<std::uint32_t>(osds.size()));
    for (const Osd& osd : osds) wire(osd.*member);
  }
}

/// Primary affinity is left out while every OSD has the default.
void affinity_column(auto& osds, auto& wire) {
  if constexpr (decodes<decltype(wire)>) {
    column(osds, wire, &Osd::primary_affinity);
  } else {
    bool all_default = true;
    for (const Osd& osd : osds) all_default = all_default && osd.primary_affinity == default_primary_affinity;
    if (all_default)
      wire(std::uint32_t{0});
    else
      column(osds, wire, &Osd::primary_affinity);
  }
}

void crush_field(auto& self, auto& wire) {
  if constexpr (decodes<decltype(wire)>) {
    auto crush = crush::CrushMap::decode_map(wire.template read<Buffer>());
    if (!crush) return wire.fail();
    self.crush = std::make_shared<const crush::CrushMap>(*std::move(crush));
  } else {
    wire(spirula::encode(*self.crush));
  }
}

void client_fields(auto& self, auto& wire) {
  wire(self.fsid);
  wire(self.epoch);
  wire(self.created);
  wire(self.modified);
  wire(self.pools);
  wire(self.pool_names);
  wire(self.pool_max);
  wire(self.flags);
  if constexpr (decodes<decltype(wire)>) {
    auto max_osd = wire.template read<std::uint32_t>();
    if (max_osd > wire.remaining()) return wire.fail();  // each has several bytes to come
    self.osds.assign(max_osd, {});
  } else {
    wire(static_cast<std::uint32_t>(self.osds.size()));
  }
  column(self.osds, wire, &Osd::state);
  column(self.osds, wire, &Osd::weight);
  column(self.osds, wire, &Osd::client);
  wire(self.pg_temp);
  wire(self.primary_temp);
  affinity_column(self.osds, wire);
  crush_field(self, wire);
  wire(self.erasure_code_profiles);
  wire(self.pg_upmap);
  wire(self.pg_upmap_items);
  wire(self.crush_version);
  wire(self.new_removed_snaps);
  wire(self.new_purged_snaps);
  wire.since(9, self.last_up_change);
  wire.since(9, self.last_in_change);
}

std::uint8_t osd_version_of(const OsdMap& map) {
  if (!map.blocklist_ranges.empty()) return osd_version_ranges;
  return map.stretch_mode == OsdMap{}.stretch_mode ? osd_version : osd_version_stretch;
}

std::uint8_t osd_version_of(const OsdMapIncremental& change) {
  if (!change.new_blocklist_ranges.empty() || !change.old_blocklist_ranges.empty()) return osd_version_ranges;
  return change.new_stretch_mode == OsdMapIncremental{}.new_stretch_mode ? osd_version : osd_version_stretch;
}

/// Whether fields of a version are there: in what is read, or in what is written.
bool reaches(const auto& wire, std::uint8_t version, std::uint8_t written) {
  if constexpr (decodes<decltype(wire)>)
    return wire.version() >= version;
  else
    return written >= version;
}

void osd_fields(auto& self, auto& wire) {
  column(self.osds, wire, &Osd::heartbeat_back);
  column(self.osds, wire, &Osd::info);
  wire(self.blocklist);
  column(self.osds, wire, &Osd::cluster);
  wire(self.cluster_snapshot_epoch);
  wire(self.cluster_snapshot);
  column(self.osds, wire, &Osd::uuid);
  column(self.osds, wire, &Osd::extra);
  column(self.osds, wire, &Osd::heartbeat_front);
  wire(self.near_full_ratio);
  wire(self.full_ratio);
  wire(self.back_fill_full_ratio);
  wire(self.require_min_compat_client);
  wire(self.require_osd_release);
  wire(self.removed_snaps_queue);
  wire.since(8, self.crush_node_flags);
  wire.since(9, self.device_class_flags);
  if (reaches(wire, osd_version_stretch, osd_version_of(self))) wire(self.stretch_mode);
  if (reaches(wire, osd_version_ranges, osd_version_of(self))) wire(self.blocklist_ranges);
}

void incremental_client_fields(auto& self, auto& wire) {
  wire(self.fsid);
  wire(self.epoch);
  wire(self.modified);
  wire(self.new_pool_max);
  wire(self.new_flags);
  wire(self.full_map);
  wire(self.crush);
  wire(self.new_max_osd);
  wire(self.new_pools);
  wire(self.new_pool_names);
  wire(self.old_pools);
  wire(self.new_up_client);
  wire(self.new_state);
  wire(self.new_weight);
  wire(self.new_pg_temp);
  wire(self.new_primary_temp);
  wire(self.new_primary_affinity);
  wire(self.new_erasure_code_profiles);
  wire(self.old_erasure_code_profiles);
  wire(self.new_pg_upmap);
  wire(self.old_pg_upmap);
  wire(self.new_pg_upmap_items);
  wire(self.old_pg_upmap_items);
  wire(self.new_removed_snaps);
  wire(self.new_purged_snaps);
  wire.since(8, self.new_last_up_change);
  wire.since(8, self.new_last_in_change);
}

void incremental_osd_fields(auto& self, auto& wire) {
  wire(self.new_heartbeat_back_up);
  wire(self.new_up_thru);
  wire(self.new_last_clean_interval);
  wire(self.new_lost);
  wire(self.new_blocklist);
  wire(self.old_blocklist);
  wire(self.new_up_cluster);
  wire(self.cluster_snapshot);
  wire(self.new_uuid);
  wire(self.new_extra);
  wire(self.new_heartbeat_front_up);
  wire(self.encode_features);
  wire(self.new_near_full_ratio);
  wire(self.new_full_ratio);
  wire(self.new_back_fill_full_ratio);
  wire(self.new_require_min_compat_client);
  wire(self.new_require_osd_release);
  wire.since(8, self.new_crush_node_flags);
  wire.since(9, self.new_device_class_flags);
  if (reaches(wire, osd_version_stretch, osd_version_of(self))) wire(self.new_stretch_mode);
  if (reaches(wire, osd_version_ranges, osd_version_of(self))) {
    wire(self.new_blocklist_ranges);
    wire(self.old_blocklist_ranges);
  }
}

/// Both encodings are an envelope around a client part, an OSD part and checksums; the first checksum covers every
/// byte but its own four.
template <class ClientPart, class OsdPart, class Rest>
Buffer encode_parts(std::uint8_t version, ClientPart client, std::uint8_t osd_version, OsdPart osd, Rest rest) {
  Encoder encoder;
  std::size_t crc_at = 0;
  encoder.envelope(map_version, map_compat, [&] {
    encoder.envelope(version, 1, [&] { client(encoder); });
    encoder.envelope(osd_version, 1, [&] { osd(encoder); });
    crc_at = encoder.reserve_u32();
    rest(encoder);
  });
  std::uint32_t crc = crc32c(~0u, encoder.written().first(crc_at));
  encoder.patch_u32(crc_at, crc32c(crc, encoder.written(crc_at + 4)));
  return encoder.take();
}

template <class ClientPart, class OsdPart, class Rest>
Result<> decode_parts(const Buffer& bytes, std::uint8_t version, ClientPart client, OsdPart osd, Rest rest) {
  Decoder decoder(bytes);
  decoder.envelope(map_version, [&] {
    std::size_t end = 6 + decoder.remaining();
    decoder.envelope(version, [&] {
      if (decoder.version() < incremental_client_version) return decoder.fail();  // from before Nautilus
      client(decoder);
    });
    decoder.envelope(osd_version_ranges, [&] { osd(decoder); });
    std::size_t crc_at = end - decoder.remaining();
    auto expected = decoder.read<std::uint32_t>();
    if (decoder.failed()) return;
    std::uint32_t crc = crc32c(~0u, bytes.view().first(crc_at));
    if (crc32c(crc, bytes.view().subspan(crc_at + 4, end - crc_at - 4)) != expected) return decoder.fail();
    rest(decoder, expected);
  });
  return decoder.finish();
}

}  // namespace

Buffer OsdMap::encode_map() const {
  return encode_parts(
      client_version, [this](Encoder& e) { client_fields(*this, e); }, osd_version_of(*this),
      [this](Encoder& e) { osd_fields(*this, e); }, [](Encoder&) {});
}

Result<OsdMap> OsdMap::decode_map(Buffer bytes) {
  OsdMap map;
  TRY(decode_parts(
      bytes, client_version, [&](Decoder& d) { client_fields(map, d); }, [&](Decoder& d) { osd_fields(map, d); },
      [](Decoder&, std::uint32_t) {}));
  return map;
}

Buffer OsdMapIncremental::encode_map() const {
  return encode_parts(
      incremental_client_version, [this](Encoder& e) { incremental_client_fields(*this, e); }, osd_version_of(*this),
      [this](Encoder& e) { incremental_osd_fields(*this, e); }, [this](Encoder& e) { e(full_crc); });
}

Result<OsdMapIncremental> OsdMapIncremental::decode_map(Buffer bytes) {
  OsdMapIncremental change;
  TRY(decode_parts(
      bytes, incremental_client_version, [&](Decoder& d) { incremental_client_fields(change, d); },
      [&](Decoder& d) { incremental_osd_fields(change, d); }, [&](Decoder& d, std::uint32_t) { d(change.full_crc); }));
  return change;
}

Result<std::uint32_t> checksum_of_encoded_map(const Buffer& bytes) {
  std::uint32_t crc = 0;
  TRY(decode_parts(
      bytes, client_version, [](Decoder&) {}, [](Decoder&) {}, [&](Decoder&, std::uint32_t value) { crc = value; }));
  return crc;
}

}  // namespace spirula::maps
