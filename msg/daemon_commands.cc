#include "msg/daemon_commands.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cerrno>

#include "base/coroutine.h"
#include "base/json.h"

namespace spirula::msg {
namespace json = boost::json;

namespace {

std::string as_argument(const json::value& value) {
  if (value.is_string()) return std::string(value.as_string());
  if (value.is_array()) {
    std::string text;
    for (const json::value& element : value.as_array()) text += (text.empty() ? "" : " ") + as_argument(element);
    return text;
  }
  return json::serialize(value);
}

}  // namespace

void DaemonCommands::add(std::string command, std::string arguments, std::string help, Handler handler) {
  add_full(std::move(command), std::move(arguments), std::move(help),
           [handler = std::move(handler)](Arguments given) mutable -> Task<Answer> {
             Result<std::string> text = co_await handler(std::move(given));
             if (!text) co_return Answer{.result = to_wire(text.error()), .text = text.error().message()};
             co_return Answer{.output = *std::move(text)};
           });
}

void DaemonCommands::add_full(std::string command, std::string arguments, std::string help, FullHandler handler) {
  commands_.insert_or_assign(std::move(command), Command{{std::move(arguments)}, std::move(help), std::move(handler)});
}

void DaemonCommands::add_form(const std::string& command, std::string arguments) {
  commands_.at(command).forms.push_back(std::move(arguments));
}

Task<DaemonCommands::Answer> DaemonCommands::run(std::string request) {
  boost::system::error_code malformed;
  json::value parsed = json::parse(request, malformed);
  Arguments arguments;
  if (!malformed && parsed.is_object())
    for (const auto& [name, value] : parsed.as_object()) arguments[std::string(name)] = as_argument(value);
  const std::string prefix = malformed ? request : arguments["prefix"], format = arguments["format"];
  if (prefix == "get_command_descriptions") co_return Answer{.output = descriptions()};
  if (prefix == "help") co_return Answer{.output = shape_json(help(), format)};
  auto it = commands_.find(prefix);
  if (it == commands_.end())
    co_return Answer{.result = -EINVAL, .text = fmt::format("unknown command '{}'", prefix.substr(0, 256))};
  Answer answer = co_await it->second.handler(std::move(arguments));
  answer.output = shape_json(std::move(answer.output), format);
  co_return answer;
}

std::string DaemonCommands::help() const {
  json::object all;
  all["help"] = "list available commands";
  all["get_command_descriptions"] = "list available commands and their arguments";
  for (const auto& [name, command] : commands_) all[name] = command.help;
  return json::serialize(all);
}

/// As the `ceph` tool reads them: {"cmd000": {"sig": ["perf", "dump", {"name": ..}], "help": ..}, ...}.
std::string DaemonCommands::descriptions() const {
  json::object all;
  auto describe = [&](std::string_view name, std::string_view arguments, std::string_view help) {
    json::array signature;
    auto words = [](std::string_view text, char separator, auto&& each) {
      while (!text.empty()) {
        auto end = text.find(separator);
        if (end != 0) each(text.substr(0, end));
        text = end == text.npos ? std::string_view() : text.substr(end + 1);
      }
    };
    words(name, ' ', [&](std::string_view word) { signature.emplace_back(word); });
    words(arguments, ' ', [&](std::string_view argument) {
      json::object description;
      words(argument, ',', [&](std::string_view part) {
        auto equals = part.find('=');
        if (equals != part.npos) description[part.substr(0, equals)] = part.substr(equals + 1);
      });
      signature.emplace_back(std::move(description));
    });
    json::object entry;
    entry["sig"] = std::move(signature);
    entry["help"] = help;
    entry["module"] = entry["perm"] = "";
    entry["flags"] = 0;
    all[fmt::format("cmd{:03}", all.size())] = std::move(entry);
  };
  describe("help", "", "list available commands");
  describe("get_command_descriptions", "", "list available commands and their arguments");
  for (const auto& [name, command] : commands_)
    for (const std::string& arguments : command.forms) describe(name, arguments, command.help);
  return json::serialize(all);
}

}  // namespace spirula::msg
