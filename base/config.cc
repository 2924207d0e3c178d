#include "base/config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "base/config_text.h"
#include "base/log.h"

namespace spirula {
namespace {

/// What every program understands.
constexpr Option common_options[] = {
    {.name = "help", .type = OptionType::boolean, .default_value = "false", .description = "print this", .letter = 'h'},
    {"fsid", OptionType::text, "", "the cluster's UUID"},
    {"host", OptionType::text, "", "name of this machine, for $host"},
    {.name = "mon_host", .description = "addresses of the monitors", .letter = 'm'},
    {.name = "keyring",
     .default_value =
         "/etc/ceph/$cluster.$name.keyring,/etc/ceph/$cluster.keyring,/etc/ceph/keyring,/etc/ceph/keyring.bin",
     .description = "files searched for our key",
     .letter = 'k'},
    {"key", OptionType::text, "", "our key itself, in base64"},
    {"keyfile", OptionType::text, "", "a file holding our key in base64"},
    {"auth_cluster_required", OptionType::text, "cephx", "methods daemons accept from each other: cephx, none"},
    {"auth_service_required", OptionType::text, "cephx", "methods daemons accept from clients: cephx, none"},
    {"auth_client_required", OptionType::text, "cephx, none", "methods a client accepts from daemons"},
    {"ms_cluster_mode", OptionType::text, "crc secure", "connection modes between daemons, preferred first"},
    {"ms_service_mode", OptionType::text, "crc secure", "connection modes OSDs and MDSs offer to clients"},
    {"ms_client_mode", OptionType::text, "crc secure", "connection modes clients ask OSDs and MDSs for"},
    {"ms_mon_client_mode", OptionType::text, "secure crc", "connection modes asked for towards monitors"},
    {"ms_mon_cluster_mode", OptionType::text, "secure crc", "connection modes between monitors"},
    {"ms_mon_service_mode", OptionType::text, "secure crc", "connection modes monitors offer to everybody else"},
    {"public_addr", OptionType::text, "", "address to serve clients at, with or without a port"},
    {"public_network", OptionType::text, "", "networks to serve clients in"},
    {"cluster_addr", OptionType::text, "", "address to serve other daemons at"},
    {"log_file", OptionType::text, "", "where to log; standard error if empty"},
    {"log_to_stderr", OptionType::boolean, "false", "log to standard error whatever log_file says"},
    {"pid_file", OptionType::text, "", "where to write the process id"},
    {"run_dir", OptionType::text, "/var/run/ceph", "directory of sockets and pid files"},
    {"admin_socket", OptionType::text, "$run_dir/$cluster-$name.asok", "path of the admin socket; empty for none"},
    {"daemonize", OptionType::boolean, "false", "accepted for compatibility: programs stay in the foreground"},
};

}  // namespace

Config::Config(std::string type, std::string default_id) : type_(std::move(type)), id_(std::move(default_id)) {
  add(common_options);
}

void Config::add(std::span<const Option> rows) {
  for (const Option& row : rows) {
    auto [at, fresh] = slots_.try_emplace(row.name);
    CHECK(fresh, row.name);
    at->second.row = &row;
  }
}

Result<> Config::wrong(std::string text) {
  problem_ = std::move(text);
  return Errc::invalid;
}

const Config::Slot& Config::slot(std::string_view name) const {
  auto at = slots_.find(name);
  CHECK(at != slots_.end(), name);
  return at->second;
}

bool Config::knows(std::string_view name) const {
  return slots_.contains(config_text::normalise(name));
}

// --- values
// -----------------------------------------------------------------------------------------------------------

Result<> Config::assign(std::string_view name, std::string_view value, Layer layer) {
  auto at = slots_.find(name);
  if (at == slots_.end()) return Errc::not_found;
  if (std::string why = config_text::check(*at->second.row, value); !why.empty())
    return wrong(fmt::format("option {}: {}", name, why));
  at->second.values[layer] = value;
  at->second.present[layer] = true;
  return {};
}

std::string Config::raw(std::string_view name) const {
  const Slot& found = slot(name);
  for (int layer = layer_count; layer-- > 0;)
    if (found.present[layer]) return found.values[layer];
  return found.row->default_value;
}

/// $name and ${name}: what we are, or another option's value. What is not known stays as it is.
std::string Config::expand(std::string_view value, int depth) const {
  std::string out;
  for (std::size_t i = 0; i < value.size();) {
    if (value[i] != '$' || depth == 0) {
      out += value[i++];
      continue;
    }
    std::size_t start = i + 1;
    bool braces = start < value.size() && value[start] == '{';
    std::size_t first = start + braces, last = first;
    while (last < value.size() && (std::isalnum(static_cast<unsigned char>(value[last])) || value[last] == '_')) ++last;
    std::string_view word = value.substr(first, last - first);
    std::size_t next = last + (braces && last < value.size() && value[last] == '}');
    if (word == "cluster")
      out += cluster_;
    else if (word == "type")
      out += type_;
    else if (word == "id")
      out += id_;
    else if (word == "name")
      out += name();
    else if (word == "pid")
      out += std::to_string(::getpid());
    else if (slots_.contains(word))
      out += expand(raw(word), depth - 1);
    else
      out += value.substr(i, next - i);
    i = next;
  }
  return out;
}

std::string Config::text(std::string_view name) const {
  std::lock_guard lock(mutex_);
  return expand(raw(name), 8);
}

namespace {
void check_type(const Option& row, OptionType wanted) {
  CHECK(row.type == wanted, row.name);
}
}  // namespace

std::int64_t Config::integer(std::string_view name) const {
  check_type(*slot(name).row, OptionType::integer);
  return static_cast<std::int64_t>(*config_text::parse_integer(text(name)));
}
std::uint64_t Config::size(std::string_view name) const {
  check_type(*slot(name).row, OptionType::size);
  return *parse_size(text(name));
}
double Config::real(std::string_view name) const {
  check_type(*slot(name).row, OptionType::real);
  return *config_text::parse_real(text(name));
}
bool Config::flag(std::string_view name) const {
  check_type(*slot(name).row, OptionType::boolean);
  return *config_text::parse_boolean(text(name));
}
Duration Config::duration(std::string_view name) const {
  check_type(*slot(name).row, OptionType::duration);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*parse_seconds(text(name))));
}

