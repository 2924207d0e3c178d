#include "mds/operations.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <random>
#include <set>

namespace spirula::mds {
namespace {

using msg::ClientRequest;
using msg::MdsOp;

/// A file system driven by requests alone, by one client unless told otherwise; everything counts as journaled.
class Operations : public testing::Test {
 protected:
  Operations() { tree.format({1, 0}); }
  ~Operations() override { tree.verify(); }

  std::error_code run(const ClientRequest& request, std::int64_t client = 1) {
    Attempt attempt;
    attempt.client = ClientId{client};
    attempt.batch = BatchId{2};
    attempt.committed = BatchId{2};
    attempt.now = {2, 0};
    attempt.next_ino = next;
    attempt.default_layout = {4 << 20, 1, 4 << 20, 3, ""};
    attempt.data_pools = &data_pools;
    attempt.pool_by_name = &pool_by_name;
    outcome = {};
    Result<> done = operate(tree, request, attempt, outcome);
    obstacle = attempt.obstacle;
    if (outcome.made_inode) next = next.next();
    tree.verify();
    return done ? std::error_code{} : done.error();
  }
  static ClientRequest make(MdsOp op, std::string path, std::string path2 = {}) {
    ClientRequest request;
    request.op = op;
    request.path = {1, std::move(path)};
    if (!path2.empty()) request.path2 = {1, std::move(path2)};
    return request;
  }
  std::error_code mkdir(std::string path) {
    ClientRequest request = make(MdsOp::mkdir, path);
    request.set(ClientRequest::Mknod{0755, 0});
    return run(request);
  }
  std::error_code create(std::string path, std::uint32_t flags = 0102) {
    ClientRequest request = make(MdsOp::create, path);
    ClientRequest::Open open;
    open.flags = flags;
    open.mode = 0644;
    request.set(open);
    return run(request);
  }
  std::error_code unlink(std::string path) { return run(make(MdsOp::unlink, path)); }
  std::error_code rmdir(std::string path) { return run(make(MdsOp::rmdir, path)); }
  std::error_code rename(std::string from, std::string to) { return run(make(MdsOp::rename, to, from)); }
  std::error_code link(std::string target, std::string path) { return run(make(MdsOp::link, path, target)); }
  std::error_code lookup(std::string path) { return run(make(MdsOp::lookup, path)); }
  std::error_code resize_file(std::string path, std::uint64_t size) {
    ClientRequest request = make(MdsOp::setattr, path);
    ClientRequest::Setattr args;
    args.size = size;
    args.mask = ClientRequest::Setattr::size_bit;
    request.set(args);
    return run(request);
  }

