#pragma once
#include <span>

#include "base/config.h"

namespace spirula::appliance {

/// What `applianced` is started with. Everything else it knows is in its document.
std::span<const Option> options();

}  // namespace spirula::appliance
