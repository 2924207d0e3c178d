#include "mon/admin.h"

#include "base/coroutine.h"

namespace spirula::mon {
namespace {

Task<Result<std::string>> run(Monitor& monitor, msg::DaemonCommands::Arguments arguments) {
  JsonObject request;
  for (const auto& [name, value] : arguments) request[name] = value;
  if (!request.contains("format")) request["format"] = "json-pretty";
  std::string json = print_json(request, JsonStyle::compact);
  CommandResult result = co_await monitor.run_command(json, "", "admin socket");
  if (result.result < 0) co_return from_errno(-result.result);
  co_return result.output.empty() ? result.text : result.output;
}

}  // namespace

void add_admin_commands(msg::DaemonCommands& commands, Monitor& monitor) {
  for (const CommandRow& row : tell_rows()) {
    std::string words, arguments;
    for (std::string_view rest = row.signature; !rest.empty();) {
      auto space = rest.find(' ');
      std::string word(rest.substr(0, space));
      auto& to = word.find('=') == word.npos ? words : arguments;
      to += (to.empty() ? "" : " ") + word;
      rest = space == rest.npos ? std::string_view() : rest.substr(space + 1);
    }
    commands.add(words, arguments, row.help,
                 [&monitor](msg::DaemonCommands::Arguments given) { return run(monitor, std::move(given)); });
  }
}

}  // namespace spirula::mon
