#include "crush/object_hash.h"

#include <array>
#include <cstddef>

#include "crush/hash.h"

namespace spirula::crush {

std::uint32_t hash_rjenkins(std::string_view bytes) {
  constexpr std::uint32_t golden_ratio = 0x9e3779b9;
  std::array<std::uint32_t, 3> state{golden_ratio, golden_ratio, 0};
  const std::size_t length = bytes.size();
  const auto add_byte = [&](std::size_t slot, char byte) {
    state[slot / 4] += static_cast<std::uint32_t>(static_cast<unsigned char>(byte)) << (slot % 4 * 8);
  };
  for (; bytes.size() >= 12; bytes.remove_prefix(12)) {
    for (std::size_t i = 0; i < 12; ++i) add_byte(i, bytes[i]);
    detail::jenkins_mix(state[0], state[1], state[2]);
  }
  // The tail leaves the lowest byte of the third word to the length.
  state[2] += static_cast<std::uint32_t>(length);
  for (std::size_t i = 0; i < bytes.size(); ++i) add_byte(i < 8 ? i : i + 1, bytes[i]);
  detail::jenkins_mix(state[0], state[1], state[2]);
  return state[2];
}

std::uint32_t hash_linux_dcache(std::string_view bytes) {
  std::uint64_t hash = 0;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    hash = (hash + (static_cast<std::uint64_t>(value) << 4) + (value >> 4)) * 11;
  }
  return static_cast<std::uint32_t>(hash);
}

std::uint32_t hash_string(StringHash kind, std::string_view bytes) {
  switch (kind) {
    case StringHash::linux_dcache:
      return hash_linux_dcache(bytes);
    case StringHash::rjenkins:
      return hash_rjenkins(bytes);
  }
  return 0xffffffff;
}

}  // namespace spirula::crush