bool Config::is_set(std::string_view name) const {
  std::lock_guard lock(mutex_);
  return std::ranges::any_of(slot(name).present, [](bool present) { return present; });
}

Result<> Config::set(std::string_view name, std::string_view value) {
  std::string normal = config_text::normalise(name);
  {
    std::lock_guard lock(mutex_);
    if (normal.starts_with("debug_") && !slots_.contains(normal)) {
      debug_[normal] = value;
      apply_debug_levels();
      return {};
    }
    TRY(assign(normal, value, from_override));
  }
  notify({normal});
  return {};
}

void Config::set_from_monitor(const std::map<std::string, std::string>& values) {
  std::vector<std::string> changed;
  {
    std::lock_guard lock(mutex_);
    std::map<std::string, std::string> before;
    for (auto& [name, each] : slots_) {
      if (each.present[from_monitor]) before[name] = raw(name);
      each.present[from_monitor] = false;
    }
    for (const auto& [name, value] : values) {
      std::string normal = config_text::normalise(name);
      if (!slots_.contains(normal)) continue;
      if (!before.contains(normal)) before[normal] = raw(normal);
      if (!assign(normal, value, from_monitor)) log_warning("config", "from the monitor: {}", problem_);
    }
    for (const auto& [name, value] : before)
      if (raw(name) != value) changed.push_back(name);
  }
  notify(changed);
}

void Config::on_change(std::string name, std::function<void()> observer) {
  std::lock_guard lock(mutex_);
  observers_.emplace(std::move(name), std::move(observer));
}

void Config::notify(const std::vector<std::string>& names) {
  std::vector<std::function<void()>> calls;
  {
    std::lock_guard lock(mutex_);
    for (const std::string& name : names) {
      auto [first, last] = observers_.equal_range(name);
      for (; first != last; ++first) calls.push_back(first->second);
    }
  }
  for (auto& call : calls) call();
}

std::map<std::string, std::string> Config::show() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::string> all;
  for (const auto& [name, each] : slots_) all[name] = expand(raw(name), 8);
  for (const auto& [name, value] : debug_) all[name] = value;
  if (auto key = all.find("key"); key != all.end() && !key->second.empty()) key->second = "(secret)";
  return all;
}

std::string Config::help() const {
  std::string out;
  for (const auto& [name, each] : slots_) {
    std::string option = "--" + name;
    std::ranges::replace(option, '_', '-');
    if (each.row->letter) option += fmt::format(", -{}", each.row->letter);
    out += fmt::format("  {:32} {}", option, each.row->description);
    if (*each.row->default_value) out += fmt::format(" [{}]", each.row->default_value);
    out += '\n';
  }
  return out;
}

/// Ceph's levels run from 0 to 20, "memory" levels after a slash; ours are five.
void Config::apply_debug_levels() const {
  for (const auto& [name, value] : debug_) {
    int level = std::atoi(value.c_str());
    std::string subsystem = name.substr(6);
    if (subsystem == "ms") subsystem = "msg";
    if (subsystem == "default") subsystem.clear();
    log_set_level(subsystem, level >= 15  ? LogLevel::trace
                             : level >= 5 ? LogLevel::debug
                             : level >= 1 ? LogLevel::info
                                          : LogLevel::warning);
  }
}

// --- command line and file
// --------------------------------------------------------------------------------------------

Result<> Config::parse(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  if (const char* more = std::getenv("CEPH_ARGS")) {
    std::istringstream words(more);
    for (std::string word; words >> word;) arguments.push_back(word);
  }
  for (int i = 1; i < argc; ++i) arguments.emplace_back(argv[i]);
  return parse_arguments(arguments);
}

Result<> Config::parse_arguments(const std::vector<std::string>& arguments) {
  // First who we are and which file; the file's sections depend on it. Then the file, then the rest.
  TRY(read_arguments(arguments, true));
  TRY(read_file());
  TRY(read_arguments(arguments, false));
  apply_debug_levels();
  return {};
}

