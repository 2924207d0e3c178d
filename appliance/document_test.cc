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
  document.accounts = {{.name = owner_name,
                        .role = Role::administrator,
                        .password_hash = "$argon2id$...",
                        .totp_secret = "ABCD",
                        .recovery_hashes = {"0123", "4567"}},
                       {.name = "anna", .role = Role::viewer, .password_hash = "$argon2id$"}};
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
                                                                                               {"accounts", {5}},
                                                                                               {"accounts", 7},
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

TEST(Document, of_an_earlier_version_has_the_owners_account) {
  auto object = to_json(sample());
  object.erase("accounts");
  object["password_hash"] = "";
  std::string problem;
  auto unclaimed = parse_document(boost::json::serialize(object), problem);
  ASSERT_TRUE(unclaimed) << problem;
  EXPECT_FALSE(unclaimed->claimed());
  object["password_hash"] = "$argon2id$...";
  object["totp_secret"] = "ABCD";
  object["recovery_hashes"] = boost::json::array{"0123"};
  auto claimed = parse_document(boost::json::serialize(object), problem);
  ASSERT_TRUE(claimed) << problem;
  ASSERT_EQ(claimed->accounts.size(), 1u);
  AccountRecord owner = sample().accounts[0];
  owner.recovery_hashes = {"0123"};
  EXPECT_EQ(claimed->accounts[0], owner);
}

TEST(Document, has_one_owner_and_each_account_once) {
  std::string problem;
  auto refused = [&](auto change) {
    Document document = sample();
    change(document.accounts);
    return !parse_document(boost::json::serialize(to_json(document)), problem);
  };
  EXPECT_TRUE(refused([](auto& all) { all.erase(all.begin()); })) << "the owner's is always there";
  EXPECT_TRUE(refused([](auto& all) { all[0].role = Role::viewer; }));
  EXPECT_TRUE(refused([](auto& all) { all.push_back(all[1]); }));
  EXPECT_TRUE(refused([](auto& all) { all[1].password_hash.clear(); }));
  EXPECT_TRUE(refused([](auto& all) { all[1].name = "../x"; }));
  auto object = to_json(sample());
  object["accounts"].as_array()[1].as_object()["role"] = "king";
  EXPECT_FALSE(parse_document(boost::json::serialize(object), problem));
  EXPECT_NE(problem.find("role"), problem.npos) << problem;
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
