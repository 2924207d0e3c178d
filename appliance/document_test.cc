#include "appliance/document.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>

#include "appliance/document_store.h"
#include "appliance/files.h"

namespace spirula::appliance {
namespace {

Document sample() {
  Document document;
  document.setup = SetupState::ready;
  document.fsid = "f";
  document.password_hash = "$argon2id$...";
  document.totp_secret = "ABCD";
  document.recovery_hashes = {"0123", "4567"};
  document.disks = {{.osd = 0, .path = "/dev/a", .serial = "s", .filesystem = "u", .bytes = 5}};
  document.shares = {{.name = "photos", .made = 7}};
  return document;
}

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/spirula-document-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

TEST(Document, comes_back_as_it_was) {
  std::string problem;
  auto again = parse_document(boost::json::serialize(to_json(sample())), problem);
  ASSERT_TRUE(again) << problem;
  EXPECT_EQ(*again, sample());
}

TEST(Document, says_which_field_is_wrong) {
  for (auto [field, value] : std::initializer_list<std::pair<const char*, boost::json::value>>{{"setup", "half"},
                                                                                               {"copies", 0},
                                                                                               {"copies", 4},
                                                                                               {"disks", 3},
                                                                                               {"shares", {1}},
                                                                                               {"name", nullptr},
                                                                                               {"totp_secret", 5},
                                                                                               {"recovery_hashes", {5}},
                                                                                               {"revision", -1},
                                                                                               {"fsid", ""}}) {
    auto object = to_json(sample());
    object[field] = value;
    std::string problem;
    auto parsed = parse_document(boost::json::serialize(object), problem);
    ASSERT_FALSE(parsed) << field;
    EXPECT_NE(problem.find(field), problem.npos) << problem;
  }
  std::string problem;
  for (auto text : {"", "[]", "{", "{\"format\":2}"}) EXPECT_FALSE(parse_document(text, problem)) << text;
}

TEST(Document, shows_no_secret) {
  for (auto secret : {"argon", "ABCD", "4567"})
    EXPECT_EQ(boost::json::serialize(to_public_json(sample())).find(secret), std::string::npos) << secret;
}

TEST(Document, share_names) {
  for (auto good : {"a", "photos-2026", "0"}) EXPECT_EQ(problem_with_share_name(good), "") << good;
  for (auto bad : {"", "..", "a/b", "A", "-a", "a-", "a b", "admin", "ä", "a\n", "*"})
    EXPECT_NE(problem_with_share_name(bad), "") << bad;
  EXPECT_NE(problem_with_share_name(std::string(41, 'a')), "");
}

TEST(DocumentStore, keeps_the_one_before) {
  Folder folder;
  std::string problem;
  {
    auto store = DocumentStore::open(folder.path, problem);
    ASSERT_TRUE(store);
    Document document = sample();
    EXPECT_TRUE(store->save(document));
    document.name = "second";
    EXPECT_TRUE(store->save(document));
    EXPECT_EQ(store->current().revision, 2u);
    document.copies = 9;
    EXPECT_EQ(store->save(document).error(), Errc::malformed);
    EXPECT_EQ(store->current().copies, 1u);
  }
  auto again = DocumentStore::open(folder.path, problem);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->current().name, "second");
  std::ofstream(folder.path + "/config.json") << "{torn";
  auto older = DocumentStore::open(folder.path, problem);
  ASSERT_TRUE(older);
  EXPECT_EQ(older->current().revision, 1u);
  EXPECT_NE(older->notice(), "");
  std::ofstream(folder.path + "/config.previous.json") << "";
  EXPECT_EQ(DocumentStore::open(folder.path, problem).error(), Errc::malformed);
}

TEST(Files, are_replaced_whole_and_private) {
  Folder folder;
  ASSERT_TRUE(write_file(folder.path + "/f", "one", 0600));
  ASSERT_TRUE(write_file(folder.path + "/f", "two", 0600));
  EXPECT_EQ(*read_file(folder.path + "/f"), "two");
  EXPECT_EQ(std::filesystem::status(folder.path + "/f").permissions(), std::filesystem::perms(0600));
  EXPECT_EQ(read_file(folder.path + "/f", 2).error(), Errc::too_large);
  EXPECT_FALSE(write_file(folder.path + "/missing/f", "", 0600));
}

}  // namespace
}  // namespace spirula::appliance
