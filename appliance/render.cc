#include "appliance/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "appliance/disks.h"

namespace spirula::appliance {

namespace {

std::string endpoint(const std::string& address, unsigned port) {
  const bool ipv6 = address.find(':') != address.npos;
  return ipv6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

}  // namespace

std::string Places::mon_endpoint() const {
  return endpoint(address, mon_port);
}
std::string Places::endpoint_of(const std::string& name) const {
  if (daemon_port == 0) return address;
  constexpr unsigned metadata_servers = 2;
  unsigned offset = name == "mds.b" ? 1 : 0;
  if (name.starts_with("osd.")) offset = metadata_servers + static_cast<unsigned>(std::stoul(name.substr(4)));
  return endpoint(address, daemon_port + offset);
}
std::string Places::store(int osd) const {
  return fmt::format("{}/osd.{}", state, osd);
}
std::string Places::keyring(const std::string& entity) const {
  return fmt::format("{}/keys/{}.keyring", state, entity);
}
std::string Places::admin_socket(const std::string& name) const {
  return fmt::format("{}/run/{}.asok", state, name);
}

std::string ceph_conf(const Document& document, const Places& places) {
  std::string text = fmt::format(R"([global]
fsid = {}
mon host = [v2:{}/0]
public addr = {}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = {}
osd pool default min size = {}
mon osd min down reporters = 1
mon warn on pool no redundancy = false
mon data avail warn = 10

[client]
keyring = {}
)",
                                 document.fsid, places.mon_endpoint(), places.address, document.copies,
                                 copies_needed(document.copies), places.keyring("client.admin"));
  auto section = [&](const std::string& name, const std::string& more) {
    text += fmt::format("\n[{}]\nadmin socket = {}\nlog file = {}/log/{}.log\n{}", name, places.admin_socket(name),
                        places.state, name, more);
  };
  section("mon.a", fmt::format("mon data = {}/mon.a\npublic addrv = [v2:{}/0]\nkeyring = {}\nmon legacy port = 0\n",
                               places.state, places.mon_endpoint(), places.keyring("bootstrap")));
  for (const char* mds : {"mds.a", "mds.b"})
    section(mds, fmt::format("public addr = {}\nkeyring = {}\n", places.endpoint_of(mds), places.keyring(mds)));
  for (const DiskRecord& disk : document.disks) {
    const std::string name = fmt::format("osd.{}", disk.osd);
    std::string more = fmt::format("public addr = {}\nosd data = {}\nkeyring = {}\n", places.endpoint_of(name),
                                   places.store(disk.osd), places.keyring(name));
    if (disk.journal_partition.empty())
      more += fmt::format("osd journal size = {}\n", journal_bytes(disk.bytes) >> 20);
    else
      more += fmt::format("osd journal = /dev/disk/by-partuuid/{}\n", disk.journal_partition);
    section(name, more);
  }
  return text;
}

ShareCaps share_caps(const ShareRecord& share) {
  return {.mon = fmt::format("allow r fsname={}", file_system_name),
          .osd = fmt::format("allow rw pool={} namespace={}", data_pool, share.name_space()),
          .mds = fmt::format("allow rw fsname={} path=/{}", file_system_name, share.name)};
}

MountLines mount_lines(const ShareRecord& share, const std::string& key, const Places& places) {
  const std::string source = fmt::format("{}:/{}", places.mon_endpoint(), share.name);
  const std::string options = fmt::format("name={},secret={},ms_mode=prefer-crc", share.name, key);
  return {
      .kernel = fmt::format("mount -t ceph {} /mnt/{} -o {}", source, share.name, options),
      .fstab = fmt::format("{} /mnt/{} ceph {},_netdev,noatime 0 0", source, share.name, options),
      .fuse = fmt::format("ceph-fuse -n {} --key={} -m 'v2:{}' -r /{} --no-config-file /mnt/{}", share.entity(), key,
                          places.mon_endpoint(), share.name, share.name),
  };
}

unsigned copies_needed(unsigned copies) {
  return copies > 2 ? 2 : 1;
}

Plan plan_for(const std::vector<std::uint64_t>& disk_bytes, unsigned copies) {
  // What btrfs's own metadata, the snapshots of commit points and the last reserve take, measured on empty stores.
  constexpr std::uint64_t overhead_min = std::uint64_t{640} << 20, overhead_share = 14;
  std::vector<std::uint64_t> room;
  for (std::uint64_t each : disk_bytes)
    room.push_back(each - std::min(each, journal_bytes(each) + std::max(each / overhead_share, overhead_min)));
  std::ranges::sort(room, std::greater());
  // No disk has two copies of the same file: the k largest disks can hold no more than k copies of what fits the rest.
  Plan plan{.copies = copies, .bytes = ~std::uint64_t{0}};
  for (unsigned largest = 0; largest < copies; ++largest) {
    std::uint64_t rest = 0;
    for (std::size_t i = largest; i < room.size(); ++i) rest += room[i];
    plan.bytes = std::min(plan.bytes, rest / (copies - largest));
  }
  plan.survives = "A power cut or a crash loses nothing that was saved. ";
  if (copies == 1)
    plan.survives += disk_bytes.size() > 1
                         ? "Files are spread over all the disks and each is kept once: if any one disk fails, files "
                           "are lost. Keep a copy of what matters somewhere else."
                         : "Each file is kept once: if the disk fails, the files are lost. Keep a copy of what matters "
                           "somewhere else.";
  else if (copies == 2)
    plan.survives += "Each file is kept on two disks: if any one disk fails, nothing is lost and everything goes on.";
  else
    plan.survives +=
        "Each file is kept on three disks: if any one disk fails, everything goes on. If two fail, nothing is lost, "
        "but the shares wait until one of them is back or replaced.";
  return plan;
}

}  // namespace spirula::appliance
