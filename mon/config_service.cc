#include "mon/config_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace spirula::mon {

std::optional<ConfigTarget> ConfigTarget::parse(const std::string& text, std::string& problem) {
  ConfigTarget target;
  auto slash = text.find('/');
  target.section = text.substr(0, slash);
  static constexpr const char* types[] = {"mon", "mgr", "osd", "mds", "client"};
  std::string type = target.section.substr(0, target.section.find('.'));
  if (target.section != "global" && std::ranges::find(types, type) == std::end(types)) {
    problem = fmt::format("unrecognized config target '{}'", text);
    return std::nullopt;
  }
  while (slash != text.npos) {
    auto start = slash + 1;
    slash = text.find('/', start);
    std::string mask = text.substr(start, slash == text.npos ? text.npos : slash - start);
    auto colon = mask.find(':');
    std::string key = mask.substr(0, colon), value = colon == mask.npos ? "" : mask.substr(colon + 1);
    if (key.empty() || value.empty() || (key == "class" ? !target.device_class.empty() : !target.place.empty())) {
      problem = fmt::format("'{}': masks are given as class:NAME or TYPE:BUCKET, at most one of each", text);
      return std::nullopt;
    }
    if (key == "class") {
      target.device_class = value;
    } else {
      target.place_type = key;
      target.place = value;
    }
  }
  return target;
}

std::string ConfigTarget::describe_mask() const {
  std::string text;
  if (!place_type.empty()) text = place_type + ":" + place;
  if (!device_class.empty()) text += (text.empty() ? "class:" : "/class:") + device_class;
  return text;
}

std::string ConfigTarget::describe() const {
  return is_masked() ? section + "/" + describe_mask() : section;
}

bool ConfigTarget::holds_at(const ConfigLocation& where) const {
  if (!device_class.empty() && device_class != where.device_class) return false;
  return place_type.empty() || std::ranges::count(where.places, std::pair(place_type, place)) > 0;
}

Result<> ConfigService::apply(const Change& change) {
  Past past{number_ + 1, change.when, change.command, {}};
  for (const Step& step : change.steps) {
    auto section = sections_.find(step.who);
    std::optional<std::string> before;
    if (section != sections_.end())
      if (auto found = section->second.find(step.name); found != section->second.end()) before = found->second;
    if (before == step.value) continue;
    past.differences.push_back({step.who, step.name, before, step.value});
    if (step.value) {
      sections_[step.who][step.name] = *step.value;
    } else {
      section->second.erase(step.name);
      if (section->second.empty()) sections_.erase(section);
    }
  }
  if (past.differences.empty()) return {};
  ++number_;
  history_.push_back(std::move(past));
  if (history_.size() > limits::config_history_max) history_.pop_front();
  return {};
}

std::vector<std::string> ConfigService::targets_for(const std::string& name, const ConfigLocation& where) const {
  std::vector<std::string> names{"global"};
  for (std::size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
    names.push_back(name.substr(0, dot));
  if (name != "global") names.push_back(name);
  struct Candidate {
    std::size_t section = 0;
    bool classed = false;
    std::size_t nearness = 0;
    std::string target;
  };
  std::vector<Candidate> candidates;
  for (const auto& [text, section] : sections_) {
    std::string problem;
    auto target = ConfigTarget::parse(text, problem);
    if (!target || !target->holds_at(where)) continue;
    auto found = std::ranges::find(names, target->section);
    if (found == names.end()) continue;
    Candidate candidate{static_cast<std::size_t>(found - names.begin()), !target->device_class.empty(), 0, text};
    for (std::size_t i = 0; i < where.places.size(); ++i)
      if (where.places[i].first == target->place_type) candidate.nearness = where.places.size() - i;
    candidates.push_back(std::move(candidate));
  }
  std::ranges::sort(candidates, {}, [](const Candidate& c) { return std::tuple(c.section, c.classed, c.nearness); });
  std::vector<std::string> result;
  for (auto& candidate : candidates) result.push_back(std::move(candidate.target));
  return result;
}

ConfigService::Section ConfigService::for_entity(const std::string& name, const ConfigLocation& where) const {
  Section result;
  for (const auto& target : targets_for(name, where))
    for (const auto& [option, value] : sections_.at(target)) result[option] = value;
  return result;
}

Result<> ConfigKeyService::apply(const Change& change) {
  for (const auto& [key, value] : change.keys) {
    if (value)
      keys_[key] = *value;
    else
      keys_.erase(key);
  }
  return {};
}

}  // namespace spirula::mon
