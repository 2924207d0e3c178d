// The binary CRUSH map (Ceph: CrushWrapper::encode and decode; linux: crush_decode). It has no envelope: what later
// releases appended is simply there or not, and a map that ends early has the oldest tunables.
#include <utility>

#include "crush/crush_map.h"

namespace spirula::crush {
namespace {

constexpr std::uint32_t magic = 0x00010000;  // Ceph: CRUSH_MAGIC

void encode_choose_args(Encoder& encoder, const std::map<std::int64_t, ChooseArgs>& sets) {
  encoder(static_cast<std::uint32_t>(sets.size()));
  for (const auto& [pool, args] : sets) {
    encoder(pool);
    std::uint32_t used = 0;
    for (const auto& [slot, arg] : args) used += !arg.empty();
    encoder(used);
    for (const auto& [slot, arg] : args) {
      if (arg.empty()) continue;
      encoder(slot);
      encoder(arg);
    }
  }
}

/// A set that does not fit its bucket would be read past its end by other decoders.
bool fits(const ChooseArg& arg, const std::optional<Bucket>& bucket) {
  const std::size_t count = bucket ? bucket->size() : 0;
  if (!arg.ids.empty() && arg.ids.size() != count) return false;
  for (const auto& weights : arg.weight_sets)
    if (weights.size() != count) return false;
  return true;
}

void decode_choose_args(Decoder& decoder, CrushMap& map) {
  for (auto sets = decoder.read<std::uint32_t>(); sets > 0 && !decoder.failed(); --sets) {
    ChooseArgs& args = map.choose_args[decoder.read<std::int64_t>()];
    for (auto used = decoder.read<std::uint32_t>(); used > 0 && !decoder.failed(); --used) {
      const auto slot = decoder.read<std::uint32_t>();
      auto arg = decoder.read<ChooseArg>();
      if (decoder.failed() || slot >= map.buckets.size() || !fits(arg, map.buckets[slot])) return decoder.fail();
      if (!arg.empty()) args[slot] = std::move(arg);
    }
  }
}

}  // namespace

void Rule::encode(Encoder& encoder) const {
  encoder(static_cast<std::uint32_t>(steps.size()));
  encoder(ruleset);
  encoder(type);
  encoder(size_min);
  encoder(size_max);
  for (const auto& step : steps) encoder(step);
}

void Rule::decode(Decoder& decoder) {
  const auto count = decoder.read<std::uint32_t>();
  decoder(ruleset);
  decoder(type);
  decoder(size_min);
  decoder(size_max);
  if (count > limits::rule_steps_max) return decoder.fail();
  steps.resize(count);
  for (auto& step : steps) decoder(step);
}

void CrushMap::encode(Encoder& encoder) const {
  encoder(magic);
  encoder(static_cast<std::int32_t>(buckets.size()));
  encoder(static_cast<std::uint32_t>(rules.size()));
  encoder(max_devices);
  for (const auto& bucket : buckets) {
    encoder(bucket ? static_cast<std::uint32_t>(bucket->algorithm) : 0u);
    if (bucket) encoder(*bucket);
  }
  for (const auto& rule : rules) {
    encoder(static_cast<std::uint32_t>(rule.has_value()));
    if (rule) encoder(*rule);
  }
  encoder(type_names);
  encoder(item_names);
  encoder(rule_names);
  encoder(tunables.choose_local_tries);
  encoder(tunables.choose_local_fallback_tries);
  encoder(tunables.choose_total_tries);
  encoder(tunables.chooseleaf_descend_once);
  encoder(tunables.chooseleaf_vary_r);
  encoder(tunables.straw_calc_version);
  encoder(tunables.allowed_bucket_algs);
  encoder(tunables.chooseleaf_stable);
  encoder(item_classes);
  encoder(class_names);
  encoder(class_buckets);
  encode_choose_args(encoder, choose_args);
}

void CrushMap::decode(Decoder& decoder) {
  *this = {};
  if (decoder.read<std::uint32_t>() != magic) return decoder.fail();
  const auto bucket_slots = decoder.read<std::uint32_t>();
  const auto rule_slots = decoder.read<std::uint32_t>();
  decoder(max_devices);
  // Every slot takes at least four bytes.
  if (bucket_slots > limits::bucket_slots_max || bucket_slots > decoder.remaining() / 4) return decoder.fail();
  if (rule_slots > limits::rules_max) return decoder.fail();
  buckets.resize(bucket_slots);
  rules.resize(rule_slots);
  for (auto& bucket : buckets) {
    const auto algorithm = decoder.read<std::uint32_t>();
    if (algorithm == 0) continue;
    decoder(bucket.emplace());
    if (static_cast<std::uint32_t>(bucket->algorithm) != algorithm) decoder.fail();
    if (decoder.failed()) return;
  }
  for (auto& rule : rules)
    if (decoder.read<std::uint32_t>()) decoder(rule.emplace());
  decoder(type_names);
  decoder(item_names);
  decoder(rule_names);

  tunables = *Tunables::profile("legacy");
  const auto more = [&] { return !decoder.failed() && decoder.remaining() > 0; };
  if (more()) {
    decoder(tunables.choose_local_tries);
    decoder(tunables.choose_local_fallback_tries);
    decoder(tunables.choose_total_tries);
  }
  if (more()) decoder(tunables.chooseleaf_descend_once);
  if (more()) decoder(tunables.chooseleaf_vary_r);
  if (more()) decoder(tunables.straw_calc_version);
  if (more()) decoder(tunables.allowed_bucket_algs);
  if (more()) decoder(tunables.chooseleaf_stable);
  if (more()) {
    decoder(item_classes);
    decoder(class_names);
    decoder(class_buckets);
  }
  if (more()) decode_choose_args(decoder, *this);
  if (!decoder.failed() && !navigable()) decoder.fail();
}

Result<CrushMap> CrushMap::decode_map(Buffer bytes) {
  return spirula::decode<CrushMap>(std::move(bytes));
}

}  // namespace spirula::crush
