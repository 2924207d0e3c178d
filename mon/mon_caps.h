#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace spirula::mon {

/// r, w and x of a capability.
struct Access {
  bool read = false, write = false, execute = false;
  /// "rw", "rwx", "*"; nothing for other text.
  static std::optional<Access> parse(std::string_view text);
  bool covers(Access need) const {
    return (read || !need.read) && (write || !need.write) && (execute || !need.execute);
  }
};

/// What an entity may do at the monitor: the grammar of Ceph's MonCap (docs "user management").
///   allow r | allow rw | allow * | allow service auth r | allow profile osd | profile rbd
///   allow command "osd pool ls" [with name=value | with name prefix value | with name regex value]
///   ... [network 10.0.0.0/8] [fsname=NAME], separated by ',' or ';'
class MonCaps {
 public:
  /// Errc::invalid. An empty text allows nothing.
  static Result<MonCaps> parse(std::string_view text);

  /// Whether `need` on a service ("osd", "auth", ...) is granted. With a command's prefix and arguments, a grant of
  /// just that command will do as well.
  bool allows(std::string_view service, Access need, std::string_view command = {},
              const std::map<std::string, std::string>& arguments = {}) const;
  /// allow *: everything, on everything.
  bool allows_all() const;
  /// The file systems that this entity may see; empty: all of them.
  std::vector<std::string> file_systems() const;

 private:
  struct Match {
    enum class Kind { equal, prefix, regex } kind = Kind::equal;
    std::string value;
  };
  struct Grant {
    Access access;
    bool all = false;
    std::string service, command, profile, file_system;
    std::map<std::string, Match> arguments;
  };
  static bool command_matches(const Grant& grant, std::string_view command,
                              const std::map<std::string, std::string>& arguments);
  static void expand(const std::string& profile, std::vector<Grant>& grants);
  static bool grants_allow(const std::vector<Grant>& grants, std::string_view service, Access need,
                           std::string_view command, const std::map<std::string, std::string>& arguments);

  std::vector<Grant> grants_;
};

}  // namespace spirula::mon
