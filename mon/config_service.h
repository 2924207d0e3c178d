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

/// Where an entity is, for values that hold only there.
struct ConfigLocation {
  std::vector<std::pair<std::string, std::string>> places;  ///< CRUSH type and bucket, from the nearest outwards
  std::string device_class;                                 ///< of an OSD
};

/// Where a value holds: a section ("global", "osd", "osd.3", "client.rgw"), there perhaps only for the entities of a
/// place or a device class. As text "osd", "osd/rack:r1", "osd/class:ssd", "osd/rack:r1/class:ssd" (Ceph: OptionMask).
struct ConfigTarget {
  std::string section;
  std::string place_type, place;
  std::string device_class;

  /// `problem` explains in words what is no target.
  static std::optional<ConfigTarget> parse(const std::string& text, std::string& problem);
  std::string describe() const;
  std::string describe_mask() const;  ///< "rack:r1", "class:ssd", or nothing
  bool is_masked() const { return !place_type.empty() || !device_class.empty(); }
  bool holds_at(const ConfigLocation& where) const;
};

/// The central configuration: values by target and option name, which is written with '_' (options of modules keep
/// their '/'). A service of mon/state.h.
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

  /// By ConfigTarget::describe().
  const std::map<std::string, Section>& sections() const { return sections_; }
  std::uint64_t number() const { return number_; }
  const std::deque<Past>& history() const { return history_; }
  /// What applies to one entity: global, then its type, then each dotted prefix of its name; in each of these first
  /// what holds everywhere, then what holds at its place (the nearest wins), then what holds for its device class.
  Section for_entity(const std::string& name, const ConfigLocation& where = {}) const;
  /// The targets that apply to an entity, from the weakest to the strongest.
  std::vector<std::string> targets_for(const std::string& name, const ConfigLocation& where = {}) const;

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
