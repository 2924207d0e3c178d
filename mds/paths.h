#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace spirula::mds {

/// The names of a path, empty ones left out.
std::vector<std::string_view> split_path(std::string_view path);
/// A name that may be made. Errc::name_too_long, Errc::invalid.
Result<> check_name(std::string_view name);

}  // namespace spirula::mds
