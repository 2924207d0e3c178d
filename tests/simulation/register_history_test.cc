#include "tests/simulation/register_history.h"

#include <gtest/gtest.h>

namespace spirula::simulation {
namespace {

using Kind = RegisterHistory::Kind;
using Outcome = RegisterHistory::Outcome;

TEST(RegisterHistory, what_overlaps_may_have_either_order) {
  for (const char* found : {"a", "b"}) {
    RegisterHistory history;
    auto a = history.call(Kind::write_full, "a"), b = history.call(Kind::write_full, "b");
    history.answer(a, Outcome::done);
    history.answer(b, Outcome::done);
    history.answer(history.call(Kind::read), Outcome::done, found);
    EXPECT_EQ(history.check(), "");
    history.answer(history.call(Kind::read), Outcome::done, found == std::string("a") ? "b" : "a");
    EXPECT_NE(history.check(), "");
  }
}

TEST(RegisterHistory, what_was_acknowledged_may_not_be_lost) {
  RegisterHistory history;
  history.answer(history.call(Kind::append, "a"), Outcome::done);
  history.answer(history.call(Kind::append, "b"), Outcome::done);
  auto read = history.call(Kind::read);
  history.answer(read, Outcome::done, "ab");
  EXPECT_EQ(history.check(), "");
  history.answer(history.call(Kind::read), Outcome::done, "a");
  EXPECT_NE(history.check(), "");
}

TEST(RegisterHistory, what_was_read_once_is_not_taken_back) {
  RegisterHistory history;
  auto write = history.call(Kind::write_full, "a");
  history.answer(history.call(Kind::read), Outcome::done, "a");
  history.answer(history.call(Kind::read), Outcome::not_found);
  history.answer(write, Outcome::done);
  EXPECT_NE(history.check(), "");
}

TEST(RegisterHistory, twice_is_not_once) {
  RegisterHistory history;
  history.answer(history.call(Kind::append, "a"), Outcome::done);
  history.answer(history.call(Kind::read), Outcome::done, "aa");
  EXPECT_NE(history.check(), "");
}

TEST(RegisterHistory, existence_is_part_of_the_value) {
  RegisterHistory history;
  history.answer(history.call(Kind::remove), Outcome::not_found);
  history.answer(history.call(Kind::create_exclusive), Outcome::done);
  history.answer(history.call(Kind::create_exclusive), Outcome::exists);
  history.answer(history.call(Kind::remove), Outcome::done);
  EXPECT_EQ(history.check(), "");
  history.answer(history.call(Kind::create_exclusive), Outcome::exists);
  EXPECT_NE(history.check(), "");
}

}  // namespace
}  // namespace spirula::simulation
