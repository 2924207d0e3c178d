#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "filestore/file_descriptor.h"
#include "filestore/index.h"

/// Opening and listing by path, below an open directory (or AT_FDCWD). Errors are the kernel's.
namespace spirula::filestore {

Result<FileDescriptor> open_directory(int at, const std::string& path);
/// Access::cached: Errc::again, whatever is wrong, unless the kernel remembers the way there.
Result<FileDescriptor> open_file(int at, const std::string& path, int flags, Access access);
/// What is in a directory.
Result<std::vector<std::string>> names_in(int at, const std::string& directory);

}  // namespace spirula::filestore
