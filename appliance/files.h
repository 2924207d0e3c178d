#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace spirula::appliance {

/// The whole file, up to `bytes_max`. Errc::not_found, Errc::too_large.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max = 4 << 20);

/// Replaces the file as one: a reader, or a start after a power cut, finds the old text or the new one. Durable on
/// return.
Result<> write_file(const std::string& path, std::string_view text, unsigned mode);

/// Makes the folder (and its parents) if it is not there.
Result<> make_folder(const std::string& path, unsigned mode);

}  // namespace spirula::appliance
