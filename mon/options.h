#pragma once
#include <span>

#include "base/config.h"

namespace spirula::mon {

/// The options of cmon, beside those every program has.
std::span<const Option> options();

}  // namespace spirula::mon
