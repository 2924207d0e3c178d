#pragma once
#include <boost/json/value.hpp>
#include <string>

#include "base/result.h"

namespace spirula::appliance {

/// Asks a daemon on this machine through its admin socket, as `ceph daemon PATH COMMAND` does; blocks for at most two
/// seconds. Errc::refused (it does not run), Errc::timed_out, Errc::malformed.
Result<boost::json::value> ask_daemon(const std::string& socket_path, const std::string& command);

}  // namespace spirula::appliance
