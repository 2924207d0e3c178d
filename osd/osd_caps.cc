#include "osd/osd_caps.h"

#include <algorithm>
#include <optional>

namespace spirula::osd {

/// Words are separated by blanks or '='; clauses by ',' or ';'; quotes keep blanks together.
class OsdCapsParser {
 public:
  explicit OsdCapsParser(std::string_view text) : text_(text) {}

  Result<OsdCaps> parse() {
    OsdCaps caps;
    for (;;) {
      TRY(read_clause());
      if (words_.empty()) {
        if (at_ >= text_.size()) break;
        continue;
      }
      TRY(read_grants(caps));
      if (at_ >= text_.size()) break;
    }
    for (const auto& grant : caps.grants_)
      if (grant.rights == OsdCaps::everything && grant.pool.empty() && !grant.has_name_space &&
          grant.object_prefix.empty() && grant.application.empty())
        caps.everything_ = true;
    return caps;
  }

 private:
  struct Word {
    std::string text;
    bool quoted = false;
  };

  Result<> read_clause() {
    words_.clear();
    next_ = 0;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == ',' || c == ';') {
        ++at_;
        break;
      }
      if (c == ' ' || c == '\t' || c == '\n' || c == '=') {
        ++at_;
        continue;
      }
      Word word;
      if (c == '"' || c == '\'') {
        std::size_t end = text_.find(c, at_ + 1);
        if (end == text_.npos) return Errc::invalid;
        word.text = text_.substr(at_ + 1, end - at_ - 1);
        word.quoted = true;
        at_ = end + 1;
      } else {
        std::size_t end = text_.find_first_of(" \t\n=,;", at_);
        if (end == text_.npos) end = text_.size();
        word.text = text_.substr(at_, end - at_);
        at_ = end;
      }
      words_.push_back(std::move(word));
    }
    return {};
  }

  bool done() const { return next_ >= words_.size(); }
  Result<std::string> take() {
    if (done()) return Errc::invalid;
    return words_[next_++].text;
  }

  static bool is_keyword(std::string_view word) {
    static constexpr std::string_view keywords[] = {"pool", "namespace", "nspace", "object_prefix", "tag",
                                                    "class", "class-read", "class-write", "network"};
    return std::ranges::find(keywords, word) != std::end(keywords) || rights_of(word).has_value();
  }
  static std::optional<std::uint8_t> rights_of(std::string_view word) {
    if (word == "*" || word == "all") return OsdCaps::everything;
    std::uint8_t rights = 0;
    for (char c : word) {
      if (c == 'r') rights |= OsdCaps::read;
      else if (c == 'w') rights |= OsdCaps::write;
      else if (c == 'x') rights |= OsdCaps::execute;
      else return std::nullopt;
    }
    if (word.empty()) return std::nullopt;
    return rights;
  }

  /// True if the word began a condition on what is accessed.
  Result<bool> read_condition(const std::string& word, OsdCaps::Grant& grant) {
    if (word == "pool") {
      TRY(grant.pool, take());
    } else if (word == "namespace" || word == "nspace") {
      TRY(grant.name_space, take());
      grant.has_name_space = true;
    } else if (word == "object_prefix") {
      TRY(grant.object_prefix, take());
    } else if (word == "tag") {
      TRY(grant.application, take());
      TRY(grant.key, take());
      TRY(grant.value, take());
    } else {
      return false;
    }
    return true;
  }

  Result<> read_grants(OsdCaps& caps) {
    TRY(auto first, take());
    OsdCaps::Grant grant;
    if (first == "profile" || first.starts_with("profile-")) {
      std::string name = first.size() > 8 ? first.substr(8) : "";
      if (name.empty()) {
        TRY(name, take());
      }
      while (!done()) {
        TRY(auto word, take());
        TRY(bool known, read_condition(word, grant));
        if (!known) return Errc::invalid;
      }
      return add_profile(caps, name, grant);
    }
    if (first != "allow") return Errc::invalid;
    bool any = false;
    while (!done()) {
      TRY(auto word, take());
      TRY(bool known, read_condition(word, grant));
      if (known) continue;
      any = true;
      if (word == "class") {
        TRY(grant.class_name, take());
        if (!done() && !is_keyword(words_[next_].text)) {
          TRY(grant.method, take());
        }
      } else if (word == "class-read") {
        grant.rights |= OsdCaps::class_read;
      } else if (word == "class-write") {
        grant.rights |= OsdCaps::class_write;
      } else if (auto rights = rights_of(word)) {
        grant.rights |= *rights;
      } else {
        return Errc::invalid;  // also "network": not offered, so not silently ignored
      }
    }
    if (!any) return Errc::invalid;
    caps.grants_.push_back(std::move(grant));
    return {};
  }

  /// Ceph: OSDCapGrant::expand_profile.
  static Result<> add_profile(OsdCaps& caps, const std::string& name, const OsdCaps::Grant& where) {
    auto add = [&](std::uint8_t rights, const char* prefix, const char* class_name) {
      OsdCaps::Grant grant = where;
      grant.rights = rights;
      grant.object_prefix = prefix;
      grant.class_name = class_name;
      caps.grants_.push_back(std::move(grant));
    };
    if (name == "rbd") {
      add(OsdCaps::class_read, "rbd_children", "");
      add(OsdCaps::class_read, "rbd_mirroring", "");
      add(0, "rbd_info", "metadata_list");
      add(OsdCaps::read | OsdCaps::write | OsdCaps::execute, "", "");
      return {};
    }
    if (name == "rbd-read-only") {
      add(OsdCaps::read | OsdCaps::class_read, "", "");
      add(OsdCaps::read | OsdCaps::write, "rbd_header.", "");
      return {};
    }
    return Errc::invalid;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Word> words_;
  std::size_t next_ = 0;
};

