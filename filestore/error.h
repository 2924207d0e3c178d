#pragma once
#include <system_error>

#include "base/result.h"

namespace spirula::filestore {

/// True if `error`, ours or the kernel's, means what `code` means.
inline bool is(const std::error_code& error, Errc code) {
  return error.default_error_condition() == make_error_code(code).default_error_condition();
}

}  // namespace spirula::filestore
