#pragma once
#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "appliance/document.h"

namespace spirula::appliance {

/// The settings file, which the owner keeps elsewhere: what makes another box, or this one set up anew, look the same
/// to the computers that mount its shares. It holds the shares' keys. Not in it: password, address, certificate, disks.
struct Backup {
  static constexpr std::int64_t format = 1;
  struct Share {
    std::string name, key;  ///< the key in base64, as in a mount line
    friend bool operator==(const Share&, const Share&) = default;
  };
  std::string name;  ///< of the box
  std::int64_t made = 0;
  std::vector<Share> shares;
  friend bool operator==(const Backup&, const Backup&) = default;
};

boost::json::object to_json(const Backup& backup);
/// In `problem` why this is no settings file that can be used, or nothing.
Backup parse_backup(const boost::json::object& from, std::string& problem);

/// What restoring it here comes to.
struct RestorePlan {
  std::vector<Backup::Share> missing;  ///< will be made, with the key they had
  std::vector<std::string> there;      ///< stay as they are
};
RestorePlan plan_restore(const Backup& backup, const Document& document);

}  // namespace spirula::appliance
