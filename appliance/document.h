#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace spirula::appliance {

/// A disk that is ours.
struct DiskRecord {
  int osd = 0;
  std::string path;        ///< as it was when it was chosen; a disk is found again by `filesystem`
  std::string serial;      ///< empty where the disk has none
  std::string filesystem;  ///< UUID of its btrfs; decided before that is made
  std::string data_partition, journal_partition;  ///< their UUIDs; empty where the btrfs takes the whole device
  bool erase = false;                             ///< what is on it may go: the owner typed the word. Until `made`.
  bool made = false;                              ///< the store is on it; never formatted again
  bool leaving = false;                           ///< the owner takes it out: what is on it goes to the others first
  std::uint64_t bytes = 0;
  friend bool operator==(const DiskRecord&, const DiskRecord&) = default;
};

struct ShareRecord {
  std::string name;       ///< also its path below the root, its key's name, and the end of its namespace's name
  std::int64_t made = 0;  ///< seconds since 1970
  std::string name_space() const { return "share-" + name; }
  std::string entity() const { return "client." + name; }
  friend bool operator==(const ShareRecord&, const ShareRecord&) = default;
};

/// What an account may do.
enum class Role {
  viewer,         ///< look at the overview; change nothing but its own password and second factor, see no key
  administrator,  ///< everything
};
/// As the API calls it.
std::string_view name_of(Role role);
std::optional<Role> role_of(std::string_view name);

/// Somebody who can log in to the page.
struct AccountRecord {
  std::string name;
  Role role = Role::viewer;
  std::string password_hash;                 ///< argon2id, as crypt prints it
  std::string totp_secret;                   ///< in base32; empty: the password is enough
  std::vector<std::string> recovery_hashes;  ///< SHA-256 in hexadecimal of the recovery codes that are left
  friend bool operator==(const AccountRecord&, const AccountRecord&) = default;
};
/// Whoever claimed the box; an administrator, and never taken away.
inline constexpr const char* owner_name = "owner";

/// How the box gets its address.
struct NetworkSettings {
  bool automatic = true;  ///< by DHCP; the rest is empty then
  std::string address;    ///< with its prefix: "192.168.1.5/24"
  std::string gateway, name_server;
  friend bool operator==(const NetworkSettings&, const NetworkSettings&) = default;
};

enum class SetupState {
  blank,   ///< nobody has chosen disks
  making,  ///< chosen and confirmed; what is not yet made will be made, also after a restart
  ready,
};

/// Everything that was ever decided about this box; all else on it is rendered from this.
struct Document {
  static constexpr std::int64_t format = 1;
  std::uint64_t revision = 0;  ///< grows with every save
  std::string name = "spirula";
  std::vector<AccountRecord> accounts;  ///< the owner's first; none: nobody has claimed the box
  std::string metrics_token_hash;       ///< SHA-256 in hexadecimal; empty: no token
  SetupState setup = SetupState::blank;
  std::string fsid;
  unsigned copies = 1;  ///< of every file, each on another disk
  std::vector<DiskRecord> disks;
  std::vector<ShareRecord> shares;
  NetworkSettings network;
  bool claimed() const { return !accounts.empty(); }
  /// None of this name: nullptr.
  const AccountRecord* account(std::string_view name) const;
  AccountRecord* account(std::string_view name);
  friend bool operator==(const Document&, const Document&) = default;
};

boost::json::object to_json(const Document& document);
/// What may be shown to the owner: without hashes.
boost::json::object to_public_json(const Document& document);
/// Errc::malformed, and `problem` says which field is wrong; Errc::unsupported for a later format.
Result<Document> parse_document(std::string_view text, std::string& problem);

boost::json::object to_json(const NetworkSettings& settings);
/// What is in `from`, checked: in `problem` what to do about it, or nothing.
NetworkSettings parse_network(const boost::json::object& from, std::string& problem);

/// Empty if the name will do for a share, otherwise what to change about it.
std::string problem_with_share_name(std::string_view name);
/// The same for an account.
std::string problem_with_account_name(std::string_view name);
/// The same for the box, which is found by this name on the network.
std::string problem_with_box_name(std::string_view name);

}  // namespace spirula::appliance
