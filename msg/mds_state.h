#pragma once
#include <cstdint>

namespace spirula::msg {

/// CEPH_MDS_STATE_* (Ceph: MDSMap::DaemonState), as MDSMap shows them and as a beacon asks for them.
enum class MdsState : std::int32_t {
  null = -10,
  dne = 0,  ///< in a beacon: stopping for good
  stopped = -1,
  boot = -4,
  standby = -5,
  creating = -6,
  starting = -7,
  standby_replay = -8,
  replay = 8,
  resolve = 9,
  reconnect = 10,
  rejoin = 11,
  clientreplay = 12,
  active = 13,
  stopping = 14,
  damaged = 15,
};
const char* describe(MdsState state);  ///< "up:active", as stock tools print it

}  // namespace spirula::msg
