#pragma once
#include <string>

#include "base/result.h"

namespace spirula::filestore {

/// Whether a device or file may be formatted without asking. Errc::busy unless its first and last MiB are zeros: every
/// file system, partition table, RAID, LVM, LUKS or journal of ours has its signature there. Errc::invalid: neither a
/// block device nor a file.
Result<> require_blank(const std::string& path);

}  // namespace spirula::filestore
