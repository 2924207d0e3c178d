#include <gtest/gtest.h>

#include <fstream>

#include "base/coroutine.h"
#include "base/shard.h"
#include "msg/cephx_client.h"
#include "msg/cephx_protocol.h"
#include "msg/test_cluster.h"

namespace spirula::msg {
namespace {

using namespace std::chrono_literals;

TEST(CryptoKey, text_and_bytes) {
  // The key of Ceph's own documentation.
  auto key = CryptoKey::parse("AQCvCbtToC6MDhAATtuT70Sl+DymPCfDSsyV4w==");
  ASSERT_TRUE(key);
  EXPECT_EQ(key->secret.size(), 16u);
  EXPECT_EQ(key->print(), "AQCvCbtToC6MDhAATtuT70Sl+DymPCfDSsyV4w==");
  EXPECT_FALSE(CryptoKey::parse(""));
  EXPECT_FALSE(CryptoKey::parse("nonsense"));
  EXPECT_FALSE(CryptoKey::parse("AQCvCbtToC6MDhAATtuT70Sl+DymPCfDSsyV4w="));
}

TEST(Cephx, sealed_opens_only_under_its_key) {
  SeededRandom random(1);
  auto key = CryptoKey::generate(random, {}), other = CryptoKey::generate(random, {});
  Buffer sealed = *seal(key, std::string("a secret"));
  EXPECT_EQ(*unseal<std::string>(key, sealed), "a secret");
  EXPECT_EQ(unseal<std::string>(other, sealed).error(), make_error_code(Errc::access));
  EXPECT_FALSE(unseal<std::string>(key, sealed.slice(0, 16)));
}

TEST(RotatingSecrets, three_keys_and_the_middle_one_seals) {
  SeededRandom random(1);
  RotatingSecrets secrets;
  Time now{1000, 0};
  EXPECT_TRUE(secrets.is_due(now));
  secrets.rotate(now, 100s, random);
  ASSERT_EQ(secrets.keys.size(), 3u);
  std::uint64_t current = secrets.current()->first;
  EXPECT_EQ(current, std::prev(secrets.keys.end(), 2)->first);
  EXPECT_FALSE(secrets.is_due(now));
  Time later = secrets.current()->second.expires;
  EXPECT_TRUE(secrets.is_due(later));
  secrets.rotate(later, 100s, random);
  EXPECT_EQ(secrets.current()->first, current + 1);
  EXPECT_TRUE(secrets.find(current)) << "tickets under the last key are still good";
  auto copy = decode<RotatingSecrets>(encode(secrets));
  EXPECT_EQ(copy->keys.size(), 3u);
}

/// The first eight bytes are given, what follows does not matter.
struct Scripted : Random {
  std::uint64_t first;
  explicit Scripted(std::uint64_t value) : first(value) {}
  void fill(std::span<std::byte> bytes) override {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(first >> (8 * (i % 8)));
  }
};

std::map<std::string, std::string> golden_login() {
  std::ifstream file("tests/golden/cephx/login.txt");
  std::map<std::string, std::string> lines;
  for (std::string name, value; file >> name;) {
    if (name == "#")
      std::getline(file, value);
    else if (file >> value)
      lines[name] = value;
  }
  return lines;
}

Buffer from_hex(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return Buffer::copy_of(bytes);
}

TEST(Cephx, a_stock_client_logs_in) {
  auto golden = golden_login();
  test::Keys keys;
  keys.set("client.admin", *CryptoKey::parse(golden.at("key")), {{"mon", "allow *"}});
  Scripted random(decode<cephx::Challenge>(from_hex(golden.at("challenge")))->value);
  CephxMonitorService monitor(keys, random);
  auto acceptance = *monitor.accept(AuthMethod::cephx, EntityType::client, ConnectionMode::secure);
  auto first = acceptance->step(from_hex(golden.at("client-request")));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->reply, from_hex(golden.at("challenge")));
  auto second = acceptance->step(from_hex(golden.at("client-answer")));
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->done);
  EXPECT_EQ(second->outcome.identity.name.describe(), "client.admin");
  EXPECT_EQ(second->reply.size(), 274u) << "as a stock monitor's answer to this request";
  auto replayed = *monitor.accept(AuthMethod::cephx, EntityType::client, ConnectionMode::secure);
  random.first += 1;
  ASSERT_TRUE(replayed->step(from_hex(golden.at("client-request"))));
  EXPECT_FALSE(replayed->step(from_hex(golden.at("client-answer")))) << "an answer to another challenge";
}

