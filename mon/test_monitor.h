#pragma once
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/config.h"
#include "base/coroutine.h"
#include "base/simulation.h"
#include "mon/mkfs.h"
#include "mon/monitor.h"
#include "mon/options.h"
#include "mon/test_storage.h"
#include "msg/fake_messenger.h"
#include "msg/mon_messages.h"

namespace spirula::mon {

/// For tests: a monitor in a simulated world, and peers that have logged in, whose connections are seen from both ends.
struct TestMonitor {
  sim::Simulation world{1};
  sim::Host& host = world.add_host();
  Config config{"mon", "a"};
  MemoryStorage::Disk disk;
  std::unique_ptr<Monitor> monitor;
  const msg::Uuid fsid = *msg::Uuid::parse("11111111-2222-3333-4444-555555555555");

  /// Without keys everybody is who they say; with some, cephx is demanded.
  explicit TestMonitor(const msg::Keyring& keyring = {}) {
    config.add(options());
    Endpoint at = *Endpoint::parse(host.address() + ":3300");
    Result<> parsed =
        config.parse_file_text(fmt::format("[global]\nmon host = {}\npublic addr = {}\nauth service required = {}\n"
                                           "mon data = /\nmon legacy port = 0\nosd pool default size = 1\n",
                                           at.describe(), at.describe(), keyring.entries.empty() ? "none" : "cephx"));
    CHECK(parsed.has_value());
    auto state = initial_state(fsid, "a", msg::Address::msgr2(at, 0), keyring, msg::Time{1'700'000'000, 0});
    MemoryStorage storage(disk);
    CHECK(DecisionLog::create(storage, state->save()).has_value());
  }

  /// Runs `body(*this, more...)` while the monitor runs.
  template <class... More>
  void run(Task<> (*body)(More...), std::type_identity_t<More>... more) {
    world.run(around(*this, [&] { return body(more...); }), std::chrono::hours(24 * 365));
  }

  msg::FakeConnectionRef peer(msg::EntityType type, std::string id, int number, std::string caps) {
    auto from = *Endpoint::parse(fmt::format("10.9.9.{}", number));
    auto made = std::make_shared<msg::FakeConnection>(host, type, msg::AddressVector(msg::Address::msgr2(from, 5)));
    made->who = {msg::KeyName{static_cast<std::uint32_t>(type), std::move(id)}, 4100u + static_cast<unsigned>(number),
                 true, std::move(caps)};
    monitor->on_accept(made);
    return made;
  }
  /// client.cN at 10.9.9.N whose key has these capabilities.
  msg::FakeConnectionRef client(int number, std::string caps) {
    return peer(msg::EntityType::client, fmt::format("c{}", number), number, std::move(caps));
  }
  void send(const msg::FakeConnectionRef& from, std::uint16_t type, std::string_view front) {
    msg::Message message;
    message.type = type;
    message.version = message.compat = 1;
    message.front = Buffer::copy_of(front);
    monitor->on_message(from, std::move(message));
  }
  /// The result of a command. What else had been sent to this peer is gone.
  Task<std::int32_t> command(msg::FakeConnectionRef from, std::string json) {
    msg::MonCommand request;
    request.command = {std::move(json)};
    monitor->on_message(from, msg::make_message(request, 7));
    (void)co_await host.clock().sleep(std::chrono::milliseconds(10));
    auto reply = msg::read_message<msg::MonCommandAck>(from->take(msg::MonCommandAck::message_type));
    CHECK(reply.has_value());
    co_return reply->result;
  }

 private:
  template <class Body>
  static Task<> around(TestMonitor& all, Body body) {
    auto opened = Monitor::open(all.host, all.config, std::make_unique<MemoryStorage>(all.disk));
    CHECK(opened.has_value());
    all.monitor = std::move(*opened);
    Result<> started = co_await all.monitor->start();
    CHECK(started.has_value());
    co_await body();
    co_await all.monitor->stop();
    all.monitor.reset();
  }
};

}  // namespace spirula::mon
