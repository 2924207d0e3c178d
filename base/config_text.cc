#include "base/config_text.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

namespace spirula {
namespace config_text {
namespace {

constexpr std::string_view blanks = " \t\r\n\v\f";

std::string_view trim(std::string_view text) {
  auto first = text.find_first_not_of(blanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// The value after the equals sign: up to a comment, quotes and backslashes taken away.
std::string unquote(std::string_view text) {
  std::string out;
  text = trim(text);
  char quote = 0;
  std::size_t kept = 0;  // what must not be trimmed off again
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      out += text[++i];
      kept = out.size();
    } else if (quote) {
      if (c == quote)
        quote = 0;
      else
        out += c;
      kept = out.size();
    } else if ((c == '"' || c == '\'') && out.empty()) {
      quote = c;
    } else if (c == '#' || c == ';') {
      break;
    } else {
      out += c;
    }
  }
  while (out.size() > kept && blanks.find(out.back()) != blanks.npos) out.pop_back();
  return out;
}

}  // namespace

std::string normalise(std::string_view name) {
  std::string out;
  for (char c : trim(name)) {
    bool gap = c == ' ' || c == '\t' || c == '-' || c == '_';
    if (gap && !out.empty() && out.back() == '_') continue;
    out += gap ? '_' : c;
  }
  return out;
}

std::string split(std::string_view text, std::vector<Line>& lines) {
  std::string section = "global", joined;
  int number = 0;
  while (!text.empty()) {
    auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == text.npos ? std::string_view{} : text.substr(end + 1);
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.ends_with('\\')) {
      joined += line.substr(0, line.size() - 1);
      continue;
    }
    joined += line;
    std::string whole = std::exchange(joined, {});
    std::string_view content = trim(whole);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    if (content[0] == '[') {
      auto close = content.find(']');
      if (close == content.npos) return fmt::format("line {}: a section without its ]", number);
      section = trim(content.substr(1, close - 1));
      continue;
    }
    auto equals = content.find('=');
    if (equals == content.npos) return fmt::format("line {}: neither a section nor an assignment", number);
    lines.push_back({section, normalise(content.substr(0, equals)), unquote(content.substr(equals + 1))});
  }
  return {};
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  text = trim(text);
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

std::optional<double> parse_real(std::string_view text) {
  text = trim(text);
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

std::optional<bool> parse_boolean(std::string_view text) {
  text = trim(text);
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  return {};
}

std::string check(const Option& row, std::string_view value) {
  double number = 0;
  const char* wanted = nullptr;
  switch (row.type) {
    case OptionType::text:
      return {};
    case OptionType::boolean:
      return parse_boolean(value) ? "" : fmt::format("\"{}\" is neither true nor false", value);
    case OptionType::integer:
      if (auto parsed = parse_integer(value))
        number = static_cast<double>(*parsed);
      else
        wanted = "a number";
      break;
    case OptionType::real:
      if (auto parsed = parse_real(value))
        number = *parsed;
      else
        wanted = "a number";
      break;
    case OptionType::size:
      if (auto parsed = parse_size(value))
        number = static_cast<double>(*parsed);
      else
        wanted = "a size";
      break;
    case OptionType::duration:
      if (auto parsed = parse_seconds(value))
        number = *parsed;
      else
        wanted = "a time";
      break;
  }
  if (wanted) return fmt::format("\"{}\" is not {}", value, wanted);
  if (number < row.min || number > row.max) return fmt::format("{} is not between {} and {}", value, row.min, row.max);
  return {};
}

}  // namespace config_text

namespace {

/// A number and the unit after it.
Result<double> split_unit(std::string_view text, std::string_view& unit) {
  auto first = text.find_first_not_of(' ');
  if (first == text.npos) return Errc::invalid;
  text.remove_prefix(first);
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return Errc::invalid;
  unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  while (unit.ends_with(' ')) unit.remove_suffix(1);
  return value;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  if (auto plain = config_text::parse_integer(text)) {
    if (*plain < 0) return Errc::invalid;
    return static_cast<std::uint64_t>(*plain);
  }
  std::string_view unit;
  TRY(double value, split_unit(text, unit));
  constexpr std::string_view letters = "BKMGTPE";
  std::size_t power = 0;
  if (!unit.empty()) {
    power = letters.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))));
    std::string_view rest = unit.substr(1);
    if (power == letters.npos || (!rest.empty() && rest != "B" && rest != "iB" && rest != "i")) return Errc::invalid;
  }
  for (std::size_t i = 0; i < power; ++i) value *= 1024;
  if (value < 0 || value >= 18446744073709551616.0) return Errc::invalid;
  return static_cast<std::uint64_t>(value);
}

