#include "mon/config_service.h"

namespace spirula::mon {

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

ConfigService::Section ConfigService::for_entity(const std::string& name) const {
  Section result;
  auto add = [&](const std::string& who) {
    auto found = sections_.find(who);
    if (found == sections_.end()) return;
    for (const auto& [option, value] : found->second) result[option] = value;
  };
  add("global");
  for (std::size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) add(name.substr(0, dot));
  add(name);
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
