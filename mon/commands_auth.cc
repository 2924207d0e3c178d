#include <fmt/format.h>

#include <cerrno>

#include "mon/command_tables.h"
#include "mon/dump.h"
#include "msg/caps_mds.h"
#include "msg/caps_mon.h"
#include "msg/caps_osd.h"
#include "msg/keyring.h"

/// Keys and capabilities.
namespace spirula::mon {
namespace {

Result<msg::KeyName> parse_name(const std::string& text) {
  TRY(auto name, msg::KeyName::parse(text));
  if (name.id.empty()) return Errc::invalid;
  return name;
}

CommandResult bad_name(const std::string& text) {
  return CommandResult::fail(-EINVAL, fmt::format("invalid entity name '{}': must be TYPE.ID", text));
}

/// ["mon", "allow r", "osd", "allow rw"]. Text of the problem, empty if there is none.
std::string parse_caps(const std::vector<std::string>& words, CapsByService& caps) {
  if (words.size() % 2) return "bad capabilities request; odd number of arguments";
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const auto &service = words[i], &text = words[i + 1];
    bool fine = service == "mgr";
    if (service == "mon") fine = msg::MonCaps::parse(text).has_value();
    if (service == "osd") fine = msg::OsdCaps::parse(text).has_value();
    if (service == "mds") fine = msg::MdsCaps::parse(text).has_value();
    if (service != "mon" && service != "osd" && service != "mds" && service != "mgr")
      return fmt::format("unknown cap type '{}'", service);
    if (!fine) return fmt::format("{} capability parse failed, stopped at '{}'", service, text);
    caps[service] = text;
  }
  return {};
}

JsonObject dump(const msg::KeyName& name, const AuthEntry& entry) {
  JsonObject caps;
  for (const auto& [service, text] : entry.caps) caps[service] = text;
  return {{"entity", name.describe()}, {"key", entry.key.print()}, {"caps", caps}};
}

CommandResult show(const CommandCall& call, const msg::KeyName& name, const AuthEntry& entry, std::string text,
                   bool with_caps = true) {
  if (!call.is_plain()) return call.json(JsonArray{dump(name, entry)}, std::move(text));
  return CommandResult::print(print_keyring(name, entry, with_caps), std::move(text));
}

CommandResult draft_set(Draft& draft, const msg::KeyName& name, AuthEntry entry) {
  AuthService::Change change;
  change.set[name] = std::move(entry);
  auto drafted = draft.change<AuthService>(change);
  return drafted ? CommandResult{} : CommandResult::fail(drafted.error(), "cannot change the key database");
}

CommandResult auth_get(const CommandCall& call) {
  std::string text = call.arguments.text("entity");
  auto name = parse_name(text);
  if (!name) return bad_name(text);
  const auto* entry = call.state.auth().find(*name);
  if (!entry) return CommandResult::fail(-ENOENT, fmt::format("failed to find {} in keyring", text));
  return show(call, *name, *entry, fmt::format("exported keyring for {}", text));
}

CommandResult auth_get_key(const CommandCall& call) {
  std::string text = call.arguments.text("entity");
  auto name = parse_name(text);
  if (!name) return bad_name(text);
  const auto* entry = call.state.auth().find(*name);
  if (!entry) return CommandResult::fail(-ENOENT, fmt::format("don't have {}", text));
  if (!call.is_plain()) return call.json(JsonObject{{"key", entry->key.print()}});
  return CommandResult::print(entry->key.print());
}

CommandResult auth_ls(const CommandCall& call) {
  if (!call.is_plain()) {
    JsonArray all;
    for (const auto& [name, entry] : call.state.auth().entries()) all.emplace_back(dump(name, entry));
    return call.json(JsonObject{{"auth_dump", all}});
  }
  std::string text;
  for (const auto& [name, entry] : call.state.auth().entries()) {
    text += fmt::format("{}\n\tkey: {}\n", name.describe(), entry.key.print());
    for (const auto& [service, caps] : entry.caps) text += fmt::format("\tcaps: [{}] {}\n", service, caps);
  }
  return CommandResult::print(std::move(text));
}

CommandResult auth_export(const CommandCall& call) {
  if (call.arguments.has("entity")) return auth_get(call);
  std::string text;
  JsonArray list;
  for (const auto& [name, entry] : call.state.auth().entries()) {
    text += print_keyring(name, entry);
    list.emplace_back(dump(name, entry));
  }
  if (!call.is_plain()) return call.json(list, "exported master keyring");
  return CommandResult::print(std::move(text), "exported master keyring");
}

CommandResult auth_add(const CommandCall& call, Draft& draft) {
  std::string text = call.arguments.text("entity");
  auto name = parse_name(text);
  if (!name) return bad_name(text);
  AuthEntry entry;
  if (auto problem = parse_caps(call.arguments.list("caps"), entry.caps); !problem.empty())
    return CommandResult::fail(-EINVAL, problem);
  if (!call.input.empty()) {
    auto keyring = msg::Keyring::parse(call.input);
    auto key = keyring ? keyring->find(*name) : Result<msg::CryptoKey>(keyring.error());
    if (!key) return CommandResult::fail(-EINVAL, fmt::format("keyring does not hold a key of {}", text));
    entry.key = *key;
    for (const auto& [service, caps] : keyring->entries[*name].caps) entry.caps.try_emplace(service, caps);
  } else {
    entry.key = msg::CryptoKey::generate(call.around.random, call.around.now);
  }
  if (const auto* known = draft->auth().find(*name)) {
    if (known->caps == entry.caps && (call.input.empty() || known->key == entry.key)) return {};
    return CommandResult::fail(-EINVAL, fmt::format("entity {} exists but {} does not match", text,
                                                    known->caps == entry.caps ? "key" : "caps"));
  }
  auto result = draft_set(draft, *name, std::move(entry));
  if (result.result == 0) result.text = fmt::format("added key for {}", text);
  return result;
}

CommandResult get_or_create(const CommandCall& call, Draft& draft, bool key_only) {
  std::string text = call.arguments.text("entity");
  auto name = parse_name(text);
  if (!name) return bad_name(text);
  CapsByService caps;
  if (auto problem = parse_caps(call.arguments.list("caps"), caps); !problem.empty())
    return CommandResult::fail(-EINVAL, problem);
  AuthEntry entry;
  if (const auto* known = draft->auth().find(*name)) {
    for (const auto& [service, wanted] : caps) {
      auto have = known->caps.find(service);
      if (have == known->caps.end() || have->second != wanted)
        return CommandResult::fail(-EINVAL, fmt::format("key for {} exists but cap {} does not match", text, service));
    }
    entry = *known;
  } else {
    entry.caps = std::move(caps);
    entry.key = msg::CryptoKey::generate(call.around.random, call.around.now);
    auto result = draft_set(draft, *name, entry);
    if (result.result < 0) return result;
  }
  if (key_only) {
    if (!call.is_plain()) return call.json(JsonObject{{"key", entry.key.print()}});
    return CommandResult::print(entry.key.print());
  }
  return show(call, *name, entry, {}, false);
}

CommandResult auth_get_or_create(const CommandCall& call, Draft& draft) {
  return get_or_create(call, draft, false);
}
CommandResult auth_get_or_create_key(const CommandCall& call, Draft& draft) {
  return get_or_create(call, draft, true);
}

CommandResult auth_caps(const CommandCall& call, Draft& draft) {
  std::string text = call.arguments.text("entity");
  auto name = parse_name(text);
  if (!name) return bad_name(text);
  const auto* known = draft->auth().find(*name);
  if (!known) return CommandResult::fail(-ENOENT, fmt::format("couldn't find entry {}", text));
  AuthEntry entry = *known;
  entry.caps.clear();
  if (auto problem = parse_caps(call.arguments.list("caps"), entry.caps); !problem.empty())
    return CommandResult::fail(-EINVAL, problem);
  auto result = draft_set(draft, *name, std::move(entry));
  if (result.result == 0) result.text = fmt::format("updated caps for {}", text);
  return result;
}

CommandResult auth_rm(const CommandCall& call, Draft& draft) {
  std::string text = call.arguments.text("entity");
  auto name = parse_name(text);
  if (!name) return bad_name(text);
  if (!draft->auth().find(*name)) return CommandResult::say(fmt::format("entity {} does not exist", text));
  AuthService::Change change;
  change.removed.insert(*name);
  auto drafted = draft.change<AuthService>(change);
  if (!drafted) return CommandResult::fail(drafted.error(), "");
  return CommandResult::say("updated");
}

CommandResult auth_import(const CommandCall& call, Draft& draft) {
  auto keyring = msg::Keyring::parse(call.input);
  if (!keyring || call.input.empty())
    return CommandResult::fail(-EINVAL, "auth import: no data supplied, or not a keyring");
  AuthService::Change change;
  for (const auto& [name, entry] : keyring->entries) {
    if (!entry.key.usable()) return CommandResult::fail(-EINVAL, fmt::format("{} has no key", name.describe()));
    std::vector<std::string> words;
    for (const auto& [service, caps] : entry.caps) words.insert(words.end(), {service, caps});
    CapsByService caps;
    if (auto problem = parse_caps(words, caps); !problem.empty())
      return CommandResult::fail(-EINVAL, fmt::format("{}: {}", name.describe(), problem));
    change.set[name] = {entry.key, caps};
  }
  auto drafted = draft.change<AuthService>(change);
  if (!drafted) return CommandResult::fail(drafted.error(), "");
  return CommandResult::say("imported keyring");
}

/// The capabilities that mounting (parts of) a file system takes (Ceph: AuthMonitor, "fs authorize").
CommandResult fs_authorize(const CommandCall& call, Draft& draft) {
  std::string fs_name = call.arguments.text("filesystem"), text = call.arguments.text("entity");
  auto name = parse_name(text);
  if (!name) return bad_name(text);
  bool every = fs_name == "*" || fs_name == "all";
  if (!every && !draft->fs().map().file_system(fs_name))
    return CommandResult::fail(-EINVAL, fmt::format("filesystem {} does not exist.", fs_name));
  auto words = call.arguments.list("caps");
  if (words.size() % 2) return CommandResult::fail(-EINVAL, "bad capabilities request; odd number of arguments");
  std::string mds_caps;
  bool writes = false;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    std::string path = words[i], access = words[i + 1], letters = access;
    bool squash = false;
    if (auto space = access.find(' '); space != access.npos) {
      letters = access.substr(0, space);
      squash = access.substr(space + 1) == "root_squash";
      if (!squash) return CommandResult::fail(-EINVAL, fmt::format("bad capability '{}'", access));
    }
    if (letters.empty() || letters[0] != 'r' || letters.find_first_not_of("rwps") != letters.npos)
      return CommandResult::fail(-EINVAL, fmt::format("permission '{}' is not one of r, rw, rwp, rws, rwps", letters));
    writes |= letters.find('w') != letters.npos;
    mds_caps += fmt::format("{}allow {}", mds_caps.empty() ? "" : ", ", letters);
    if (!every) mds_caps += " fsname=" + fs_name;
    if (path != "/" && !path.empty()) mds_caps += " path=" + (path[0] == '/' ? path.substr(1) : path);
    if (squash) mds_caps += " root_squash";
  }
  CapsByService caps{{"mon", every ? "allow r" : "allow r fsname=" + fs_name},
                     {"osd", fmt::format("allow {} tag cephfs data={}", writes ? "rw" : "r", every ? "*" : fs_name)},
                     {"mds", mds_caps}};
  AuthEntry entry;
  if (const auto* known = draft->auth().find(*name)) {
    if (known->caps != caps)
      return CommandResult::fail(-EINVAL, fmt::format("{} already has fs capabilities that differ from those supplied. "
                                                      "To generate a new auth key for {}, first remove {} from "
                                                      "configuration files, execute 'ceph auth rm {}', then execute "
                                                      "this command again.",
                                                      text, text, text, text));
    entry = *known;
  } else {
    entry.caps = std::move(caps);
    entry.key = msg::CryptoKey::generate(call.around.random, call.around.now);
    auto result = draft_set(draft, *name, entry);
    if (result.result < 0) return result;
  }
  return show(call, *name, entry, {}, false);
}

