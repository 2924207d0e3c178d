#include "msg/hobject.h"

#include <fmt/format.h>

namespace spirula::msg {

std::uint32_t reverse_bits(std::uint32_t value) {
  return __builtin_bitreverse32(value);
}

bool HObject::is_min() const {
  return *this == HObject{};
}

void HObject::encode(Encoder& encoder) const {
  encoder.envelope(4, 3, [&] {
    encoder(key);
    encoder(name);
    encoder(snap);
    encoder(hash);
    encoder(is_max);
    encoder(name_space);
    encoder(pool);
  });
}

void HObject::decode(Decoder& decoder) {
  decoder.envelope(4, [&] {
    if (decoder.version() < 4) return decoder.fail();  // nobody we serve writes older ones
    decoder(key, 4096);
    decoder(name, 4096);
    decoder(snap);
    decoder(hash);
    decoder(is_max);
    decoder(name_space, 4096);
    decoder(pool);
    // Hammer wrote the lower end with pool -1.
    if (pool == -1 && snap.value == 0 && hash == 0 && !is_max && name.empty())
      pool = std::numeric_limits<std::int64_t>::min();
  });
}

std::strong_ordering operator<=>(const HObject& a, const HObject& b) {
  if (auto order = a.is_max <=> b.is_max; order != 0) return order;
  if (auto order = a.pool <=> b.pool; order != 0) return order;
  if (auto order = reverse_bits(a.hash) <=> reverse_bits(b.hash); order != 0) return order;
  if (auto order = a.name_space <=> b.name_space; order != 0) return order;
  if (!(a.key.empty() && b.key.empty())) {
    const std::string& key_a = a.key.empty() ? a.name : a.key;
    const std::string& key_b = b.key.empty() ? b.name : b.key;
    if (auto order = key_a <=> key_b; order != 0) return order;
  }
  if (auto order = a.name <=> b.name; order != 0) return order;
  if (auto order = a.snap <=> b.snap; order != 0) return order;
  return a.key <=> b.key;
}

std::string HObject::describe() const {
  if (is_max) return "MAX";
  if (is_min()) return "MIN";
  std::string version = snap == snap_head ? "head" : snap == snap_dir ? "snapdir" : fmt::format("{:x}", snap.value);
  return fmt::format("{}:{:08x}:{}:{}:{}:{}", pool, reverse_bits(hash), name_space, key, name, version);
}

}  // namespace spirula::msg
