#include "msg/mds_state.h"

namespace spirula::msg {

const char* describe(MdsState state) {
  switch (state) {
    case MdsState::null:
      return "null";
    case MdsState::dne:
      return "down:dne";
    case MdsState::stopped:
      return "down:stopped";
    case MdsState::boot:
      return "up:boot";
    case MdsState::standby:
      return "up:standby";
    case MdsState::creating:
      return "up:creating";
    case MdsState::starting:
      return "up:starting";
    case MdsState::standby_replay:
      return "up:standby-replay";
    case MdsState::replay:
      return "up:replay";
    case MdsState::resolve:
      return "up:resolve";
    case MdsState::reconnect:
      return "up:reconnect";
    case MdsState::rejoin:
      return "up:rejoin";
    case MdsState::clientreplay:
      return "up:clientreplay";
    case MdsState::active:
      return "up:active";
    case MdsState::stopping:
      return "up:stopping";
    case MdsState::damaged:
      return "down:damaged";
  }
  return "???";
}

}  // namespace spirula::msg
