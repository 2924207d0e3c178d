#include "mon/auth_service.h"

#include <fmt/format.h>

namespace spirula::mon {

Result<> AuthService::apply(const Change& change) {
  for (const auto& [name, entry] : change.set) entries_[name] = entry;
  for (const auto& name : change.removed) entries_.erase(name);
  if (change.global_id_max) global_id_max_ = std::max(global_id_max_, *change.global_id_max);
  for (const auto& [type, secrets] : change.secrets) secrets_[type] = secrets;
  return {};
}

const AuthEntry* AuthService::find(const msg::KeyName& name) const {
  auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

msg::RotatingSecrets AuthService::secrets(msg::EntityType service) const {
  auto found = secrets_.find(static_cast<std::uint32_t>(service));
  return found == secrets_.end() ? msg::RotatingSecrets{} : found->second;
}

std::string print_keyring(const msg::KeyName& name, const AuthEntry& entry, bool with_caps) {
  std::string text = fmt::format("[{}]\n\tkey = {}\n", name.describe(), entry.key.print());
  if (with_caps)
    for (const auto& [service, caps] : entry.caps) text += fmt::format("\tcaps {} = \"{}\"\n", service, caps);
  return text;
}

}  // namespace spirula::mon
