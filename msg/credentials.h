#pragma once
#include <cstdint>
#include <memory>

#include "base/config.h"
#include "base/random.h"
#include "msg/auth.h"
#include "msg/cephx_client.h"

namespace spirula::msg {

/// What a program proves itself with when it connects.
struct Credentials {
  KeyName name;
  std::unique_ptr<AuthClient> client;
  CephxClient* cephx = nullptr;  ///< `client`, if it speaks cephx
};

/// From the configuration: auth_client_required (auth_cluster_required for daemons), key, keyfile, and keyring, a list
/// of files of which the first that exists counts. `services` is the mask of kinds of daemon we want tickets for,
/// `rotating` our own kind if we admit others by ticket.
/// Errc::not_found: cephx is required and there is no key for us. Errc::invalid: the name or a key is no such thing.
Result<Credentials> load_credentials(const Config& config, std::uint32_t services, EntityType rotating, Random& random,
                                     Clock& clock);

/// The modes our configuration allows, by who we are (ms_client_mode and its kin). Errc::invalid: an option names none.
Result<ModeChoice> modes_for(const Config& config);

}  // namespace spirula::msg
