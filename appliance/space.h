#pragma once
#include <boost/json/value.hpp>

namespace spirula::appliance {

/// Bytes of files, each counted once.
struct Space {
  double used = 0, total = 0;
};
/// From the monitor's `df`. What the stores take for themselves is in neither number.
Space space_of(const boost::json::value& df, unsigned copies);

}  // namespace spirula::appliance
