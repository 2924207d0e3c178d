#include "msg/keyring.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

namespace spirula::msg {

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  auto first = text.find_first_not_of(blanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// A value as Ceph's configuration files quote it: "..." with \" and \\ inside, or bare.
std::string unquote(std::string_view text) {
  text = trim(text);
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
  std::string plain;
  text = text.substr(1, text.size() - 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

std::string quote(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

Result<Keyring> Keyring::parse(std::string_view text) {
  Keyring keyring;
  Entry* entry = nullptr;
  while (!text.empty()) {
    auto end = text.find('\n');
    std::string_view line = trim(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      if (line.back() != ']') return Errc::invalid;
      TRY(KeyName name, KeyName::parse(line.substr(1, line.size() - 2)));
      entry = &keyring.entries[name];
      continue;
    }
    auto equals = line.find('=');
    if (equals == line.npos || !entry) return Errc::invalid;
    std::string_view name = trim(line.substr(0, equals)), value = line.substr(equals + 1);
    if (name == "key") {
      TRY(entry->key, CryptoKey::parse(unquote(value)));
    } else if (name.starts_with("caps ") || name.starts_with("caps_")) {
      entry->caps[std::string(trim(name.substr(5)))] = unquote(value);
    }
  }
  return keyring;
}

Result<Keyring> Keyring::load(const std::string& path) {
  std::ifstream file(path);
  if (!file) return last_errno();
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return Errc::io;
  return parse(text.str());
}

std::string Keyring::print() const {
  std::string text;
  for (const auto& [name, entry] : entries) {
    text += fmt::format("[{}]\n", name.describe());
    if (entry.key.usable()) text += fmt::format("\tkey = {}\n", entry.key.print());
    for (const auto& [service, caps] : entry.caps) text += fmt::format("\tcaps {} = {}\n", service, quote(caps));
  }
  return text;
}

Result<CryptoKey> Keyring::find(const KeyName& name) const {
  auto it = entries.find(name);
  if (it == entries.end() || !it->second.key.usable()) return Errc::not_found;
  return it->second.key;
}

}  // namespace spirula::msg