  Tree tree;
  const std::vector<std::int64_t> data_pools{3, 5};
  const PoolByName pool_by_name = [](std::string_view name) {
    return name == "second"  ? std::optional<std::int64_t>(5)
           : name == "alien" ? std::optional<std::int64_t>(9)
                             : std::nullopt;
  };
  Outcome outcome;
  Attempt::Obstacle obstacle{};
  Ino next = inos::first;
};

const std::error_code ok;
std::error_code E(Errc code) {
  return make_error_code(code);
}

TEST_F(Operations, names_and_types) {
  EXPECT_EQ(mkdir("d"), ok);
  EXPECT_EQ(mkdir("d"), E(Errc::exists));
  EXPECT_EQ(create("d/f"), ok);
  EXPECT_TRUE(outcome.made_inode);
  EXPECT_EQ(create("d/f"), ok) << "without O_EXCL it opens";
  EXPECT_FALSE(outcome.made_inode);
  EXPECT_EQ(create("d/f", 0302), E(Errc::exists));
  EXPECT_EQ(create("d/f/g"), E(Errc::not_directory));
  EXPECT_EQ(create("x/g"), E(Errc::not_found));
  EXPECT_EQ(mkdir(std::string(256, 'n')), E(Errc::name_too_long));
  EXPECT_EQ(mkdir(std::string(255, 'n')), ok);
  EXPECT_EQ(mkdir(".."), E(Errc::invalid));
  EXPECT_EQ(lookup("d/none"), E(Errc::not_found));
  EXPECT_EQ(outcome.dir, tree.find(inos::first)) << "a missing name is an answer about its directory";
  EXPECT_EQ(unlink("d"), E(Errc::is_directory));
  EXPECT_EQ(rmdir("d/f"), E(Errc::not_directory));
  EXPECT_EQ(rmdir("d"), E(Errc::not_empty));
  EXPECT_EQ(unlink("d/f"), ok);
  EXPECT_EQ(unlink("d/f"), E(Errc::not_found));
  EXPECT_EQ(rmdir("d"), ok);
  EXPECT_EQ(outcome.unlinked->record.links, 0u);
  EXPECT_TRUE(outcome.unlinked->is_stray());
  ClientRequest in_removed = make(MdsOp::mkdir, "sub");
  in_removed.path.ino = outcome.unlinked->ino().value;
  EXPECT_EQ(run(in_removed), E(Errc::not_found));
  EXPECT_EQ(run(make(MdsOp::make_snap, "s")), E(Errc::permission));
}

TEST_F(Operations, rename_rules) {
  for (const char* dir : {"a", "a/b", "c", "c/full"}) EXPECT_EQ(mkdir(dir), ok);
  for (const char* file : {"f", "g", "c/full/x"}) EXPECT_EQ(create(file), ok);
  EXPECT_EQ(rename("none", "y"), E(Errc::not_found));
  EXPECT_EQ(rename("none", "g"), E(Errc::not_found));
  EXPECT_FALSE(outcome.dir) << "an answer that shows the name of g and no inode says that g is gone";
  EXPECT_EQ(rename("a", "a/b/c"), E(Errc::invalid)) << "into itself";
  EXPECT_EQ(rename("a", "a/b"), E(Errc::invalid));
  EXPECT_EQ(rename("a", "f"), E(Errc::not_directory));
  EXPECT_EQ(rename("f", "a"), E(Errc::is_directory));
  EXPECT_EQ(rename("a", "c/full"), E(Errc::not_empty));
  EXPECT_EQ(rename("f", "g"), ok);
  EXPECT_EQ(outcome.unlinked->record.links, 0u);
  EXPECT_EQ(lookup("f"), E(Errc::not_found));
  EXPECT_EQ(mkdir("empty"), ok);
  EXPECT_EQ(rename("c", "empty"), ok) << "over an empty directory, with its contents";
  EXPECT_EQ(lookup("empty/full/x"), ok);
  EXPECT_EQ(rename("g", "g"), ok);
  EXPECT_FALSE(outcome.changed);
  EXPECT_EQ(tree.root()->record.subdirs, 2u);
}

TEST_F(Operations, hard_links_keep_the_inode_under_one_of_their_names) {
  EXPECT_EQ(mkdir("d"), ok);
  EXPECT_EQ(create("f"), ok);
  Ino ino = outcome.target->ino();
  EXPECT_EQ(link("f", "d/g"), ok);
  EXPECT_EQ(link("f", "h"), ok);
  EXPECT_EQ(link("d", "dd"), E(Errc::permission));
  EXPECT_EQ(link("f", "h"), E(Errc::exists));
  EXPECT_EQ(tree.find(ino)->record.links, 3u);
  EXPECT_EQ(rename("f", "h"), ok);
  EXPECT_FALSE(outcome.changed) << "two names of one file";
  EXPECT_EQ(resize_file("d/g", 100), ok);
  EXPECT_EQ(tree.root()->record.below.bytes, 100);
  EXPECT_EQ(unlink("f"), ok);
  EXPECT_EQ(Tree::location(*tree.find(ino)), (Location{inos::first, "g"}));
  EXPECT_EQ(tree.find(inos::first)->record.below.bytes, 100);
  EXPECT_EQ(rename("d/g", "i"), ok);
  EXPECT_EQ(rename("h", "j"), ok);
  EXPECT_EQ(unlink("j"), ok);
  EXPECT_EQ(tree.find(ino)->record.links, 1u);
  EXPECT_EQ(unlink("i"), ok);
  EXPECT_TRUE(tree.find(ino)->is_stray());
  EXPECT_EQ(tree.root()->record.below.bytes, 0);
  tree.drop_stray(*tree.find(ino));
  EXPECT_EQ(tree.find(ino), nullptr);
}

TEST_F(Operations, sizes_truncation_and_statistics) {
  EXPECT_EQ(mkdir("d"), ok);
  EXPECT_EQ(create("d/f"), ok);
  EXPECT_EQ(outcome.target->record.writable_size, 4u << 20);
  EXPECT_EQ(resize_file("d", 1), E(Errc::is_directory));
  EXPECT_EQ(resize_file("d/f", std::uint64_t{1} << 50), E(Errc::file_too_large));
  EXPECT_EQ(resize_file("d/f", 1000), ok);
  EXPECT_FALSE(outcome.truncated);
  std::uint32_t sequence = outcome.target->record.truncate_sequence;
  EXPECT_EQ(resize_file("d/f", 10), ok);
  EXPECT_TRUE(outcome.truncated);
  EXPECT_EQ(outcome.target->record.truncate_sequence, sequence + 1);
  EXPECT_EQ(outcome.target->record.truncate_from, 1000u);
  EXPECT_EQ(tree.root()->record.below, (RecursiveStats{10, 1, 2}));
  EXPECT_EQ(create("d/f", 01001), ok) << "O_TRUNC";
  EXPECT_EQ(outcome.target->record.size, 0u);
}

TEST_F(Operations, xattrs_and_layouts) {
  EXPECT_EQ(create("f"), ok);
  ClientRequest set = make(MdsOp::set_xattr, "f", "x");
  set.path2 = {0, "user.a"};
  set.data = BufferList(Buffer::copy_of("value"));
  set.set(ClientRequest::Setxattr{ClientRequest::Setxattr::replace, 0});
  EXPECT_EQ(run(set), E(Errc::no_data));
  set.set(ClientRequest::Setxattr{ClientRequest::Setxattr::create, 0});
  EXPECT_EQ(run(set), ok);
  EXPECT_EQ(run(set), E(Errc::exists));
  EXPECT_EQ(outcome.target->record.xattr_version, 2u);
  set.set(ClientRequest::Setxattr{0, 0});
  set.data = BufferList(Buffer::zeros(limits::xattrs_bytes_max));
  EXPECT_EQ(run(set), E(Errc::no_space));
  ClientRequest remove = make(MdsOp::remove_xattr, "f");
  remove.path2 = {0, "user.a"};
  EXPECT_EQ(run(remove), ok);
  EXPECT_EQ(run(remove), E(Errc::no_data));

  set.path2.path = "ceph.file.layout.stripe_unit";
  set.data = BufferList(Buffer::copy_of("65536"));
  EXPECT_EQ(run(set), ok);
  EXPECT_EQ(outcome.target->record.layout.stripe_unit, 65536u);
  set.data = BufferList(Buffer::copy_of("1"));
  EXPECT_EQ(run(set), E(Errc::invalid));
  set.path2.path = "ceph.file.layout.pool";
  for (const char* text : {"9", "alien", "nowhere", ""}) {
    set.data = BufferList(Buffer::copy_of(text));
    EXPECT_EQ(run(set), E(Errc::invalid)) << "no data pool of this file system: " << text;
  }
  set.data = BufferList(Buffer::copy_of("second"));
  EXPECT_EQ(run(set), ok);
  EXPECT_EQ(outcome.target->record.layout.pool, 5);
  EXPECT_EQ(mkdir("d"), ok);
  set.path.path = "d";
  set.path2.path = "ceph.dir.layout";
  set.data = BufferList(Buffer::copy_of("stripe_unit=65536 stripe_count=2 object_size=131072 pool=3"));
  EXPECT_EQ(run(set), ok);
  EXPECT_EQ(create("d/f"), ok);
  EXPECT_EQ(outcome.target->record.layout.stripe_count, 2u) << "inherited";
}

TEST_F(Operations, quotas_and_pins_are_refused_as_what_is_not_offered) {
  EXPECT_EQ(mkdir("d"), ok);
  EXPECT_EQ(create("f"), ok);
  for (const char* name : {"ceph.quota", "ceph.quota.max_bytes", "ceph.quota.max_files", "ceph.dir.pin",
                           "ceph.dir.pin.random", "ceph.dir.pin.distributed"}) {
    ClientRequest set = make(MdsOp::set_xattr, "d");
    set.path2 = {0, name};
    set.data = BufferList(Buffer::copy_of("1"));
    EXPECT_EQ(run(set), E(Errc::unsupported)) << name;
    set.path.path = "f";
    EXPECT_EQ(run(set), E(Errc::invalid)) << name << " of a file";
    ClientRequest remove = make(MdsOp::remove_xattr, "d");
    remove.path2 = {0, name};
    EXPECT_EQ(run(remove), E(Errc::no_data)) << name;
  }
}

TEST_F(Operations, what_others_have_not_journaled_is_not_seen) {
  EXPECT_EQ(mkdir("d"), ok);
  Attempt attempt;
  attempt.client = ClientId{2};
  attempt.batch = BatchId{2};
  attempt.committed = BatchId{1};
  EXPECT_EQ(operate(tree, make(MdsOp::lookup, "d"), attempt, outcome).error(), E(Errc::again));
  EXPECT_EQ(attempt.obstacle, Attempt::Obstacle::commit);
  EXPECT_EQ(attempt.wait_for, BatchId{2});
  attempt.client = ClientId{1};
  EXPECT_TRUE(operate(tree, make(MdsOp::lookup, "d"), attempt, outcome));
}

TEST_F(Operations, others_caps_stand_in_the_way_of_changes_and_of_exact_stats) {
  EXPECT_EQ(create("f"), ok);
  Inode& inode = *outcome.target;
  Cap& writer = inode.caps.add(ClientId{7}, 1);
  writer.wanted = cap::wanted_by_open(2);
  inode.caps.evaluate({});
  EXPECT_EQ(cap::describe(writer.pending), "pAsxXsxFsxcrwb");
  ClientRequest stat = make(MdsOp::getattr, "f");
  stat.set(ClientRequest::Getattr{cap::any_shared});
  EXPECT_EQ(run(stat), E(Errc::again));
  EXPECT_EQ(obstacle, Attempt::Obstacle::claims);
  EXPECT_EQ(run(stat, 7), ok) << "the writer itself knows better";
  EXPECT_EQ(resize_file("f", 1), E(Errc::again));
  inode.caps.remove(ClientId{7});
  EXPECT_EQ(resize_file("f", 1), ok);
}

TEST_F(Operations, listing_goes_on_after_a_name_or_at_a_hash) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(create(fmt::format("f{}", i)), ok);
  std::set<std::string> seen;
  ClientRequest request = make(MdsOp::readdir, "");
  std::uint32_t last_hash = 0;
  for (bool first = true;; first = false) {
    ClientRequest::Readdir args;
    args.entries_max = 7;
    args.flags = 1;
    request.set(args);
    Attempt attempt;
    attempt.client = ClientId{1};
    Listing listing;
    ASSERT_TRUE(list(tree, request, attempt, listing));
    EXPECT_EQ(listing.from_start, first);
    for (auto& [dentry, inode] : listing.entries) {
      EXPECT_TRUE(seen.insert(dentry->name()).second);
      EXPECT_GE(dentry->key->hash, last_hash);
      last_hash = dentry->key->hash;
    }
    if (listing.to_end) break;
    request.path2.path = listing.entries.back().first->name();
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST_F(Operations, random_steps_keep_the_invariants) {
  std::mt19937 dice(7);
  std::vector<std::string> dirs{"", "p/", "q/", "p/r/"};
  EXPECT_EQ(mkdir("p"), ok);
  EXPECT_EQ(mkdir("q"), ok);
  EXPECT_EQ(mkdir("p/r"), ok);
  auto name = [&] { return dirs[dice() % 4] + std::string(1, static_cast<char>('a' + dice() % 6)); };
  for (int i = 0; i < 20000; ++i) {
    switch (dice() % 7) {
      case 0:
        mkdir(name());
        break;
      case 1:
        create(name());
        break;
      case 2:
        unlink(name());
        break;
      case 3:
        rmdir(name());
        break;
      case 4:
        link(name(), name());
        break;
      case 5:
        rename(name(), name());
        break;
      case 6:
        resize_file(name(), dice() % 1000);
        break;
    }
  }
}

TEST_F(Operations, a_completed_create_is_not_done_again_after_an_unlink) {
  ClientRequest request = make(MdsOp::create, "f");
  Attempt attempt;
  attempt.client = ClientId{1};
  attempt.batch = attempt.committed = BatchId{2};
  attempt.next_ino = next;
  attempt.default_layout = {4 << 20, 1, 4 << 20, 3, ""};
  attempt.completed = true;  // and another client has removed it since
  EXPECT_EQ(operate(tree, request, attempt, outcome).error(), E(Errc::not_found));
  EXPECT_EQ(lookup("f"), E(Errc::not_found));
}

}  // namespace
}  // namespace spirula::mds
