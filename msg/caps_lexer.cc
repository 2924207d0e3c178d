#include "msg/caps_lexer.h"

#include <arpa/inet.h>

#include <charconv>

namespace spirula::msg::caps {

namespace {
constexpr std::size_t text_bytes_max = 64 << 10;
constexpr std::string_view blanks = " \t\r\n";
}  // namespace

Result<std::vector<Clause>> split_clauses(std::string_view text) {
  if (text.size() > text_bytes_max) return Errc::invalid;
  std::vector<Clause> clauses;
  std::vector<Clause::Word> words;
  bool after_equals = false;
  std::size_t at = 0;
  while (at <= text.size()) {
    if (at == text.size() || text[at] == ';' || text[at] == ',') {
      // A comma inside a list (gids=1,2) belongs to it.
      bool list = at < text.size() && text[at] == ',' && words.size() >= 2 && words[words.size() - 1].after_equals &&
                  words[words.size() - 2].text == "gids" && at + 1 < text.size() &&
                  std::isdigit(static_cast<unsigned char>(text[at + 1]));
      if (list) {
        words.back().text += ',';
        for (++at; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); ++at)
          words.back().text += text[at];
        continue;
      }
      if (words.empty() && !(at == text.size() && !clauses.empty())) {
        if (at == text.size() && clauses.empty()) return clauses;  // no capabilities at all
        return Errc::invalid;
      }
      if (!words.empty()) clauses.emplace_back(std::move(words));
      words = {};
      ++at;
    } else if (blanks.find(text[at]) != blanks.npos) {
      ++at;
    } else if (text[at] == '=') {
      after_equals = true;
      ++at;
      continue;
    } else if (text[at] == '"' || text[at] == '\'') {
      auto end = text.find(text[at], at + 1);
      if (end == text.npos) return Errc::invalid;
      words.push_back({std::string(text.substr(at + 1, end - at - 1)), true, after_equals});
      at = end + 1;
    } else {
      auto end = text.find_first_of(" \t\r\n;,='\"", at);
      if (end == text.npos) end = text.size();
      words.push_back({std::string(text.substr(at, end - at)), false, after_equals});
      at = end;
    }
    after_equals = false;
  }
  return clauses;
}

Result<Network> Network::parse(std::string_view text) {
  Network network;
  auto slash = text.find('/');
  std::string host(text.substr(0, slash));
  network.ipv6 = host.find(':') != host.npos;
  if (inet_pton(network.ipv6 ? AF_INET6 : AF_INET, host.c_str(), network.address.data()) != 1) return Errc::invalid;
  unsigned longest = network.ipv6 ? 128 : 32;
  network.prefix = longest;
  if (slash != text.npos) {
    std::string_view digits = text.substr(slash + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), network.prefix);
    if (error != std::errc{} || end != digits.data() + digits.size() || network.prefix > longest) return Errc::invalid;
  }
  return network;
}

bool Network::contains(bool is_ipv6, const std::array<std::uint8_t, 16>& other) const {
  if (is_ipv6 != ipv6) return false;
  for (unsigned bit = 0; bit < prefix; bit += 8) {
    unsigned here = std::min(8u, prefix - bit);
    auto mask = static_cast<std::uint8_t>(0xff << (8 - here));
    if ((address[bit / 8] ^ other[bit / 8]) & mask) return false;
  }
  return true;
}

}  // namespace spirula::msg::caps
