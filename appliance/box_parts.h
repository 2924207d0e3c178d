#pragma once
#include <string>
#include <vector>

#include "appliance/box.h"
#include "appliance/json_read.h"

/// What the two halves of Box share.
namespace spirula::appliance {

/// The CRUSH rule of our pools.
inline constexpr const char* disks_rule = "disks";
inline constexpr const char* not_written =
    "The configuration could not be written. Nothing was touched. Make room on the system disk, then try again.";

std::string osd_name(int osd);
std::string new_uuid();

/// What the document shall say of the chosen disk. An error, and in `words` what to do, when it may not be used.
Result<DiskRecord> record_of(const std::vector<Disk>& disks, const DiskChoice& choice, int osd,
                             const std::vector<DiskRecord>& ours, std::string& words);

}  // namespace spirula::appliance