Result<double> parse_seconds(std::string_view text) {
  std::string_view unit;
  TRY(double value, split_unit(text, unit));
  struct Unit {
    std::string_view name;
    double seconds;
  };
  for (Unit each : {Unit{"", 1}, Unit{"ms", 0.001}, Unit{"us", 0.000001}, Unit{"s", 1}, Unit{"m", 60}, Unit{"h", 3600},
                    Unit{"d", 86400}})
    if (unit == each.name && value >= 0 && value < 9e9) return value * each.seconds;
  return Errc::invalid;
}

namespace {

constexpr std::uint16_t monitor_port = 3300;  // IANA "ceph", where monitors speak msgr2

Result<Endpoint> look_up(const std::string& host, std::uint16_t port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0 || !found) return Errc::not_found;
  Endpoint endpoint;
  endpoint.port = port;
  Result<Endpoint> result = Errc::not_found;
  if (found->ai_family == AF_INET) {
    std::memcpy(endpoint.address.data(), &reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr, 4);
    result = endpoint;
  } else if (found->ai_family == AF_INET6) {
    endpoint.ipv6 = true;
    std::memcpy(endpoint.address.data(), &reinterpret_cast<sockaddr_in6*>(found->ai_addr)->sin6_addr, 16);
    result = endpoint;
  }
  ::freeaddrinfo(found);
  return result;
}

/// One address as it stands in a list: "v2:10.0.0.1:3300/0", "mon1", "[::1]:3300".
Result<Endpoint> parse_monitor(std::string_view word) {
  if (word.starts_with("v1:")) return Errc::unsupported;
  for (std::string_view prefix : {"v2:", "any:"})
    if (word.starts_with(prefix)) word.remove_prefix(prefix.size());
  if (auto slash = word.find('/'); slash != word.npos) word = word.substr(0, slash);
  auto endpoint = Endpoint::parse(word);
  if (!endpoint) {
    auto colon = word.rfind(':');
    std::uint16_t port = 0;
    if (colon != word.npos) {
      auto number = config_text::parse_integer(word.substr(colon + 1));
      if (!number || *number < 1 || *number > 65535) return Errc::invalid;
      port = static_cast<std::uint16_t>(*number);
    }
    endpoint = look_up(std::string(word.substr(0, colon)), port);
    if (!endpoint) return endpoint;
  }
  if (endpoint->port == 0) endpoint->port = monitor_port;
  return endpoint;
}

}  // namespace

Result<std::vector<Endpoint>> parse_mon_host(std::string_view text) {
  // Brackets group the addresses of one monitor, or wrap an IPv6 address; a group holds a "v1:" or "v2:".
  std::vector<Endpoint> found;
  std::size_t at = 0;
  constexpr std::string_view separators = ", ;\t\n";
  std::error_code problem = make_error_code(Errc::invalid);
  while (at < text.size()) {
    if (separators.find(text[at]) != separators.npos || text[at] == ']') {
      ++at;
      continue;
    }
    if (text[at] == '[' && (text.substr(at + 1).starts_with('v') || text.substr(at + 1).starts_with("any:"))) {
      ++at;
      continue;
    }
    std::size_t end = at;
    int depth = 0;
    while (end < text.size() && separators.find(text[end]) == separators.npos) {
      if (text[end] == '[') ++depth;
      if (text[end] == ']' && depth-- == 0) break;
      ++end;
    }
    auto endpoint = parse_monitor(text.substr(at, end - at));
    if (endpoint)
      found.push_back(*endpoint);
    else if (endpoint.error() == make_error_code(Errc::invalid))
      return Errc::invalid;
    else
      problem = endpoint.error();
    at = end;
  }
  if (found.empty()) return problem;
  return found;
}

}  // namespace spirula
