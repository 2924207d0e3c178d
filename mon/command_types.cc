#include "mon/command_types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

#include "base/check.h"
#include "msg/types.h"

namespace spirula::mon {
namespace {

template <typename Number>
std::optional<Number> whole(std::string_view text) {
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string describe(const Json& value) {
  return value.is_object() ? "an object" : value.is_array() ? "a list" : print_json(value, JsonStyle::compact);
}

/// A value that JSON gives in a form that the type allows, as text.
std::optional<std::string> to_text(const std::string& type, const Json& value) {
  if (auto* text = value.if_string()) return std::string(*text);
  if (type == "CephBool") return value.is_bool() ? std::optional(value.get_bool() ? "true" : "false") : std::nullopt;
  if (type != "CephInt" && type != "CephFloat" && type != "CephOsdName") return std::nullopt;
  if (value.is_double() && type == "CephFloat") return fmt::format("{}", value.get_double());
  return value.is_int64() || value.is_uint64() ? std::optional(print_json(value, JsonStyle::compact)) : std::nullopt;
}

/// Why a value is not of the parameter's type; empty if it is.
std::string complaint(const Parameter& parameter, const std::string& value) {
  const std::string& type = parameter.type;
  if (type == "CephInt" || type == "CephFloat") {
    auto number = type == "CephFloat" ? whole<double>(value) : std::optional<double>();
    if (auto integer = whole<std::int64_t>(value)) number = static_cast<double>(*integer);
    if (!number || !std::isfinite(*number))
      return fmt::format("'{}' is not a{} number", value, type == "CephInt" ? " whole" : "");
    for (std::size_t end = 0; end < parameter.range.size(); ++end)
      if (auto bound = whole<double>(parameter.range[end]); end == 0 ? *number < *bound : *number > *bound)
        return fmt::format("{} is out of range", value);
  } else if (type == "CephBool") {
    if (value != "true" && value != "false" && !value.starts_with("--")) return fmt::format("'{}' is no truth", value);
  } else if (type == "CephChoices") {
    if (std::ranges::find(parameter.choices, value) == parameter.choices.end())
      return fmt::format("'{}' is not one of {}", value, fmt::join(parameter.choices, "|"));
  } else if (type == "CephUUID") {
    if (!msg::Uuid::parse(value)) return fmt::format("'{}' is not a UUID", value);
  } else if (type == "CephPgid") {
    if (!msg::PgId::parse(value)) return fmt::format("'{}' is not a pgid", value);
  } else if (type == "CephPoolname" || type == "CephObjectname" || type == "CephEntityAddr") {
    if (value.empty()) return "must not be empty";
  }
  if (!has_only(value, parameter.good_characters))
    return fmt::format("'{}' has characters other than {}", value, parameter.good_characters);
  return {};
}

}  // namespace

Parameter::Parameter(std::string_view words) {
  for (const std::string& attribute : split(words, ',')) {
    auto equals = attribute.find('=');
    CHECK(equals != attribute.npos, attribute);
    std::string key = attribute.substr(0, equals), value = attribute.substr(equals + 1);
    description[key] = value;
    if (key == "name") name = value;
    if (key == "type") type = value;
    if (key == "req") required = value != "false";
    if (key == "n") many = value == "N";
    if (key == "strings") choices = split(value, '|');
    if (key == "range") range = split(value, '|');
    if (key == "goodchars") good_characters = value;
  }
}

std::expected<std::vector<std::string>, std::string> read_values(const Parameter& parameter, const Json& given) {
  auto wrong = [&](const std::string& why) { return std::unexpected(fmt::format("{}: {}", parameter.name, why)); };
  std::vector<std::string> values;
  auto read = [&](const Json& element) -> std::string {
    auto text = to_text(parameter.type, element);
    if (!text) return fmt::format("{} is no {}", describe(element), parameter.type);
    values.push_back(*text);
    return complaint(parameter, *text);
  };
  if (auto* list = given.if_array(); list && parameter.many) {
    for (const Json& element : *list)
      if (std::string why = read(element); !why.empty()) return wrong(why);
  } else if (std::string why = read(given); !why.empty()) {
    return wrong(why);
  }
  return values;
}

bool has_only(std::string_view text, std::string_view character_class) {
  if (character_class.empty()) return true;
  CHECK(character_class.size() > 2 && character_class.front() == '[' && character_class.back() == ']', character_class);
  auto inner = character_class.substr(1, character_class.size() - 2);
  return std::ranges::all_of(text, [&](char each) {
    for (std::size_t at = 0; at < inner.size(); ++at) {
      bool is_range = at + 2 < inner.size() && inner[at + 1] == '-';
      if (is_range ? each >= inner[at] && each <= inner[at + 2] : each == inner[at]) return true;
      if (is_range) at += 2;
    }
    return false;
  });
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    auto end = text.find(separator);
    if (end != 0 || separator != ' ') parts.emplace_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace spirula::mon
