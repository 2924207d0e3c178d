#include "maps/mds_map.h"

namespace spirula::maps {

CompatSet mds_compat_set(bool inline_data) {
  CompatSet set;
  // Ceph: MDS_FEATURE_INCOMPAT_*.
  set.incompat.names = {
      {1, "base v0.20"},
      {2, "client writeable ranges"},
      {3, "default file layouts on dirs"},
      {4, "dir inode in separate object"},
      {5, "mds uses versioned encoding"},
      {6, "dirfrag is stored in omap"},
      {8, "no anchor table"},
      {9, "file layout v2"},
      {10, "snaprealm v2"},
  };
  if (inline_data) set.incompat.names[7] = "mds uses inline data";
  for (const auto& [bit, name] : set.incompat.names) set.incompat.mask |= std::uint64_t{1} << bit;
  return set;
}

void FeatureBits::set(unsigned bit) {
  if (bit / 64 >= words.size()) words.resize(bit / 64 + 1);
  words[bit / 64] |= std::uint64_t{1} << (bit % 64);
}

void FeatureBits::encode(Encoder& encoder) const {
  encoder(static_cast<std::uint32_t>(words.size() * 8));
  for (std::uint64_t word : words) encoder(word);
}

void FeatureBits::decode(Decoder& decoder) {
  Decoder bytes(decoder.read<Buffer>());
  if (bytes.remaining() > 256) return decoder.fail();
  words.clear();
  while (bytes.remaining() > 0) {  // the kernel counts single bytes, not whole words
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 8 && bytes.remaining() > 0; ++i)
      word |= std::uint64_t{bytes.read<std::uint8_t>()} << 8 * i;
    words.push_back(word);
  }
}

const MdsInfo* MdsMap::holder(std::int32_t rank) const {
  auto who = up.find(rank);
  if (who == up.end()) return nullptr;
  auto it = daemons.find(who->second);
  return it == daemons.end() ? nullptr : &it->second;
}

}  // namespace spirula::maps
