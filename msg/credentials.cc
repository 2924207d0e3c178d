#include "msg/credentials.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "msg/keyring.h"

namespace spirula::msg {
namespace {

Result<CryptoKey> find_key(const Config& config, const KeyName& name) {
  if (std::string key = config.text("key"); !key.empty()) return CryptoKey::parse(key);
  if (std::string path = config.text("keyfile"); !path.empty()) {
    std::ifstream file(path);
    std::string key;
    if (!(file >> key)) return Errc::not_found;
    return CryptoKey::parse(key);
  }
  std::string paths = config.text("keyring");
  std::error_code why = make_error_code(Errc::not_found);
  for (std::size_t at = 0; at < paths.size();) {
    std::size_t end = paths.find_first_of(",; ", at);
    if (end == paths.npos) end = paths.size();
    std::string path = paths.substr(at, end - at);
    at = end + 1;
    if (path.empty()) continue;
    auto keyring = Keyring::load(path);
    if (!keyring) continue;
    auto key = keyring->find(name);
    if (key) return key;
    why = key.error();
  }
  return why;
}

Result<std::vector<ConnectionMode>> parse_modes(const Config& config, const char* option) {
  std::vector<ConnectionMode> modes;
  std::string text = config.text(option);
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find_first_of(" ,;", at), text.size());
    std::string_view word = std::string_view(text).substr(at, end - at);
    if (word == "crc")
      modes.push_back(ConnectionMode::crc);
    else if (word == "secure")
      modes.push_back(ConnectionMode::secure);
    else if (!word.empty())
      return Errc::invalid;
    at = end + 1;
  }
  if (modes.empty()) return Errc::invalid;
  return modes;
}

}  // namespace

Result<ModeChoice> modes_for(const Config& config) {
  const char *monitors = "ms_mon_client_mode", *daemons = "ms_cluster_mode", *clients = "ms_service_mode";
  if (config.type() == "client") {
    daemons = clients = "ms_client_mode";
  } else if (config.type() == "mon") {
    monitors = "ms_mon_cluster_mode";
    daemons = clients = "ms_mon_service_mode";
  }
  ModeChoice choice;
  TRY(choice.monitors, parse_modes(config, monitors));
  TRY(choice.daemons, parse_modes(config, daemons));
  TRY(choice.clients, parse_modes(config, clients));
  return choice;
}

Result<Credentials> load_credentials(const Config& config, std::uint32_t services, EntityType rotating, Random& random,
                                     Clock& clock) {
  Credentials credentials;
  TRY(credentials.name, KeyName::parse(config.name()));
  std::string methods = config.text(config.type() == "client" ? "auth_client_required" : "auth_cluster_required");
  bool cephx = methods.find("cephx") != methods.npos, none = methods.find("none") != methods.npos;
  if (cephx) {
    auto key = find_key(config, credentials.name);
    if (key) {
      auto client = std::make_unique<CephxClient>(credentials.name, *key, services, rotating, random, clock);
      TRY(ModeChoice modes, modes_for(config));
      client->set_modes(std::move(modes));
      credentials.cephx = client.get();
      credentials.client = std::move(client);
      return credentials;
    }
    if (!none || key.error() != make_error_code(Errc::not_found)) return key.error();
  }
  if (!none && !cephx) return Errc::invalid;
  credentials.client = std::make_unique<NoneClient>(credentials.name);
  return credentials;
}

}  // namespace spirula::msg
