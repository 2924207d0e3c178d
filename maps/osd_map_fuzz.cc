// Maps from strangers: never a crash, and what is accepted encodes to something that decodes to the same.
#include "base/check.h"
#include "maps/fs_map.h"
#include "maps/mon_map.h"
#include "maps/osd_map.h"

using namespace spirula;

template <class T>
static void round_trip(const Buffer& bytes) {
  auto value = decode<T>(bytes);
  if (!value) return;
  auto again = decode<T>(encode(*value));
  CHECK(again && *again == *value);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Buffer bytes = Buffer::copy_of(std::as_bytes(std::span(data + 1, size - 1)));
  switch (data[0] % 5) {
    case 0:
      if (auto map = maps::OsdMap::decode_map(bytes)) CHECK(maps::OsdMap::decode_map(map->encode_map()).has_value());
      break;
    case 1:
      if (auto change = maps::OsdMapIncremental::decode_map(bytes)) {
        maps::OsdMap map;
        map.epoch = change->epoch.previous();
        map.fsid = change->fsid;
        map.osds.resize(4);
        (void)map.apply(*change);
      }
      break;
    case 2:
      round_trip<maps::FsMap>(bytes);
      break;
    case 3:
      round_trip<maps::MdsMap>(bytes);
      break;
    default:
      round_trip<maps::MonMap>(bytes);
  }
  return 0;
}
