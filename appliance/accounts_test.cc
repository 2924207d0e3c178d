#include "appliance/accounts.h"

#include <gtest/gtest.h>

#include "appliance/limits.h"
#include "appliance/secrets.h"

namespace spirula::appliance {
namespace {

using namespace std::chrono_literals;

TEST(Secrets, passwords) {
  auto hash = hash_password("correct horse");
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << *hash;
  EXPECT_TRUE(verify_password("correct horse", *hash));
  EXPECT_FALSE(verify_password("correct horsf", *hash));
  EXPECT_FALSE(verify_password("correct horse", ""));
  EXPECT_NE(*hash_password("correct horse"), *hash) << "salted";
}

TEST(Secrets, codes_are_compared_as_typed_by_people) {
  std::string code = make_claim_code();
  EXPECT_EQ(code.size(), 9u);
  EXPECT_EQ(normalize_claim_code(" abcd 2345\n"), "ABCD2345");
  EXPECT_NE(make_claim_code(), code);
  EXPECT_TRUE(equal_secrets("a", "a"));
  EXPECT_FALSE(equal_secrets("a", "ab"));
  EXPECT_FALSE(equal_secrets("a", "b"));
}

/// 10,000 guesses as fast as they are answered, for a day: from one address a few hundred are looked at.
TEST(GuessDelays, guessing_is_hopeless_and_nobody_is_locked_out) {
  GuessDelays delays;
  MonotonicTime now{};
  int looked_at = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (delays.wait_for("10.0.0.9", now) == 0s) {
      ++looked_at;
      delays.wrong("10.0.0.9", now);
    }
    now += 8640ms;
  }
  EXPECT_LT(looked_at, 400);
  EXPECT_GT(looked_at, 200);
  now += 10s;
  EXPECT_EQ(delays.wait_for("10.0.0.1", now), 0s) << "another address gets in";
  EXPECT_LE(delays.wait_for("10.0.0.9", now), limits::guess_delay_max);
  delays.right("10.0.0.1");
  EXPECT_GT(delays.wait_for("10.0.0.9", now), 0s) << "the guesser still waits";
}

TEST(GuessDelays, many_addresses_together_are_slowed_too) {
  GuessDelays delays;
  MonotonicTime now{};
  int looked_at = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string address = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    if (delays.wait_for(address, now) == 0s) {
      ++looked_at;
      delays.wrong(address, now);
    }
    now += 100ms;
  }
  EXPECT_LT(looked_at, 120);
}

TEST(GuessDelays, who_was_right_before_does_not_wait_for_others) {
  GuessDelays delays;
  MonotonicTime now{};
  delays.right("10.0.0.1");
  for (int i = 0; i < 20; ++i) delays.wrong("10.0.0." + std::to_string(100 + i), now);
  EXPECT_EQ(delays.wait_for("10.0.0.1", now), 0s);
  EXPECT_GT(delays.wait_for("10.0.0.2", now), 0s);
  delays.wrong("10.0.0.1", now);
  EXPECT_EQ(delays.wait_for("10.0.0.1", now), 1s) << "for its own guesses it does";
}

const AccountRecord anna{.name = "anna", .role = Role::viewer};

TEST(Sessions, end_when_idle_old_or_closed) {
  Sessions sessions;
  MonotonicTime now{};
  auto opened = sessions.open("a", anna, now);
  ASSERT_TRUE(sessions.find(opened.token, now));
  EXPECT_FALSE(sessions.find(opened.session.id, now)) << "its name is not its token";
  EXPECT_FALSE(sessions.find("", now));
  now += 29min;
  EXPECT_TRUE(sessions.find(opened.token, now));
  now += 29min;
  EXPECT_TRUE(sessions.is_open(opened.session.id, now)) << "being looked at is no use";
  now += 2min;
  EXPECT_FALSE(sessions.find(opened.token, now));

  auto old = sessions.open("a", anna, now);
  for (int i = 0; i < 49; ++i) {
    now += 29min;
    EXPECT_TRUE(sessions.find(old.token, now));
  }
  now += 29min;
  EXPECT_FALSE(sessions.find(old.token, now)) << "a day at most";

  auto one = sessions.open("a", anna, now), two = sessions.open("b", anna, now);
  sessions.close_all("anna", two.session.id);
  EXPECT_FALSE(sessions.find(one.token, now));
  EXPECT_TRUE(sessions.find(two.token, now));
  EXPECT_TRUE(sessions.close(two.session.id));
  EXPECT_FALSE(sessions.close(two.session.id));
}

TEST(Sessions, are_those_of_an_account) {
  Sessions sessions;
  const MonotonicTime now{};
  const AccountRecord owner{.name = owner_name, .role = Role::administrator};
  auto hers = sessions.open("a", anna, now), owners = sessions.open("a", owner, now);
  EXPECT_EQ(sessions.find(hers.token, now)->role, Role::viewer);
  EXPECT_EQ(sessions.find(owners.token, now)->role, Role::administrator);
  sessions.close_all("anna");
  EXPECT_FALSE(sessions.find(hers.token, now));
  EXPECT_TRUE(sessions.find(owners.token, now));
}

TEST(Sessions, are_few) {
  Sessions sessions;
  MonotonicTime now{};
  auto first = sessions.open("a", anna, now);
  for (std::size_t i = 0; i < limits::sessions_max; ++i) sessions.open("a", anna, now += 1s);
  EXPECT_EQ(sessions.list(now).size(), limits::sessions_max);
  EXPECT_FALSE(sessions.find(first.token, now));
}

}  // namespace
}  // namespace spirula::appliance
