#include "msg/credentials.h"

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

}  // namespace

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