Result<OsdCaps> OsdCaps::parse(std::string_view text) {
  return OsdCapsParser(text).parse();
}

bool OsdCaps::Grant::matches(const Access& access) const {
  if (!pool.empty() && pool != access.pool) return false;
  if (has_name_space) {
    if (name_space.ends_with('*')) {
      if (!access.name_space.starts_with(std::string_view(name_space).substr(0, name_space.size() - 1))) return false;
    } else if (name_space != access.name_space) {
      return false;
    }
  }
  if (!object_prefix.empty() && !access.object.starts_with(object_prefix)) return false;
  if (!application.empty()) {
    if (!access.applications) return false;
    auto tagged = [&](const std::map<std::string, std::string>& values) {
      if (key == "*" && value == "*") return true;
      for (const auto& [k, v] : values)
        if ((key == "*" || key == k) && (value == "*" || value == v)) return true;
      return false;
    };
    for (const auto& [name, values] : *access.applications)
      if ((application == "*" || application == name) && tagged(values)) return true;
    return false;
  }
  return true;
}

bool OsdCaps::Grant::allows(const Access& access) const {
  if ((access.reads && !(rights & read)) || (access.writes && !(rights & write))) return false;
  return true;
}

bool OsdCaps::allows(const Access& access) const {
  if (everything_) return true;
  std::vector<bool> call_allowed(access.calls ? access.calls->size() : 0);
  for (const Grant& grant : grants_) {
    if (!grant.matches(access) || !grant.allows(access)) continue;
    if (call_allowed.empty() || grant.rights == everything) return true;
    bool all = true;
    for (std::size_t i = 0; i < call_allowed.size(); ++i) {
      const ClassCall& call = (*access.calls)[i];
      if (!grant.class_name.empty()) {
        if (grant.class_name == call.class_name && (grant.method.empty() || grant.method == call.method))
          call_allowed[i] = true;
      } else if ((!call.reads || (grant.rights & class_read)) && (!call.writes || (grant.rights & class_write))) {
        call_allowed[i] = true;
      }
      all = all && call_allowed[i];
    }
    if (all) return true;
  }
  return false;
}

}  // namespace spirula::osd
