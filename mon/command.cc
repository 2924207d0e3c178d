#include "mon/command.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <charconv>

#include "base/check.h"

namespace spirula::mon {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    auto end = text.find(separator);
    if (end != 0 || separator != ' ') parts.emplace_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<double> to_number(const std::string& text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A JSON scalar as text; true is "true".
std::optional<std::string> to_text(const Json& value) {
  if (auto* string = value.if_string()) return std::string(*string);
  if (value.is_bool()) return value.get_bool() ? "true" : "false";
  if (value.is_int64()) return std::to_string(value.get_int64());
  if (value.is_uint64()) return std::to_string(value.get_uint64());
  if (value.is_double()) return fmt::format("{}", value.get_double());
  return std::nullopt;
}

constexpr std::size_t request_bytes_max = 1 << 20;

}  // namespace

std::string Arguments::text(std::string_view name) const {
  auto found = values_.find(name);
  return found == values_.end() || found->second.empty() ? std::string() : found->second.front();
}

std::optional<std::int64_t> Arguments::integer(std::string_view name) const {
  auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  const std::string& text = found->second.front();
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size()) return value;
  if (auto number = to_number(text)) return static_cast<std::int64_t>(*number);
  return std::nullopt;
}

std::optional<double> Arguments::real(std::string_view name) const {
  auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  return to_number(found->second.front());
}

bool Arguments::flag(std::string_view name) const {
  std::string value = text(name);
  return !value.empty() && value != "false" && value != "0" && value != "no";
}