TEST(Cephx, a_stock_monitor_admits_us) {
  run_main([](Shard& shard) -> Task<int> {
    auto golden = golden_login();
    SeededRandom random(1);
    CephxClient client(*KeyName::parse("client.admin"), *CryptoKey::parse(golden.at("key")), 7, EntityType::none,
                       random, shard.clock());
    auto attempt = *client.attempt(EntityType::mon);
    auto outcome = attempt->done(14097, ConnectionMode::secure, from_hex(golden.at("monitor-done")));
    EXPECT_TRUE(outcome);
    EXPECT_EQ(outcome->connection_secret.size(), 64u);
    for (EntityType service : {EntityType::mon, EntityType::mds, EntityType::osd})
      EXPECT_TRUE(client.has_ticket(service));
    EXPECT_EQ(client.global_id(), 14097u);
    co_return 0;
  });
}

/// A login and what follows, without a connection.
struct Exchange : testing::Test {
  test::Keys keys;
  SeededRandom random{5};
  CephxMonitorService monitor{keys, random};

  Result<AuthOutcome> login(CephxClient& client, ConnectionMode mode, std::shared_ptr<AuthSession>* session = nullptr) {
    TRY(auto attempt, client.attempt(EntityType::mon));
    TRY(auto acceptance, monitor.accept(AuthMethod::cephx, EntityType::client, mode));
    TRY(auto first, acceptance->step(attempt->request()));
    TRY(Buffer answer, attempt->more(first.reply));
    TRY(auto second, acceptance->step(answer));
    EXPECT_TRUE(second.done);
    if (session) *session = second.outcome.session;
    TRY(auto outcome, attempt->done(second.outcome.identity.global_id, mode, second.reply));
    EXPECT_EQ(outcome.session_key, second.outcome.session_key);
    EXPECT_EQ(outcome.connection_secret, second.outcome.connection_secret);
    return second.outcome;
  }
};

TEST_F(Exchange, login_tickets_and_authorizers) {
  run_main([this](Shard& shard) -> Task<int> {
    KeyName name = *KeyName::parse("client.admin");
    CephxClient client(name, keys.add("client.admin", {{"mon", "allow r"}, {"osd", "allow rw pool=a"}}),
                       static_cast<std::uint32_t>(EntityType::osd) | static_cast<std::uint32_t>(EntityType::mon),
                       EntityType::none, random, shard.clock());
    EXPECT_EQ(client.attempt(EntityType::osd).error(), make_error_code(Errc::again));
    std::shared_ptr<AuthSession> session;
    auto outcome = login(client, ConnectionMode::secure, &session);
    EXPECT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->identity.caps, "allow r");
    EXPECT_EQ(outcome->connection_secret.size(), 64u);
    EXPECT_TRUE(client.has_ticket(EntityType::osd));
    EXPECT_FALSE(client.needs_renewal());

    CephxTicketService osd(EntityType::osd, random, [this] { return keys.now(); });
    auto try_osd = [&](ConnectionMode mode) -> Result<AuthOutcome> {
      TRY(auto attempt, client.attempt(EntityType::osd));
      TRY(auto acceptance, osd.accept(AuthMethod::cephx, EntityType::client, mode));
      TRY(auto first, acceptance->step(attempt->request()));
      EXPECT_FALSE(first.done);
      TRY(Buffer answer, attempt->more(first.reply));
      TRY(auto second, acceptance->step(answer));
      TRY(auto mine, attempt->done(0, mode, second.reply));
      EXPECT_EQ(mine.session_key, second.outcome.session_key);
      EXPECT_EQ(mine.connection_secret, second.outcome.connection_secret);
      return second.outcome;
    };
    EXPECT_FALSE(try_osd(ConnectionMode::crc)) << "no rotating secrets yet";
    osd.set_secrets(keys.secrets(EntityType::osd));
    auto admitted = try_osd(ConnectionMode::crc);
    EXPECT_TRUE(admitted);
    EXPECT_EQ(admitted->identity.caps, "allow rw pool=a");
    EXPECT_EQ(admitted->identity.name, name);
    EXPECT_EQ(admitted->identity.global_id, outcome->identity.global_id);
    EXPECT_EQ(try_osd(ConnectionMode::secure)->connection_secret.size(), 64u);

    // A refused ticket is renewed over the standing session, login first.
    client.refused(EntityType::osd);
    EXPECT_TRUE(client.needs_renewal());
    for (int round = 0; client.needs_renewal() && round < 4; ++round) {
      auto request = client.renewal_request();
      EXPECT_TRUE(request);
      auto reply = session->handle(*request);
      EXPECT_TRUE(reply);
      auto handled = client.handle_reply(0, *reply);
      EXPECT_TRUE(handled);
    }
    EXPECT_FALSE(client.needs_renewal());
    EXPECT_TRUE(try_osd(ConnectionMode::crc));

    // A second login keeps the global id, which takes the old ticket.
    auto again = login(client, ConnectionMode::crc);
    EXPECT_TRUE(again);
    EXPECT_EQ(again->identity.global_id, outcome->identity.global_id);
    co_return 0;
  });
}

