#pragma once
#include <gtest/gtest.h>

#include "mon/mkfs.h"
#include "mon/osd_edit.h"
#include "mon/state.h"

/// A cluster in memory for unit tests: drafts are applied at once, and after each the state is also rebuilt from the
/// decision's bytes, which must give the same.
namespace spirula::mon {

struct TestState {
  msg::Uuid fsid = *msg::Uuid::parse("11111111-2222-3333-4444-555555555555");
  msg::Time now{1'700'000'000, 0};
  State state;

  TestState() {
    auto made = initial_state(fsid, "a", msg::Address::msgr2(*Endpoint::parse("127.0.0.1:3300"), 0), {}, now);
    EXPECT_TRUE(made);
    state = *made;
  }

  template <class Proposal>
  Result<> decide(Proposal proposal) {
    ++now.seconds;
    Draft draft(state);
    auto done = proposal(draft);
    if (!done) return done.error();
    auto decision = decode<Decision>(encode(draft.decision()));
    EXPECT_TRUE(decision);
    State replayed = state;
    auto applied = replayed.apply(*decision);
    EXPECT_TRUE(applied);
    EXPECT_TRUE(replayed.save() == draft.state().save());
    auto loaded = State::load(replayed.save());
    EXPECT_TRUE(loaded);
    if (loaded) EXPECT_TRUE(loaded->save() == replayed.save());
    state = std::move(replayed);
    return {};
  }

  const maps::OsdMap& map() const { return state.osd().map(); }
  const maps::FsMap& fs() const { return state.fs().map(); }

  msg::OsdBoot boot_of(std::int32_t osd, std::uint16_t port) const {
    msg::OsdBoot boot;
    boot.cluster = fsid;
    boot.osd = osd;
    boot.store.bytes[15] = static_cast<std::uint8_t>(osd + 1);
    boot.client_address = msg::Address::msgr2(*Endpoint::parse("127.0.0.1:" + std::to_string(port)), 7);
    boot.cluster_address = boot.client_address;
    boot.space.total = std::uint64_t{1} << 40;
    boot.metadata["hostname"] = "box";
    return boot;
  }
  Result<> boot(std::int32_t osd, std::uint16_t port) {
    return decide([&](Draft& draft) { return boot_osd(draft, boot_of(osd, port), {}, now); });
  }
  Result<std::int64_t> pool(const std::string& name, std::uint32_t pg_num = 8) {
    std::int64_t id = -1;
    OsdPolicy policy;
    policy.pool_size = 1;
    auto made = decide([&](Draft& draft) -> Result<> {
      std::string problem;
      PoolSpec spec;
      spec.name = name;
      spec.pg_num = pg_num;
      auto created = create_pool(draft, spec, policy, now, problem);
      if (!created) return created.error();
      id = *created;
      return {};
    });
    if (!made) return made.error();
    return id;
  }
};

}  // namespace spirula::mon
