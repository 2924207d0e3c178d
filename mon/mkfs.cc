#include "mon/mkfs.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/config.h"
#include "base/random.h"
#include "mon/decision_log.h"
#include "mon/osd_edit.h"

namespace spirula::mon {

Result<State> initial_state(const msg::Uuid& fsid, const std::string& id, const msg::AddressVector& address,
                            const msg::Keyring& keyring, msg::Time now) {
  State state;
  MonService::Change mon;
  mon.map.fsid = fsid;
  mon.map.epoch = msg::Epoch(1);
  mon.map.created = mon.map.last_changed = now;
  mon.map.monitors[id].name = id;
  mon.map.monitors[id].addresses = address;
  mon.map.ranks = {id};
  TRY(state.apply<MonService>(mon));

  OsdService::Change osd;
  osd.first_map = initial_osd_map(fsid, now).encode_map();
  TRY(state.apply<OsdService>(osd));

  FsService::Change fs;
  fs.map.emplace();
  fs.map->epoch = msg::Epoch(1);
  TRY(state.apply<FsService>(fs));

  AuthService::Change auth;
  for (const auto& [name, entry] : keyring.entries) auth.set[name] = {entry.key, entry.caps};
  TRY(state.apply<AuthService>(auth));
  return state;
}

Result<> make_store(const Config& config, std::string& problem) {
  auto refuse = [&](std::error_code error, std::string text) {
    problem = std::move(text);
    return Result<>(error);
  };
  auto fsid = config.text("fsid").empty() ? Result<msg::Uuid>(msg::Uuid::generate(system_random()))
                                          : msg::Uuid::parse(config.text("fsid"));
  if (!fsid) return refuse(fsid.error(), fmt::format("fsid '{}' is not a UUID", config.text("fsid")));
  std::string where = config.text("public_addrv");
  if (where.empty()) where = config.text("public_addr");
  if (where.empty()) where = config.text("mon_host");
  auto endpoints = parse_mon_host(where);
  if (!endpoints)
    return refuse(endpoints.error(), "no address: set \"mon host\" or \"public addr\" in the configuration");
  Endpoint endpoint = endpoints->front();
  if (endpoint.port == 0) endpoint.port = 3300;

  std::string keyring_path = config.text("keyring");
  auto keyring = msg::Keyring::load(keyring_path);
  if (!keyring) return refuse(keyring.error(), fmt::format("keyring {}: {}", keyring_path, keyring.error().message()));
  for (const auto& [name, entry] : keyring->entries)
    if (!entry.key.usable())
      return refuse(make_error_code(Errc::invalid),
                    fmt::format("keyring {}: {} has no key", keyring_path, name.describe()));

  std::string path = config.text("mon_data");
  if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST)
    return refuse(last_errno(), fmt::format("{}: {}", path, last_errno().message()));
  auto storage = open_log_directory(path);
  if (!storage) return refuse(storage.error(), fmt::format("{}: {}", path, storage.error().message()));
  auto now = msg::Time::from(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()));
  auto state = initial_state(*fsid, config.id(), msg::Address::msgr2(endpoint, 0), *keyring, now);
  if (!state) return refuse(state.error(), state.error().message());
  auto made = DecisionLog::create(**storage, state->save());
  if (!made)
    return refuse(made.error(), made.error() == Errc::exists ? fmt::format("{} holds a monitor's store already", path)
                                                             : fmt::format("{}: {}", path, made.error().message()));
  return {};
}

}  // namespace spirula::mon
