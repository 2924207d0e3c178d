#include "appliance/disks.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fmt/format.h>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "appliance/files.h"
#include "appliance/tools.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

constexpr const char* btrfs_partition_type = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";  // Linux file system data
constexpr std::uint64_t gib = std::uint64_t{1} << 30;

std::string text_of(const json::object& object, const char* name) {
  auto* value = object.if_contains(name);
  if (!value || !value->is_string()) return {};
  std::string text(value->get_string());
  while (text.ends_with(' ')) text.pop_back();
  return text;
}
bool flag_of(const json::object& object, const char* name) {
  auto* value = object.if_contains(name);
  return value && value->is_bool() && value->get_bool();
}

/// Mount points of the device and of everything on it; and its partitions' paths.
void gather(const json::object& device, std::vector<std::string>& used_for, std::vector<std::string>& parts) {
  if (auto* points = device.if_contains("mountpoints"); points && points->is_array())
    for (const auto& point : points->get_array())
      if (point.is_string()) used_for.emplace_back(point.get_string());
  auto* children = device.if_contains("children");
  if (!children || !children->is_array()) return;
  for (const auto& child : children->get_array()) {
    if (!child.is_object()) continue;
    std::string type = text_of(child.get_object(), "type");
    if (type == "part")
      parts.push_back(text_of(child.get_object(), "path"));
    else
      used_for.push_back(fmt::format("{} {}", type, text_of(child.get_object(), "path")));
    gather(child.get_object(), used_for, parts);
  }
}

struct Listed {
  Disk disk;
  std::vector<std::string> parts;
};

Result<std::vector<Listed>> parse_devices(std::string_view text) {
  boost::system::error_code error;
  json::value parsed = json::parse(text, error);
  auto* devices = !error && parsed.is_object() ? parsed.get_object().if_contains("blockdevices") : nullptr;
  if (!devices || !devices->is_array()) return Errc::malformed;
  std::vector<Listed> all;
  for (const auto& each : devices->get_array()) {
    if (!each.is_object()) return Errc::malformed;
    const json::object& device = each.get_object();
    const std::string type = text_of(device, "type"), name = text_of(device, "name");
    if ((type != "disk" && type != "loop") || name.starts_with("zram") || name.starts_with("fd")) continue;
    Listed listed;
    Disk& disk = listed.disk;
    disk.path = text_of(device, "path");
    disk.model = text_of(device, "model");
    disk.serial = text_of(device, "serial");
    if (auto* size = device.if_contains("size"); size && size->is_int64())
      disk.bytes = static_cast<std::uint64_t>(size->get_int64());
    disk.rotational = flag_of(device, "rota");
    disk.removable = flag_of(device, "rm");
    disk.read_only = flag_of(device, "ro");
    disk.loop = type == "loop";
    if (disk.bytes == 0 || disk.path.empty()) continue;
    gather(device, disk.used_for, listed.parts);
    all.push_back(std::move(listed));
  }
  return all;
}

/// Adds what is on one device. A device that cannot be read counts as holding something.
void add_signatures(const std::string& device, Disk& disk) {
  auto done = run_tool({"wipefs", "--json", "--no-act", device});
  if (!done || !done->fine()) {
    disk.holds.push_back(fmt::format("something that cannot be read ({})", device));
    return;
  }
  if (done->output.empty()) return;
  boost::system::error_code error;
  json::value parsed = json::parse(done->output, error);
  auto* list = !error && parsed.is_object() ? parsed.get_object().if_contains("signatures") : nullptr;
  if (!list || !list->is_array()) {
    disk.holds.push_back(fmt::format("something that cannot be read ({})", device));
    return;
  }
  for (const auto& each : list->get_array()) {
    if (!each.is_object()) continue;
    const json::object& signature = each.get_object();
    std::string words = describe_signature(text_of(signature, "type"), text_of(signature, "label"));
    if (std::ranges::find(disk.holds, words) == disk.holds.end()) disk.holds.push_back(std::move(words));
    if (auto uuid = text_of(signature, "uuid"); !uuid.empty()) disk.filesystems.push_back(uuid);
  }
}

