#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/codec.h"
#include "msg/types.h"

namespace spirula::mon {

/// The central configuration: values by section ("global", "osd", "osd.3", "client.rgw") and option name, which is
/// written with '_' (options of modules keep their '/'). A service of mon/state.h.
class ConfigService {
 public:
  static constexpr std::uint8_t service_id = 5;
  static constexpr std::uint8_t version = 1, compat = 1;
  using Section = std::map<std::string, std::string>;
  struct Step {
    std::string who, name;
    std::optional<std::string> value;  ///< none: removed
    static void fields(auto& self, auto& wire) {
      wire(self.who, 1024);
      wire(self.name, 1024);
      wire(self.value);
    }
  };
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    msg::Time when;
    std::string command;  ///< what the operator typed, for `config log`
    std::vector<Step> steps;
    static void fields(auto& self, auto& wire) {
      wire(self.when);
      wire(self.command);
      wire(self.steps);
    }
  };
  /// One line of `config log`.
  struct Past {
    struct Difference {
      std::string who, name;
      std::optional<std::string> before, after;
      static void fields(auto& self, auto& wire) {
        wire(self.who);
        wire(self.name);
        wire(self.before);
        wire(self.after);
      }
    };
    std::uint64_t number = 0;
    msg::Time when;
    std::string command;
    std::vector<Difference> differences;
    static void fields(auto& self, auto& wire) {
      wire(self.number);
      wire(self.when);
      wire(self.command);
      wire(self.differences);
    }
  };
  Result<> apply(const Change& change);

  const std::map<std::string, Section>& sections() const { return sections_; }
  std::uint64_t number() const { return number_; }
  const std::deque<Past>& history() const { return history_; }
  /// What applies to one entity: global, then its type, then each dotted prefix of its name.
  Section for_entity(const std::string& name) const;

  static void fields(auto& self, auto& wire) {
    wire(self.sections_);
    wire(self.number_);
    wire(self.history_);
  }

 private:
  std::map<std::string, Section> sections_;
  std::uint64_t number_ = 0;
  std::deque<Past> history_;
};

/// Opaque values by key, for daemons and tools. A service of mon/state.h.
class ConfigKeyService {
 public:
  static constexpr std::uint8_t service_id = 6;
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    std::map<std::string, std::optional<std::string>> keys;  ///< none: removed
    static void fields(auto& self, auto& wire) { wire(self.keys); }
  };
  Result<> apply(const Change& change);
  const std::map<std::string, std::string>& keys() const { return keys_; }
  static void fields(auto& self, auto& wire) { wire(self.keys_); }

 private:
  std::map<std::string, std::string> keys_;
};

namespace limits {
inline constexpr std::size_t config_history_max = 100;
inline constexpr std::size_t config_key_value_max = 65'536;  ///< Ceph: mon_config_key_max_entry_size
}  // namespace limits

}  // namespace spirula::mon
