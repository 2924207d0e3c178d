#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "appliance/document.h"
#include "base/clock.h"

namespace spirula::appliance {

/// How long somebody who guessed wrong has to wait. Never a lock: the owner gets in after at most
/// guess_delay_max from a guessing address, and guess_delay_any_address_max from any other. Where the right password
/// came from before, guesses from elsewhere cost nothing: nobody can keep the owner busy waiting.
class GuessDelays {
 public:
  /// Zero: go ahead. Otherwise the time to wait; what was typed is not even looked at.
  Duration wait_for(const std::string& address, MonotonicTime now) const;
  void wrong(const std::string& address, MonotonicTime now);
  void right(const std::string& address);

 private:
  struct Guesses {
    unsigned count = 0;
    MonotonicTime not_before{};
  };
  std::map<std::string, Guesses> by_address_;
  Guesses all_;
  std::set<std::string> trusted_;  ///< the right password came from there
};

struct Session {
  std::string id;    ///< what it is called on the list of sessions; no secret
  std::string csrf;  ///< what requests that change something must say in X-Spirula-CSRF
  std::string remote;
  std::string account;  ///< its name; what that account may do does not change while the session lasts
  Role role = Role::viewer;
  MonotonicTime made{}, used{};
};

/// Who is logged in; in memory only, so a restart logs everybody out. Tokens are kept as digests.
class Sessions {
 public:
  struct Opened {
    std::string token;  ///< for the cookie
    Session session;
  };
  /// Beyond sessions_max the one unused longest makes room.
  Opened open(const std::string& remote, const AccountRecord& account, MonotonicTime now);
  /// The session of a cookie's token, if it is neither idle nor old; it counts as used now.
  std::optional<Session> find(const std::string& token, MonotonicTime now);
  /// Whether it lasts; unlike find(), this is no use of it.
  bool is_open(const std::string& id, MonotonicTime now);
  bool close(const std::string& id);
  /// All of this account, but the one with this id.
  void close_all(const std::string& account, const std::string& but = {});
  std::vector<Session> list(MonotonicTime now);

 private:
  void forget_old(MonotonicTime now);
  std::map<std::string, Session> by_digest_;
};

}  // namespace spirula::appliance
