#include "mds/caps.h"

#include <gtest/gtest.h>

#include <random>

namespace spirula::mds {
namespace {

constexpr ClientId a{1}, b{2};
constexpr cap::Bits want_read = cap::pin | cap::file_shared | cap::file_read | cap::file_cache;
const cap::Bits want_write = cap::wanted_by_open(1);

struct File : testing::Test {
  InodeCaps caps{false};
  std::string has(ClientId client) { return cap::describe(caps.find(client)->pending); }
  void open(ClientId client, cap::Bits wanted) {
    caps.add(client, 1).wanted |= wanted;
    caps.evaluate({});
  }
  /// The client gives back what was revoked.
  void acknowledge(ClientId client) {
    Cap& cap = *caps.find(client);
    caps.confirm(cap, cap.sequence, cap.pending);
    caps.evaluate({});
  }
  void TearDown() override { caps.verify(); }
};

TEST_F(File, one_client_gets_everything_it_wants) {
  open(a, want_read);
  caps.issue_with_reply(*caps.find(a));
  EXPECT_EQ(has(a), "pAsLsXsFscr");
  open(a, want_write);
  EXPECT_EQ(has(a), "pAsxLsXsxFsxcrwb");
}

TEST_F(File, readers_share) {
  open(a, want_read);
  open(b, want_read);
  EXPECT_EQ(has(a), has(b));
  EXPECT_EQ(has(b), "pFscr");
}

TEST_F(File, a_second_user_makes_the_writer_synchronous_first) {
  open(a, want_write | want_read);
  EXPECT_EQ(has(a), "pAsxXsxFsxcrwb");
  open(b, want_read);
  EXPECT_EQ(has(a), "pAsxXsxFrw") << "revoked at once";
  EXPECT_EQ(has(b), "p") << "but nobody is let in before the writer has flushed";
  acknowledge(a);
  EXPECT_EQ(has(b), "pFr");
  caps.remove(b);
  caps.evaluate({});
  EXPECT_EQ(has(a), "pAsxXsxFsxcrwb") << "alone again";
}

TEST_F(File, a_stat_flushes_the_writer_who_then_goes_on) {
  open(a, want_write);
  Claim stat{cap::Group::file, Claim::Mode::read, b};
  EXPECT_FALSE(caps.satisfied(stat));
  caps.claim(stat);
  caps.evaluate({});
  EXPECT_EQ(has(a), "pAsxXsx");
  EXPECT_FALSE(caps.satisfied(stat));
  acknowledge(a);
  EXPECT_TRUE(caps.satisfied(stat));
  caps.release(stat);
  caps.evaluate({});
  EXPECT_EQ(has(a), "pAsxXsxFxwb");
}

TEST_F(File, a_truncation_leaves_its_own_client_the_cache) {
  open(a, want_write | want_read);
  Claim cut{cap::Group::file, Claim::Mode::write, a};
  caps.claim(cut);
  caps.evaluate({});
  EXPECT_EQ(has(a), "pAsxXsxFscb");
  acknowledge(a);
  EXPECT_TRUE(caps.satisfied(cut));
  caps.release(cut);
}

TEST_F(File, releases_that_cross_a_revocation_count) {
  open(a, want_write | want_read);
  Cap& cap = *caps.find(a);
  std::uint32_t before = cap.sequence;
  Claim stat{cap::Group::file, Claim::Mode::read, b};
  caps.claim(stat);
  caps.evaluate({});
  EXPECT_TRUE(cap.revoking());
  // The client dropped them in a request it sent before it saw the revocation.
  caps.confirm(cap, before, cap::pin | cap::file_shared);
  EXPECT_FALSE(cap.revoking());
  caps.release(stat);
}

TEST_F(File, a_partial_answer_keeps_the_rest_revoking) {
  open(a, want_write | want_read);
  Cap& cap = *caps.find(a);
  Claim stat{cap::Group::file, Claim::Mode::read, b};
  caps.claim(stat);
  caps.evaluate({});
  caps.confirm(cap, cap.sequence, cap.pending | cap::file_buffer);
  EXPECT_TRUE(cap.revoking());
  EXPECT_FALSE(caps.satisfied(stat));
  acknowledge(a);
  EXPECT_TRUE(caps.satisfied(stat));
  caps.release(stat);
}

TEST(Directory, only_shared_and_exclusive_file_bits) {
  InodeCaps caps(true);
  Cap& one = caps.add(a, 1);
  one.wanted = cap::pin | cap::any_shared | cap::file_exclusive | cap::file_read | cap::file_cache;
  caps.issue_with_reply(one);
  EXPECT_EQ(cap::describe(one.pending), "pAsLsXsFsx");
  caps.issue_with_reply(caps.add(b, 2));
  EXPECT_EQ(cap::describe(caps.find(b)->pending), "pAsLsXs");
  auto changes = caps.evaluate({});
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_TRUE(changes[0].revokes);
  EXPECT_EQ(cap::describe(caps.find(a)->pending), "pAsLsXsFs");
}

/// Clients that answer late and in part, claims that come and go: nobody ever holds what excludes another, and in the
/// end everybody who waits gets through.
TEST(Caps, random_schedules_are_safe_and_live) {
  std::mt19937 dice(3);
  for (int round = 0; round < 200; ++round) {
    InodeCaps caps(round % 4 == 0);
    std::vector<Claim> claims;
    for (int step = 0; step < 200; ++step) {
      ClientId client{1 + static_cast<std::int64_t>(dice() % 3)};
      Cap* cap = caps.find(client);
      switch (dice() % 8) {
        case 0:
          if (!cap) cap = &caps.add(client, 1);
          cap->wanted = dice() % 3 == 0 ? 0 : dice() % 2 ? want_read : want_write;
          break;
        case 1:
          if (cap) caps.issue_with_reply(*cap);
          break;
        case 2:
          claims.push_back({static_cast<cap::Group>(dice() % 4), static_cast<Claim::Mode>(dice() % 2), client});
          caps.claim(claims.back());
          break;
        case 3:
          if (!claims.empty()) {
            caps.release(claims.back());
            claims.pop_back();
          }
          break;
        case 4:
          if (dice() % 10 == 0) caps.remove(client);
          break;
        default:
          if (cap) caps.confirm(*cap, cap->sequence, cap->pending | (cap->issued & dice()));
      }
      caps.evaluate({});
      caps.verify();
    }
    for (int i = 0; i < 10; ++i) {
      for (const Cap& each : caps.all()) {
        Cap& cap = *caps.find(each.client);
        caps.confirm(cap, cap.sequence, cap.pending);
      }
      caps.evaluate({});
    }
    for (const Claim& claim : claims) EXPECT_TRUE(caps.satisfied(claim));
  }
}

}  // namespace
}  // namespace spirula::mds