std::vector<std::string> Arguments::list(std::string_view name) const {
  auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::map<std::string, std::string> Arguments::all() const {
  std::map<std::string, std::string> result;
  for (const auto& [name, values] : values_) result[name] = fmt::format("{}", fmt::join(values, " "));
  return result;
}

CommandResult CommandCall::json(const Json& value, std::string text) const {
  auto style = format == OutputFormat::json ? JsonStyle::compact : JsonStyle::pretty;
  return CommandResult::print(print_json(value, style), std::move(text));
}

struct CommandTable::Parameter {
  std::string name, type;
  bool required = true, many = false;
  std::vector<std::string> choices, range;
  std::string good_characters;
  JsonObject description;
};

struct CommandTable::Entry {
  const CommandRow* row = nullptr;
  std::vector<Parameter> parameters;
};

CommandTable::CommandTable(std::vector<std::span<const CommandRow>> tables) {
  JsonObject all;
  for (auto table : tables)
    for (const CommandRow& row : table) {
      CHECK((row.read != nullptr) != (row.change != nullptr), row.signature);
      Entry entry;
      entry.row = &row;
      std::string prefix;
      JsonArray signature;
      for (const std::string& word : split(row.signature, ' ')) {
        if (word.find('=') == word.npos) {
          prefix += (prefix.empty() ? "" : " ") + word;
          signature.emplace_back(word);
          continue;
        }
        Parameter parameter;
        std::string last;
        for (const std::string& attribute : split(word, ',')) {
          auto equals = attribute.find('=');
          CHECK(equals != attribute.npos, row.signature);
          std::string key = attribute.substr(0, equals), value = attribute.substr(equals + 1);
          parameter.description[key] = value;
          if (key == "name") parameter.name = value;
          if (key == "type") parameter.type = value;
          if (key == "req") parameter.required = value != "false";
          if (key == "n") parameter.many = value == "N";
          if (key == "strings") parameter.choices = split(value, '|');
          if (key == "range") parameter.range = split(value, '|');
        }
        signature.emplace_back(parameter.description);
        entry.parameters.push_back(std::move(parameter));
      }
      all[fmt::format("cmd{:03}", all.size())] = JsonObject{
          {"sig", signature}, {"help", row.help}, {"module", row.module}, {"perm", row.permission}, {"flags", 0}};
      entries_.emplace(prefix, std::move(entry));
    }
  descriptions_ = print_json(all, JsonStyle::compact);
}

CommandTable::~CommandTable() = default;

bool CommandTable::check(const Entry& entry, const JsonObject& request, Arguments& arguments, Problem& problem) {
  auto wrong = [&](std::string text) {
    problem = {-EINVAL, std::move(text)};
    return false;
  };
  for (const Parameter& parameter : entry.parameters) {
    auto* given = request.if_contains(parameter.name);
    if (!given || given->is_null()) {
      if (parameter.required) return wrong(fmt::format("missing required parameter {}", parameter.name));
      continue;
    }
    std::vector<std::string> values;
    if (auto* array = given->if_array()) {
      for (const Json& element : *array) {
        auto text = to_text(element);
        if (!text) return wrong(fmt::format("parameter {} must be text or a number", parameter.name));
        values.push_back(*text);
      }
    } else if (auto text = to_text(*given)) {
      values.push_back(*text);
    } else {
      return wrong(fmt::format("parameter {} must be text or a number", parameter.name));
    }
    for (const std::string& value : values) {
      if (parameter.type == "CephInt" || parameter.type == "CephFloat") {
        auto number = to_number(value);
        if (!number) return wrong(fmt::format("{}: '{}' is not a number", parameter.name, value));
        if (!parameter.range.empty()) {
          auto low = to_number(parameter.range.front());
          auto high = parameter.range.size() > 1 ? to_number(parameter.range[1]) : std::nullopt;
          if ((low && *number < *low) || (high && *number > *high))
            return wrong(fmt::format("{}: {} is out of range", parameter.name, value));
        }
      } else if (parameter.type == "CephChoices") {
        if (std::ranges::find(parameter.choices, value) == parameter.choices.end())
          return wrong(
              fmt::format("{}: '{}' is not one of {}", parameter.name, value, fmt::join(parameter.choices, "|")));
      } else if (parameter.type == "CephUUID") {
        if (!msg::Uuid::parse(value)) return wrong(fmt::format("{}: '{}' is not a UUID", parameter.name, value));
      } else if (parameter.type == "CephPgid") {
        if (!msg::PgId::parse(value)) return wrong(fmt::format("{}: '{}' is not a pgid", parameter.name, value));
      }
    }
    if (parameter.required && values.empty())
      return wrong(fmt::format("missing required parameter {}", parameter.name));
    arguments.set(parameter.name, std::move(values));
  }
  return true;
}

bool CommandTable::parse(const std::string& json, ParsedCommand& command, Problem& problem) const {
  auto wrong = [&](std::string text) {
    problem = {-EINVAL, std::move(text)};
    return false;
  };
  if (json.size() > request_bytes_max) return wrong("command is too long");
  boost::system::error_code error;
  Json parsed = boost::json::parse(json, error);
  if (error || !parsed.is_object()) return wrong("command is not a JSON object");
  const JsonObject& request = parsed.get_object();
  auto* prefix = request.if_contains("prefix");
  if (!prefix || !prefix->is_string()) return wrong("command without a prefix");
  command.prefix = std::string(prefix->get_string());
  if (auto* format = request.if_contains("format"); format && format->is_string()) {
    std::string_view name = format->get_string();
    if (name == "json")
      command.format = OutputFormat::json;
    else if (name == "json-pretty")
      command.format = OutputFormat::json_pretty;
    else if (name != "plain" && !name.empty())
      return wrong(fmt::format("format '{}' is not supported: use plain, json or json-pretty", name));
  }
  if (command.prefix == "get_command_descriptions") return true;
  auto [first, last] = entries_.equal_range(command.prefix);
  if (first == last) return wrong("command not known");
  for (auto entry = first; entry != last; ++entry) {
    command.arguments = {};
    if (!check(entry->second, request, command.arguments, problem)) continue;
    command.row = entry->second.row;
    return true;
  }
  return false;
}

}  // namespace spirula::mon
