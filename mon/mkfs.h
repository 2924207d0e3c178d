#pragma once
#include <string>

#include "base/result.h"
#include "mon/state.h"
#include "msg/keyring.h"

namespace spirula {
class Config;
}

namespace spirula::mon {

/// The state of a new cluster: the monitor map with us in it, an OSD map without OSDs, the keys of `keyring`.
Result<State> initial_state(const msg::Uuid& fsid, const std::string& id, const msg::AddressVector& address,
                            const msg::Keyring& keyring, msg::Time now);

/// `cmon --mkfs`: makes `mon data` (its parents must exist) and the first checkpoint in it. fsid and address come from
/// the configuration, keys from the file that `keyring` names. `problem` explains an error. Errc::exists if the
/// directory holds a log already.
Result<> make_store(const Config& config, std::string& problem);

}  // namespace spirula::mon