TEST_F(Exchange, wrong_key_unknown_name_and_no_caps_are_refused) {
  run_main([this](Shard& shard) -> Task<int> {
    keys.add("client.a", {{"mon", "allow r"}});
    CryptoKey no_caps = keys.add("client.b", {{"osd", "allow r"}});
    CryptoKey wrong = CryptoKey::generate(random, {});
    for (auto [text, key] :
         {std::pair("client.a", wrong), std::pair("client.x", wrong), std::pair("client.b", no_caps)}) {
      CephxClient client(*KeyName::parse(text), key, 4, EntityType::none, random, shard.clock());
      auto outcome = login(client, ConnectionMode::crc);
      EXPECT_EQ(outcome.error(), make_error_code(Errc::access)) << text;
    }
    co_return 0;
  });
}

/// Found by fuzzing: it took the client down.
TEST_F(Exchange, a_monitor_that_sends_tickets_but_no_login_is_not_believed) {
  run_main([this](Shard& shard) -> Task<int> {
    CryptoKey key = keys.add("client.a", {{"mon", "allow *"}});
    CephxClient client(*KeyName::parse("client.a"), key, 4, EntityType::none, random, shard.clock());
    Encoder reply;
    reply(cephx::ResponseHeader{cephx::Request::login, 0});
    reply(std::uint8_t{1});
    reply(std::uint32_t{0});
    reply(Buffer{});
    reply(Buffer::copy_of("tickets"));
    EXPECT_EQ(client.handle_reply(0, reply.take()).error(), make_error_code(Errc::malformed));
    co_return 0;
  });
}

TEST_F(Exchange, services_get_their_rotating_secrets) {
  run_main([this](Shard& shard) -> Task<int> {
    CephxClient osd(*KeyName::parse("osd.0"), keys.add("osd.0", {{"mon", "allow profile osd"}}), 4, EntityType::osd,
                    random, shard.clock());
    std::shared_ptr<AuthSession> session;
    EXPECT_TRUE(login(osd, ConnectionMode::crc, &session));
    EXPECT_TRUE(osd.needs_renewal());
    auto reply = session->handle(*osd.renewal_request());
    EXPECT_TRUE(reply);
    EXPECT_TRUE(osd.handle_reply(0, *reply));
    auto secrets = osd.take_rotating_secrets();
    EXPECT_TRUE(secrets);
    EXPECT_EQ(secrets->keys.size(), 3u);
    EXPECT_FALSE(osd.needs_renewal());

    CephxClient client(*KeyName::parse("client.a"), keys.add("client.a", {{"mon", "allow r"}}), 4, EntityType::none,
                       random, shard.clock());
    EXPECT_TRUE(login(client, ConnectionMode::crc, &session));
    EXPECT_FALSE(session->handle(encode(cephx::Request::rotating))) << "a client gets none";
    co_return 0;
  });
}

/// Stands still until it is told otherwise; its wall clock jumps.
struct JumpingClock : Clock {
  MonotonicTime now_{};
  WallTime wall_{std::chrono::seconds(1'700'000'000)};
  MonotonicTime now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  TimerId call_at(MonotonicTime, std::move_only_function<void()>) override { return 0; }
  void cancel(TimerId) override {}
};

TEST_F(Exchange, a_clock_that_jumps_ahead_asks_for_rotating_secrets) {
  JumpingClock clock;
  clock.wall_ = keys.now().wall();
  CephxClient mds(*KeyName::parse("mds.a"), keys.add("mds.a", {{"mon", "allow profile mds"}}), 4, EntityType::mds,
                  random, clock);
  std::shared_ptr<AuthSession> session;
  ASSERT_TRUE(login(mds, ConnectionMode::crc, &session));
  auto renew = [&] {
    auto reply = session->handle(*mds.renewal_request());
    ASSERT_TRUE(reply);
    EXPECT_TRUE(mds.handle_reply(0, *reply));
  };
  renew();
  clock.now_ += 2s;
  EXPECT_FALSE(mds.needs_renewal());
  clock.wall_ += std::chrono::years(20);
  EXPECT_TRUE(mds.needs_renewal()) << "the monitor has new ones by now";
  renew();
  EXPECT_FALSE(mds.needs_renewal()) << "a monitor whose clock is behind is not asked all the time";
  clock.now_ += 2s;
  EXPECT_TRUE(mds.needs_renewal());
}

}  // namespace
}  // namespace spirula::msg
