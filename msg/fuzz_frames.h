#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/crc32c.h"
#include "msg/frame_layout.h"

namespace spirula::msg {

/// Turns a fuzzer's bytes into frames whose checksums are right, so that it gets past them: a tag, a byte of segment
/// count and defects, two bytes of length for each segment, then what is in them.
inline std::vector<std::byte> frames_from(ByteView recipe) {
  using namespace frame_layout;
  std::vector<std::byte> out;
  auto byte = [&]() -> unsigned {
    if (recipe.empty()) return 0;
    auto value = std::to_integer<unsigned>(recipe[0]);
    recipe = recipe.subspan(1);
    return value;
  };
  auto checksum = [&](std::uint32_t crc) {
    std::byte bytes[4];
    store_u32(bytes, crc);
    out.insert(out.end(), bytes, bytes + 4);
  };
  while (!recipe.empty()) {
    std::byte preamble[preamble_size]{};
    preamble[0] = static_cast<std::byte>(byte());
    unsigned choice = byte(), count = choice % 4 + 1;
    preamble[1] = static_cast<std::byte>(choice & 0x10 ? choice : count);
    std::uint32_t lengths[4]{}, crcs[4]{};
    for (unsigned i = 0; i < count; ++i) {
      lengths[i] = byte() | byte() << 8;
      store_u32(preamble + 2 + 6 * i, choice & 0x20 ? lengths[i] << 16 : lengths[i]);
    }
    store_u32(preamble + preamble_size - 4, crc32c(0, ByteView(preamble, preamble_size - 4)) ^ (choice & 0x40));
    out.insert(out.end(), preamble, preamble + preamble_size);
    for (unsigned i = 0; i < count; ++i) {
      std::size_t at = out.size(), size = std::min<std::size_t>(lengths[i], recipe.size());
      out.insert(out.end(), recipe.begin(), recipe.begin() + static_cast<std::ptrdiff_t>(size));
      recipe = recipe.subspan(size);
      out.resize(at + lengths[i]);
      crcs[i] = crc32c(~0u, ByteView(out).subspan(at));
      if (i == 0 && lengths[0]) checksum(crcs[0] ^ (choice & 0x80));
    }
    if (count == 1) continue;
    out.push_back(choice & 8 ? status_aborted : status_complete);
    for (unsigned i = 1; i < 4; ++i) checksum(crcs[i]);
  }
  return out;
}

}  // namespace spirula::msg