bool is_mounted(const std::string& target) {
  std::ifstream table("/proc/self/mountinfo");
  std::string line;
  while (std::getline(table, line)) {
    std::size_t at = 0;
    for (int i = 0; i < 4 && at != line.npos; ++i) at = line.find(' ', at + 1);
    if (at == line.npos) continue;
    if (line.compare(at + 1, line.find(' ', at + 1) - at - 1, target) == 0) return true;
  }
  return false;
}

bool wait_for_path(const std::string& path) {
  for (int i = 0; i < 100; ++i) {
    if (::access(path.c_str(), F_OK) == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

}  // namespace

std::string Disk::problem() const {
  if (!used_for.empty()) return fmt::format("It is in use: {}.", used_for.front());
  if (read_only) return "It is write-protected.";
  if (bytes < disk_bytes_min) return fmt::format("It is too small: {} GiB are needed.", disk_bytes_min / gib);
  return {};
}

Result<std::vector<Disk>> parse_lsblk(std::string_view text) {
  TRY(auto listed, parse_devices(text));
  std::vector<Disk> disks;
  for (auto& each : listed) disks.push_back(std::move(each.disk));
  return disks;
}

std::string describe_signature(const std::string& type, const std::string& label) {
  const std::string called = label.empty() ? "" : fmt::format(" called \"{}\"", label);
  if (type == "gpt" || type == "dos" || type == "PMBR" || type == "mac" || type == "bsd" || type == "sun")
    return "a partition table";
  if (type == "btrfs" && label.starts_with("spirula-")) return "a disk of a Spirula box" + called;
  if (type == "LVM2_member") return "part of an LVM volume group";
  if (type == "linux_raid_member" || type.ends_with("_raid_member")) return "part of a RAID";
  if (type == "zfs_member") return "part of a ZFS pool" + called;
  if (type == "crypto_LUKS") return "an encrypted volume (LUKS)" + called;
  if (type == "BitLocker") return "an encrypted Windows volume (BitLocker)";
  if (type == "ceph_bluestore") return "a Ceph disk (BlueStore)";
  if (type == "swap") return "swap space";
  if (type == "vfat" || type == "exfat" || type == "ntfs")
    return fmt::format("a Windows file system ({}){}", type, called);
  return fmt::format("a file system ({}){}", type, called);
}

Result<std::vector<Disk>> list_disks(const std::vector<std::string>& only, std::string& words) {
  std::vector<std::string> argv = {"lsblk", "--json", "--bytes", "--output",
                                   "NAME,PATH,TYPE,SIZE,MODEL,SERIAL,RO,ROTA,RM,MOUNTPOINTS"};
  argv.insert(argv.end(), only.begin(), only.end());
  words = "lsblk does not answer";
  TRY(auto done, run_tool(argv));
  // Some or all of those that were asked for are gone.
  constexpr int none_found = 32, some_found = 64;
  if (!only.empty() && done.status == none_found) return std::vector<Disk>{};
  if (!done.fine() && (only.empty() || done.status != some_found)) {
    words = "lsblk: " + done.words;
    return Errc::io;
  }
  auto listed = parse_devices(done.output);
  if (!listed) {
    words = "lsblk said something that is not understood";
    return listed.error();
  }
  std::vector<Disk> disks;
  for (auto& each : *listed) {
    if (each.disk.loop && only.empty()) continue;
    add_signatures(each.disk.path, each.disk);
    for (const auto& part : each.parts) add_signatures(part, each.disk);
    disks.push_back(std::move(each.disk));
  }
  return disks;
}

std::uint64_t journal_bytes(std::uint64_t disk_bytes) {
  constexpr std::uint64_t step = std::uint64_t{1} << 20;
  return std::clamp(disk_bytes / 16, gib / 4, 4 * gib) / step * step;
}

Result<> format_disk(const DiskRecord& record, bool erase, std::string& words) {
  // As it is now, not as it was when it was chosen.
  TRY(auto listed, list_disks({record.path}, words));
  if (listed.size() != 1) {
    words = fmt::format("{} is gone", record.path);
    return Errc::not_found;
  }
  const Disk& disk = listed.front();
  if (disk.serial != record.serial || disk.bytes != record.bytes) {
    words = fmt::format("{} is not the disk that was chosen", record.path);
    return Errc::stale;
  }
  if (auto problem = disk.problem(); !problem.empty()) {
    words = fmt::format("{}: {}", record.path, problem);
    return Errc::busy;
  }
  if (!disk.holds.empty() && !erase) {
    words = fmt::format("{} holds {}", record.path, disk.holds.front());
    return Errc::exists;
  }
  // Fails while anything else has it open for itself: a mount, a RAID, another daemon.
  int held = ::open(record.path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
  if (held < 0) {
    words = fmt::format("{} is in use", record.path);
    return Errc::busy;
  }
  ::close(held);
  if (!disk.holds.empty()) TRY(need_tool({"wipefs", "--all", "--force", record.path}, words));
  std::string data = record.path;
  if (!record.data_partition.empty()) {
    std::string table =
        fmt::format("label: gpt\nsize={}MiB, type={}, uuid={}, name=journal0\ntype={}, uuid={}, name=data0\n",
                    journal_bytes(record.bytes) >> 20, btrfs_partition_type, record.journal_partition,
                    btrfs_partition_type, record.data_partition);
    const std::string script = fmt::format("/run/spirula-partitions-{}", record.osd);
    TRY(write_file(script, table, 0600));
    auto made = need_tool({"sh", "-c", "exec sfdisk --quiet --wipe always --wipe-partitions always \"$1\" <\"$2\"",
                           "sh", record.path, script},
                          words);
    ::unlink(script.c_str());
    if (!made) return made.error();
    data = "/dev/disk/by-partuuid/" + record.data_partition;
    if (!wait_for_path(data) || !wait_for_path("/dev/disk/by-partuuid/" + record.journal_partition)) {
      words = fmt::format("the new partitions of {} do not appear", record.path);
      return Errc::timed_out;
    }
  }
  TRY(need_tool({"mkfs.btrfs", "--quiet", "--force", "--label", fmt::format("spirula-osd{}", record.osd), "--uuid",
                 record.filesystem, data},
                words, std::chrono::seconds(300)));
  return {};
}

Result<std::string> find_filesystem(const std::string& uuid) {
  // Without blkid's cache: a disk may have moved to another port.
  TRY(auto found,
      run_tool({"blkid", "--cache-file", "/dev/null", "--match-token", "UUID=" + uuid, "--output", "device"}));
  if (!found.fine() || found.output.empty()) return Errc::not_found;
  return found.output.substr(0, found.output.find('\n'));
}

Result<> mount_store(const std::string& uuid, const std::string& target, std::string& words) {
  if (is_mounted(target)) return {};
  auto device = find_filesystem(uuid);
  if (!device) {
    words = "the disk is not there";
    return device.error();
  }
  TRY(make_folder(target, 0700));
  // A long commit= and no access times: the store decides itself when a commit happens.
  if (::mount(device->c_str(), target.c_str(), "btrfs", MS_NOATIME, "commit=300") != 0) {
    std::error_code error = last_errno();
    words = fmt::format("{} cannot be mounted: {}", *device, error.message());
    return error;
  }
  return {};
}

Result<> unmount_store(const std::string& target) {
  for (int i = 0; is_mounted(target); ++i) {
    if (::umount(target.c_str()) == 0) continue;
    if (errno != EBUSY || i == 50) return last_errno();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return {};
}

}  // namespace spirula::appliance
