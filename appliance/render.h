#pragma once
#include <string>

#include "appliance/document.h"

/// What the daemons and clients are told, as texts that follow from the document.
namespace spirula::appliance {

inline constexpr const char* file_system_name = "fs";
inline constexpr const char* metadata_pool = "cephfs.fs.meta";
inline constexpr const char* data_pool = "cephfs.fs.data";

/// Where things are on this machine.
struct Places {
  std::string state;    ///< folder
  std::string address;  ///< of the daemons: "192.168.1.5"
  unsigned mon_port = 3300;
  unsigned daemon_port = 0;          ///< of mds.a; mds.b and the OSDs by number follow. 0: each takes a free one
  std::string mon_endpoint() const;  ///< "192.168.1.5:3300", "[fd00::1]:3300"
  /// The same of "mds.a" or "osd.3"; without a port if those are not fixed.
  std::string endpoint_of(const std::string& name) const;
  std::string store(int osd) const;  ///< where its btrfs is mounted
  std::string keyring(const std::string& entity) const;
  std::string admin_socket(const std::string& name) const;  ///< of "osd.0"
  std::string conf() const { return state + "/ceph.conf"; }
};

std::string ceph_conf(const Document& document, const Places& places);

/// The capabilities of a share's key: this folder, this namespace, nothing else.
struct ShareCaps {
  std::string mon, osd, mds;
};
ShareCaps share_caps(const ShareRecord& share);

/// How to use a share, each as one line to copy.
struct MountLines {
  std::string kernel, fstab, fuse;
};
MountLines mount_lines(const ShareRecord& share, const std::string& key, const Places& places);

/// What the owner gets for these disks, before anything is done.
struct Plan {
  unsigned copies = 1;
  std::uint64_t bytes = 0;  ///< what can be stored
  std::string survives;     ///< in words
};
/// `copies` at most the number of disks.
Plan plan_for(const std::vector<std::uint64_t>& disk_bytes, unsigned copies);
/// How many copies have to be reachable for a share to go on: with two missing of three, it waits for one of them
/// rather than keep the only copy of what is written then on a single disk.
unsigned copies_needed(unsigned copies);

}  // namespace spirula::appliance