Result<> Config::read_arguments(const std::vector<std::string>& arguments, bool naming_pass) {
  positional_.clear();
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    const std::string& word = arguments[at];
    if (word == "--") {
      positional_.insert(positional_.end(), arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1, arguments.end());
      break;
    }
    if (word.starts_with("--")) {
      TRY(read_long(arguments, at, naming_pass));
    } else if (word.size() >= 2 && word[0] == '-' && std::isalpha(static_cast<unsigned char>(word[1]))) {
      TRY(read_letter(arguments, at, naming_pass));
    } else {
      positional_.push_back(word);
    }
  }
  return {};
}

Result<> Config::read_long(const std::vector<std::string>& arguments, std::size_t& at, bool naming_pass) {
  std::string_view word = std::string_view(arguments[at]).substr(2);
  auto equals = word.find('=');
  std::string name = config_text::normalise(word.substr(0, equals));
  if (equals != word.npos) return take_named(name, word.substr(equals + 1), naming_pass);
  auto found = slots_.find(name);
  if (found != slots_.end() && found->second.row->type == OptionType::boolean)
    return take_named(name, "true", naming_pass);
  if (found == slots_.end() && name.starts_with("no_")) {
    auto positive = slots_.find(name.substr(3));
    if (positive != slots_.end() && positive->second.row->type == OptionType::boolean)
      return take_named(positive->first, "false", naming_pass);
  }
  if (name == "foreground") return {};
  if (at + 1 >= arguments.size()) return wrong(fmt::format("--{} needs a value, or is not known", word));
  return take_named(name, arguments[++at], naming_pass);
}

Result<> Config::read_letter(const std::vector<std::string>& arguments, std::size_t& at, bool naming_pass) {
  const std::string& word = arguments[at];
  char letter = word[1];
  std::string name;
  switch (letter) {
    case 'c':
      name = "conf";
      break;
    case 'i':
      name = "id";
      break;
    case 'n':
      name = "name";
      break;
    default:
      for (const auto& [option, each] : slots_)
        if (each.row->letter == letter) name = option;
  }
  if (name.empty() && letter == 'f') return {};
  if (name.empty() && letter == 'd') return take_named("log_to_stderr", "true", naming_pass);
  if (name.empty()) return wrong(fmt::format("unknown option {}", word));
  auto found = slots_.find(name);
  if (found != slots_.end() && found->second.row->type == OptionType::boolean)
    return take_named(name, "true", naming_pass);
  if (word.size() > 2) return take_named(name, std::string_view(word).substr(2), naming_pass);
  if (at + 1 >= arguments.size()) return wrong(fmt::format("{} needs a value", word));
  return take_named(name, arguments[++at], naming_pass);
}

Result<> Config::take_named(std::string_view name, std::string_view value, bool naming_pass) {
  if (name == "conf") {
    conf_ = value;
  } else if (name == "cluster") {
    cluster_ = value;
  } else if (name == "id" || name == "user") {
    id_ = value;
  } else if (name == "name") {
    auto dot = value.find('.');
    if (dot == value.npos) return wrong(fmt::format("\"{}\" is not a name like client.admin", value));
    type_ = value.substr(0, dot);
    id_ = value.substr(dot + 1);
  } else if (naming_pass) {
    return {};
  } else if (slots_.contains(name)) {
    return assign(name, value, from_command_line);
  } else if (name.starts_with("debug_")) {
    debug_[std::string(name)] = value;
  } else {
    return wrong(fmt::format("unknown option --{}", name));
  }
  return {};
}

Result<> Config::read_file() {
  bool named = !conf_.empty();
  std::vector<std::string> candidates;
  if (named) {
    candidates.push_back(conf_);
  } else if (const char* from_environment = std::getenv("CEPH_CONF")) {
    candidates.push_back(from_environment);
  } else {
    candidates = {"/etc/ceph/" + cluster_ + ".conf", cluster_ + ".conf"};
  }
  for (const std::string& path : candidates) {
    std::ifstream file(path);
    if (!file) continue;
    std::ostringstream text;
    text << file.rdbuf();
    Result<> parsed = parse_file_text(text.str());
    if (!parsed) problem_ = path + ": " + problem_;
    return parsed;
  }
  if (named) return wrong(fmt::format("cannot read {}", conf_));
  return {};
}

Result<> Config::parse_file_text(std::string_view text) {
  std::vector<config_text::Line> lines;
  if (std::string why = config_text::split(text, lines); !why.empty()) return wrong(why);
  std::lock_guard lock(mutex_);
  for (const std::string& section : {std::string("global"), type_, name()}) {
    for (const config_text::Line& line : lines) {
      if (line.section != section) continue;
      if (slots_.contains(line.name)) {
        TRY(assign(line.name, line.value, from_file));
      } else if (line.name.starts_with("debug_")) {
        debug_.insert_or_assign(line.name, line.value);
      }
    }
  }
  return {};
}

}  // namespace spirula
