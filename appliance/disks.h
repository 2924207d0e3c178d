#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "appliance/document.h"
#include "base/result.h"

/// The disks of the box. Everything here blocks; nothing here touches a disk that it was not told to touch.
namespace spirula::appliance {

inline constexpr std::uint64_t disk_bytes_min = std::uint64_t{3} << 30;

/// One whole disk, as it is now.
struct Disk {
  std::string path, model, serial;
  std::uint64_t bytes = 0;
  bool rotational = false, removable = false, read_only = false, loop = false;
  std::vector<std::string> holds;        ///< every signature on it and its partitions, in words; empty: blank
  std::vector<std::string> filesystems;  ///< UUIDs of what it holds, to find our own again
  std::vector<std::string> used_for;     ///< where it is mounted, or what else has it open
  /// What has to be typed to have its data erased: the serial number, or the path where there is none.
  const std::string& erase_word() const { return serial.empty() ? path : serial; }
  /// Why it cannot be chosen, whatever is typed; empty if it can.
  std::string problem() const;
};

/// The output of `lsblk --json --bytes`; disks only. Signatures are filled in by list_disks().
Result<std::vector<Disk>> parse_lsblk(std::string_view text);
/// What one signature that `wipefs --json` names is, in words.
std::string describe_signature(const std::string& type, const std::string& label);

/// `only`: these paths and no others (loop devices included); empty: every disk of the machine except loop devices.
Result<std::vector<Disk>> list_disks(const std::vector<std::string>& only, std::string& words);

/// Bytes of an OSD's journal on a disk of this size.
std::uint64_t journal_bytes(std::uint64_t disk_bytes);

/// Erases the disk and makes what `record` says: a journal and a btrfs with that UUID; a loop device gets one btrfs and
/// its journal as a file. `erase` has to hold if the disk holds anything. `words` says what went wrong.
/// Errc::exists: it holds data. Errc::busy: something uses it.
Result<> format_disk(const DiskRecord& record, bool erase, std::string& words);

/// Where the btrfs with this UUID is now. Errc::not_found.
Result<std::string> find_filesystem(const std::string& uuid);
/// Mounts it at `target` for a store; at once if it is there already.
Result<> mount_store(const std::string& uuid, const std::string& target, std::string& words);
Result<> unmount_store(const std::string& target);

}  // namespace spirula::appliance
