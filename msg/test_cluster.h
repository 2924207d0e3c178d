#pragma once
#include <map>
#include <string>

#include "msg/cephx_server.h"

/// Stand-ins for unit tests.
namespace spirula::msg::test {

/// A monitor's keys, in memory.
class Keys : public KeyServer {
 public:
  Keys() {
    for (EntityType type : {EntityType::mon, EntityType::osd, EntityType::mds, EntityType::auth})
      secrets_[type].rotate(now(), std::chrono::hours(1), random_);
  }
  CryptoKey add(const std::string& name, std::map<std::string, std::string> caps) {
    CryptoKey key = CryptoKey::generate(random_, now());
    set(name, key, std::move(caps));
    return key;
  }
  void set(const std::string& name, CryptoKey key, std::map<std::string, std::string> caps) {
    entries_[*KeyName::parse(name)] = Entry{std::move(key), std::move(caps)};
  }
  std::optional<Entry> find(const KeyName& name) const override {
    auto it = entries_.find(name);
    if (it == entries_.end()) return std::nullopt;
    return it->second;
  }
  std::uint64_t allocate_global_id() override { return ++last_global_id_; }
  RotatingSecrets secrets(EntityType service) const override {
    auto it = secrets_.find(service);
    return it == secrets_.end() ? RotatingSecrets{} : it->second;
  }
  Time now() const override { return Time::from(std::chrono::system_clock::now()); }

 private:
  SeededRandom random_{99};
  std::map<KeyName, Entry> entries_;
  std::map<EntityType, RotatingSecrets> secrets_;
  std::uint64_t last_global_id_ = 4100;
};

}  // namespace spirula::msg::test
