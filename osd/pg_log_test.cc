#include "osd/pg_log.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace spirula::osd {
namespace {

using filestore::Transaction;

RequestId request(std::int64_t client, std::uint64_t tid, std::int32_t incarnation = 1) {
  return {{msg::EntityType::client, client}, tid, incarnation};
}

PgLogEntry entry_of(RequestId id, std::uint64_t version, std::uint64_t user_version = 0) {
  PgLogEntry entry;
  entry.at = {Epoch(static_cast<std::uint32_t>(1 + version / 1000)), version};
  entry.user_version = user_version;
  entry.request = id;
  return entry;
}

TEST(PgLog, finds_what_it_keeps_and_nothing_else) {
  constexpr std::size_t kept = 300;
  std::mt19937_64 dice(1);
  PgLog log;
  std::deque<PgLogEntry> model;
  std::set<Version> failed;
  for (std::uint64_t version = 1; version <= 5000; ++version) {
    // Some are nobody's, some clients have ids that look alike.
    std::int64_t client = dice() % 16 == 0 ? -1 : static_cast<std::int64_t>(4100 + dice() % 3);
    auto entry = entry_of(request(client, client < 0 ? 0 : version, static_cast<std::int32_t>(dice() % 2)), version,
                          7 * version);
    if (dice() % 4 == 0) entry.request.client.type = msg::EntityType::mds;
    Transaction transaction;
    Version keep_from = log.append(entry, {}, kept, transaction);
    model.push_back(entry);
    while (model.front().at < keep_from) model.pop_front();
    if (dice() % 50 == 0) {
      log.retract(entry.request, entry.at, {});
      failed.insert(entry.at);
    }
    ASSERT_EQ(log.size(), model.size());
    if (version % 100 != 0) continue;
    for (const PgLogEntry& each : model) {
      auto answer = log.find(each.request);
      ASSERT_EQ(answer.has_value(), each.request.client.number >= 0 && !failed.contains(each.at)) << each.at.describe();
      if (answer) {
        EXPECT_EQ(answer->at, each.at);
        EXPECT_EQ(answer->user_version, each.user_version);
      }
      EXPECT_TRUE(log.contains(each.at));
      RequestId other = each.request;
      other.tid += 100'000;
      EXPECT_FALSE(log.find(other));
      other = each.request;
      other.incarnation += 2;
      EXPECT_FALSE(log.find(other));
    }
    if (version > kept + 2 * limits::log_trim_batch) {
      EXPECT_LE(log.size(), kept + limits::log_trim_batch);
      EXPECT_FALSE(log.find(request(4100, version - kept - 2 * limits::log_trim_batch)));
      EXPECT_FALSE(log.contains(entry_of({}, version - kept - 2 * limits::log_trim_batch).at));
    }
  }
}

TEST(PgLog, the_newest_of_two_with_one_id_answers) {
  PgLog log;
  for (std::uint64_t version : {1, 2, 3}) {
    auto entry = entry_of(request(4100, version == 2 ? 8 : 9), version, version);
    Transaction transaction;
    log.append(entry, {}, 100, transaction);
  }
  EXPECT_EQ(log.find(request(4100, 9))->user_version, 3u);
  log.retract(request(4100, 9), entry_of({}, 3).at, {});
  EXPECT_EQ(log.find(request(4100, 9))->user_version, 1u);
  log.retract(request(4100, 9), entry_of({}, 3).at, {});  // that version is not its any more
  EXPECT_EQ(log.find(request(4100, 9))->user_version, 1u);
}

TEST(PgLog, entries_of_older_formats_are_refused) {
  PgLogEntry entry = entry_of(request(4100, 1), 1);
  std::string bytes = encode(entry).to_string();
  EXPECT_TRUE(*decode<PgLogEntry>(Buffer::copy_of(bytes)) == entry);
  bytes[0] = PgLogEntry::version - 1;
  EXPECT_FALSE(decode<PgLogEntry>(Buffer::copy_of(bytes)));
}

}  // namespace
}  // namespace spirula::osd
