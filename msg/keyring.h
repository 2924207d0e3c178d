#pragma once
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "msg/cephx_crypto.h"
#include "msg/types.h"

namespace spirula::msg {

/// Ceph's keyring text: sections [client.admin] with `key = ...` and `caps mon = "..."`.
struct Keyring {
  struct Entry {
    CryptoKey key;
    std::map<std::string, std::string> caps;
  };
  std::map<KeyName, Entry> entries;

  /// Errc::invalid. Lines it does not know are skipped, as Ceph does.
  static Result<Keyring> parse(std::string_view text);
  /// Errc::not_found and other errors of reading the file.
  static Result<Keyring> load(const std::string& path);
  /// As `ceph auth get` prints it.
  std::string print() const;
  /// Errc::not_found.
  Result<CryptoKey> find(const KeyName& name) const;
};

}  // namespace spirula::msg
