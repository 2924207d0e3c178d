#pragma once
#include <span>

#include "base/config.h"

namespace spirula::osd {

/// Options of `cosd`.
std::span<const Option> options();

}  // namespace spirula::osd
