#pragma once
#include <optional>
#include <string>

namespace spirula::appliance {

/// The address under which other machines find this one: that of the default route, or else of the first network there
/// is. Nothing without a network. Asks the kernel only; sends nothing.
std::optional<std::string> primary_address();

}  // namespace spirula::appliance