constexpr CommandRow rows[] = {
    {"auth export name=entity,type=CephString,req=false", "write a keyring of one entity, or of all", "auth", "rx",
     auth_export},
    {"auth get name=entity,type=CephString", "write the keyring of one entity", "auth", "rx", auth_get},
    {"auth get-key name=entity,type=CephString", "show an entity's key", "auth", "rx", auth_get_key},
    {"auth print-key name=entity,type=CephString", "show an entity's key", "auth", "rx", auth_get_key},
    {"auth print_key name=entity,type=CephString", "show an entity's key", "auth", "rx", auth_get_key},
    {"auth list", "list keys and capabilities", "auth", "rx", auth_ls},
    {"auth ls", "list keys and capabilities", "auth", "rx", auth_ls},
    {"auth import", "take the keys of a keyring, given with -i", "auth", "rwx", nullptr, auth_import},
    {"auth add name=entity,type=CephString name=caps,type=CephString,n=N,req=false",
     "add an entity, with the key given with -i or a new one", "auth", "rwx", nullptr, auth_add},
    {"auth get-or-create-key name=entity,type=CephString name=caps,type=CephString,n=N,req=false",
     "show an entity's key, making the entity if it is not there", "auth", "rwx", nullptr, auth_get_or_create_key},
    {"auth get-or-create name=entity,type=CephString name=caps,type=CephString,n=N,req=false",
     "write an entity's keyring, making the entity if it is not there", "auth", "rwx", nullptr, auth_get_or_create},
    {"fs authorize name=filesystem,type=CephString name=entity,type=CephString name=caps,type=CephString,n=N",
     "make a key that may use a file system", "auth", "rwx", nullptr, fs_authorize},
    {"auth caps name=entity,type=CephString name=caps,type=CephString,n=N", "replace an entity's capabilities", "auth",
     "rwx", nullptr, auth_caps},
    {"auth del name=entity,type=CephString", "remove an entity", "auth", "rwx", nullptr, auth_rm},
    {"auth rm name=entity,type=CephString", "remove an entity", "auth", "rwx", nullptr, auth_rm},
};

}  // namespace

std::span<const CommandRow> auth_commands() {
  return rows;
}

}  // namespace spirula::mon
