#include "mon/command.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <charconv>

#include "base/check.h"
#include "mon/command_types.h"

namespace spirula::mon {
namespace {

std::optional<double> to_number(const std::string& text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
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
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
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
  if (format == OutputFormat::json) return CommandResult::print(print_json(value, JsonStyle::compact), std::move(text));
  return CommandResult::print(print_json(value, JsonStyle::pretty) + "\n", std::move(text));
}

struct CommandTable::Entry {
  const CommandRow* row = nullptr;
  std::vector<Parameter> parameters;
};

CommandTable::CommandTable(std::vector<std::span<const CommandRow>> tables) {
  JsonObject all;
  for (auto table : tables)
    for (const CommandRow& row : table) {
      CHECK(!row.read || !row.change, row.signature);
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
        Parameter parameter(word);
        signature.emplace_back(parameter.description);
        entry.parameters.push_back(std::move(parameter));
      }
      std::string help = row.is_refused() ? fmt::format("(refused) {}", row.help) : row.help;
      all[fmt::format("cmd{:03}", all.size())] = JsonObject{
          {"sig", signature}, {"help", help}, {"module", row.module}, {"perm", row.permission}, {"flags", 0}};
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
    auto values = read_values(parameter, *given);
    if (!values) return wrong(values.error());
    if (parameter.required && values->empty())
      return wrong(fmt::format("missing required parameter {}", parameter.name));
    arguments.set(parameter.name, std::move(*values));
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
  if (first->second.row->is_refused()) {
    problem = {-EOPNOTSUPP, fmt::format("'{}' is not supported: {}", command.prefix, first->second.row->help)};
    return false;
  }
  for (auto entry = first; entry != last; ++entry) {
    command.arguments = {};
    if (!check(entry->second, request, command.arguments, problem)) continue;
    command.row = entry->second.row;
    return true;
  }
  return false;
}

}  // namespace spirula::mon
