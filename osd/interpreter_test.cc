#include "osd/interpreter.h"

#include <gtest/gtest.h>

#include "base/shard.h"
#include "msg/osd_messages.h"
#include "osd/store_for_tests.h"

namespace spirula::osd {
namespace {

using msg::ExtentOperand;

ObjectId head_named(const std::string& name) {
  return {1, 0x1234, "", "", name, msg::snap_head.value};
}

OsdOp extent(OpCode code, std::uint64_t offset, std::uint64_t length, std::string_view input = {}) {
  OsdOp op(code);
  op.extent().offset = offset;
  op.extent().length = length;
  op.input = BufferList(Buffer::copy_of(input));
  return op;
}
OsdOp write(std::uint64_t offset, std::string_view text) {
  return extent(OpCode::write, offset, text.size(), text);
}
OsdOp write_full(std::string_view text) {
  return extent(OpCode::writefull, 0, text.size(), text);
}
OsdOp read(std::uint64_t offset = 0, std::uint64_t length = 0) {
  return extent(OpCode::read, offset, length);
}
template <class T>
OsdOp with_input(OpCode code, const T& input) {
  OsdOp op(code);
  op.input = encode(input);
  return op;
}
OsdOp attribute(OpCode code, std::string_view name, std::string_view value = {}) {
  OsdOp op(code);
  op.as<msg::XattrOperand>().name_length = name.size();
  op.as<msg::XattrOperand>().value_length = value.size();
  op.input = Buffer::copy_of(std::string(name) + std::string(value));
  return op;
}
OsdOp call(std::string_view class_name, std::string_view method, const Buffer& input) {
  OsdOp op(OpCode::call);
  auto& operand = op.as<msg::CallOperand>();
  operand.class_length = class_name.size();
  operand.method_length = method.size();
  operand.input_length = input.size();
  op.input = Buffer::copy_of(std::string(class_name) + std::string(method) + input.to_string());
  return op;
}

struct Lock {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string name = "l";
  std::uint8_t type = 1;
  std::string cookie = "c", tag, description = "d";
  Time duration;
  std::uint8_t flags = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.name);
    wire(self.type);
    wire(self.cookie);
    wire(self.tag);
    wire(self.description);
    wire(self.duration);
    wire(self.flags);
  }
};
struct Unlock {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string name = "l", cookie = "c";
  static void fields(auto& self, auto& wire) {
    wire(self.name);
    wire(self.cookie);
  }
};

/// One object behind the interpreter, with a store and nothing else.
class Interpreter : public ::testing::Test {
 protected:
  Outcome run(std::vector<OsdOp> ops) {
    ObjectRequest request;
    request.head = head_;
    request.snap = snap_;
    request.ops = std::move(ops);
    request.snap_context = snap_context_;
    request.modified = {1000, 5};
    request.now = now_;
    request.client = client_;
    request.id = {client_, ++tid_, 0};
    request.flags = flags_;
    request.copy_source = copy_source_;
    Outcome outcome;
    run_main([&](Shard&) -> Task<int> {
      auto attributes = co_await store_.get_attributes(head_);
      auto state = decode_state(attributes);
      auto snaps = decode_snaps(attributes);
      Inputs inputs;
      for (int pass = 0; pass < 100; ++pass) {
        outcome = interpret(request, *state, *snaps, ObjectClasses::builtin(), inputs);
        if (!inputs.incomplete()) break;
        CollectionId collection{1, 0};
        co_await inputs.fetch(store_, collection);
      }
      EXPECT_FALSE(inputs.incomplete());
      if (outcome.result >= 0 && outcome.changes) {
        Transaction transaction;
        seal(outcome, request, *state, {msg::Epoch(3), ++version_}, ++user_version_, transaction);
        CollectionId collection{1, 0};
        EXPECT_TRUE(co_await store_.submit(collection, std::move(transaction)));
        totals_ += outcome.delta;
      }
      co_return 0;
    });
    return outcome;
  }
  std::int32_t result(std::vector<OsdOp> ops) { return run(std::move(ops)).result; }
  std::string output(OsdOp op) {
    Outcome outcome = run({std::move(op)});
    EXPECT_GE(outcome.result, 0);
    return outcome.ops.empty() ? "" : outcome.ops[0].output.flatten().to_string();
  }
  std::uint64_t size() { return decode<msg::StatOutput>(Buffer::copy_of(output(OsdOp(OpCode::stat))))->size; }

  StoreForTests store_;
  ObjectId head_ = head_named("o");
  SnapId snap_ = msg::snap_head;
  SnapContext snap_context_;
  msg::EntityName client_{msg::EntityType::client, 4100};
  Time now_{2000, 0};
  std::uint32_t flags_ = 0;
  std::shared_ptr<const CopySource> copy_source_;
  std::uint64_t tid_ = 0, version_ = 0, user_version_ = 0;
  PgTotals totals_;
};

TEST_F(Interpreter, write_and_read) {
  EXPECT_EQ(result({read()}), -ENOENT);
  EXPECT_EQ(result({OsdOp(OpCode::stat)}), -ENOENT);
  EXPECT_EQ(result({write(3, "abc")}), 0);
  EXPECT_EQ(size(), 6u);
  EXPECT_EQ(output(read()), std::string("\0\0\0abc", 6));
  EXPECT_EQ(output(read(4, 100)), "bc");
  EXPECT_EQ(output(read(6, 100)), "");
  EXPECT_EQ(output(read(~0ull - 3, 100)), "");
  EXPECT_EQ(result({write_full("xy")}), 0);
  EXPECT_EQ(output(read()), "xy");
  EXPECT_EQ(result({extent(OpCode::append, 0, 3, "123")}), 0);
  EXPECT_EQ(output(read()), "xy123");
  EXPECT_EQ(totals_.bytes, 5);
  EXPECT_EQ(totals_.objects, 1);
  auto stat = decode<msg::StatOutput>(Buffer::copy_of(output(OsdOp(OpCode::stat))));
  EXPECT_EQ(stat->mtime, (Time{1000, 5}));
  Outcome outcome = run({read(1, 100)});
  EXPECT_EQ(outcome.ops[0].length, 4) << "the reply tells how much was read";
}

TEST_F(Interpreter, bad_lengths_and_absurd_offsets) {
  EXPECT_EQ(result({extent(OpCode::write, 0, 5, "abc")}), -EINVAL);
  EXPECT_EQ(result({extent(OpCode::writefull, 0, 2, "abc")}), -EINVAL);
  EXPECT_EQ(result({extent(OpCode::append, 0, 2, "abc")}), -EINVAL);
  EXPECT_EQ(result({write(limits::object_size_max, "a")}), -EFBIG);
  EXPECT_EQ(result({write(~0ull - 1, "abc")}), -EFBIG);
  EXPECT_EQ(result({write(0, "abc")}), 0);
  EXPECT_EQ(result({extent(OpCode::truncate, ~0ull, 0)}), -EFBIG);
  EXPECT_EQ(result({extent(OpCode::zero, ~0ull - 1, 100)}), -EFBIG);
  EXPECT_EQ(result({extent(OpCode::cmpext, ~0ull, 1, "x")}), -EFBIG);
  OsdOp short_name = attribute(OpCode::setxattr, "name", "value");
  short_name.as<msg::XattrOperand>().value_length = 1000;
  EXPECT_EQ(result({short_name}), -EINVAL);
  OsdOp wraps = attribute(OpCode::setxattr, "name", "value");
  wraps.as<msg::XattrOperand>().name_length = 0xffffffff;
  EXPECT_EQ(result({wraps}), -EINVAL);
  EXPECT_EQ(result({attribute(OpCode::setxattr, std::string(101, 'n'), "v")}), -ENAMETOOLONG);
  EXPECT_EQ(result({attribute(OpCode::setxattr, "", "v")}), -EINVAL);
  EXPECT_EQ(result({with_input(OpCode::omap_set_vals, std::uint32_t{7})}), -EINVAL);
  EXPECT_EQ(result({}), -EINVAL);
  EXPECT_EQ(result({OsdOp(static_cast<OpCode>(0x2fff))}), -EOPNOTSUPP);
  EXPECT_EQ(result({OsdOp(OpCode::tmapup)}), -EOPNOTSUPP);
  OsdOp bad_call(OpCode::call);
  bad_call.as<msg::CallOperand>().class_length = 200;
  EXPECT_EQ(result({bad_call}), -EINVAL);
  EXPECT_EQ(result({call("nosuch", "method", {})}), -EPERM);
  EXPECT_EQ(result({call("rbd", "create", {})}), -EOPNOTSUPP);
  EXPECT_EQ(result({call("lock", "method", {})}), -EOPNOTSUPP);
  EXPECT_EQ(output(read()), "abc") << "nothing of it did anything";
}

TEST_F(Interpreter, several_operations_are_atomic) {
  EXPECT_EQ(result({write_full("old")}), 0);
  EXPECT_EQ(result({write_full("new"), attribute(OpCode::setxattr, "a", "1"), OsdOp(OpCode::tmapup)}), -EOPNOTSUPP);
  EXPECT_EQ(output(read()), "old");
  OsdOp optional(OpCode::tmapup);
  optional.flags = msg::op_flag::fail_ok;
  Outcome outcome = run({optional, write_full("new")});
  EXPECT_EQ(outcome.result, 0);
  EXPECT_EQ(outcome.ops[0].result, -EOPNOTSUPP);
  EXPECT_EQ(output(read()), "new");
}

TEST_F(Interpreter, create_and_delete) {
  OsdOp exclusive(OpCode::create);
  exclusive.flags = msg::op_flag::exclusive;
  EXPECT_EQ(result({exclusive}), 0);
  EXPECT_EQ(size(), 0u);
  EXPECT_EQ(result({exclusive}), -EEXIST);
  EXPECT_EQ(result({OsdOp(OpCode::create)}), 0);
  EXPECT_EQ(result({write_full("abc"), attribute(OpCode::setxattr, "a", "1")}), 0);
  EXPECT_EQ(result({OsdOp(OpCode::remove)}), 0);
  EXPECT_EQ(result({read()}), -ENOENT);
  EXPECT_EQ(result({OsdOp(OpCode::remove)}), -ENOENT);
  EXPECT_TRUE(store_.objects.empty());
  EXPECT_EQ(totals_, PgTotals{});
  EXPECT_EQ(result({write_full("abc"), OsdOp(OpCode::remove), write_full("d")}), 0);
  EXPECT_EQ(output(read()), "d");
  EXPECT_EQ(result({attribute(OpCode::getxattr, "a")}), -ENODATA);
}

TEST_F(Interpreter, truncate_and_zero) {
  EXPECT_EQ(result({extent(OpCode::truncate, 5, 0)}), 0) << "of what is not there: nothing to do";
  EXPECT_EQ(result({write_full("0123456789")}), 0);
  EXPECT_EQ(result({extent(OpCode::zero, 2, 3)}), 0);
  EXPECT_EQ(output(read()), std::string("01\0\0\0"
                                        "56789",
                                        10));
  EXPECT_EQ(result({extent(OpCode::zero, 8, 100)}), 0);
  EXPECT_EQ(size(), 8u) << "zeroing up to the end truncates";
  EXPECT_EQ(result({extent(OpCode::truncate, 12, 0)}), 0);
  EXPECT_EQ(size(), 12u);
  EXPECT_EQ(result({extent(OpCode::truncate, 1, 0)}), 0);
  EXPECT_EQ(output(read()), "0");
  EXPECT_EQ(totals_.bytes, 1);
}

TEST_F(Interpreter, truncation_sequences) {
  auto write_at = [](std::uint64_t offset, std::string_view text, std::uint32_t sequence, std::uint64_t size) {
    OsdOp op = write(offset, text);
    op.extent().truncate_sequence = sequence;
    op.extent().truncate_size = size;
    return op;
  };
  EXPECT_EQ(result({write_at(0, "0123456789", 1, ~0ull)}), 0) << "(1, -1) is never truncated";
  OsdOp truncate(OpCode::trimtrunc);
  truncate.extent().truncate_sequence = 3;
  truncate.extent().truncate_size = 4;
  EXPECT_EQ(result({truncate}), 0);
  EXPECT_EQ(output(read()), "0123");
  EXPECT_EQ(result({write_at(2, "ABCDEF", 2, 100)}), 0);
  EXPECT_EQ(output(read()), "01AB") << "a write from before the truncation ends at the truncated end";
  EXPECT_EQ(result({write_at(3, "xyz", 5, 1)}), 0);
  EXPECT_EQ(output(read()), std::string("0\0\0xyz", 6)) << "a write from after one we have not seen brings it along";
  truncate.extent().truncate_sequence = 4;
  truncate.extent().truncate_size = 0;
  EXPECT_EQ(result({truncate}), 0);
  EXPECT_EQ(size(), 6u) << "an old truncation changes nothing";
  OsdOp ahead = read(0, 100);
  ahead.extent().truncate_sequence = 9;
  ahead.extent().truncate_size = 2;
  EXPECT_EQ(output(ahead), std::string("0\0", 2));
}

TEST_F(Interpreter, write_same_and_compare_extent) {
  OsdOp same(OpCode::write_same);
  same.as<msg::WriteSameOperand>() = {2, 6, 3};
  same.input = Buffer::copy_of("abc");
  EXPECT_EQ(result({same}), 0);
  EXPECT_EQ(output(read()), std::string("\0\0abcabc", 8));
  same.as<msg::WriteSameOperand>().length = 7;
  EXPECT_EQ(result({same}), -EINVAL);
  EXPECT_EQ(result({extent(OpCode::cmpext, 2, 3, "abc")}), 0);
  EXPECT_EQ(result({extent(OpCode::cmpext, 2, 3, "abX")}), -4095 - 2);
  EXPECT_EQ(result({extent(OpCode::cmpext, 7, 3, std::string_view("c\0\0", 3))}), 0) << "beyond the end: zeros";
  EXPECT_EQ(result({extent(OpCode::cmpext, 2, 1, "X"), write_full("changed")}), -4095);
  EXPECT_EQ(size(), 8u);
}

TEST_F(Interpreter, attributes) {
  EXPECT_EQ(result({attribute(OpCode::setxattr, "a", "1"), attribute(OpCode::setxattr, "b", "")}), 0);
  EXPECT_EQ(output(attribute(OpCode::getxattr, "a")), "1");
  EXPECT_EQ(result({attribute(OpCode::getxattr, "c")}), -ENODATA);
  auto all = decode<std::map<std::string, std::string>>(Buffer::copy_of(output(OsdOp(OpCode::getxattrs))));
  EXPECT_EQ(*all, (std::map<std::string, std::string>{{"a", "1"}, {"b", ""}}));
  auto compare = [](std::string_view name, std::string_view value, msg::Comparison how) {
    OsdOp op = attribute(OpCode::cmpxattr, name, value);
    op.as<msg::XattrOperand>().comparison = how;
    op.as<msg::XattrOperand>().mode = msg::ComparisonMode::string;
    return op;
  };
  EXPECT_EQ(result({compare("a", "1", msg::Comparison::eq)}), 1);
  EXPECT_EQ(result({compare("a", "2", msg::Comparison::eq)}), -ECANCELED);
  EXPECT_EQ(result({compare("a", "2", msg::Comparison::gt)}), 1) << "given > stored";
  EXPECT_EQ(result({compare("none", "", msg::Comparison::eq)}), 1) << "an absent attribute compares as empty";
  EXPECT_EQ(result({compare("a", "1", static_cast<msg::Comparison>(99))}), -EINVAL);
  EXPECT_EQ(result({attribute(OpCode::rmxattr, "a")}), 0);
  EXPECT_EQ(result({attribute(OpCode::getxattr, "a")}), -ENODATA);
  EXPECT_EQ(result({attribute(OpCode::rmxattr, "a")}), 0);
}

TEST_F(Interpreter, omap) {
  using Values = std::map<std::string, std::string>;
  EXPECT_EQ(result({with_input(OpCode::omap_rm_keys, std::set<std::string>{"a"})}), -ENOENT);
  EXPECT_EQ(result({with_input(OpCode::omap_set_vals, Values{{"a", "1"}, {"b", "2"}, {"bb", "3"}, {"c", "4"}})}), 0);
  auto list = [&](std::string after, std::uint64_t count, std::string prefix) {
    msg::OmapRangeInput input{after, count, prefix};
    Decoder decoder(Buffer::copy_of(output(with_input(OpCode::omap_get_vals, input))));
    auto values = decoder.read<Values>();
    bool more = decoder.read<bool>();
    EXPECT_TRUE(decoder.finish());
    return std::pair(values, more);
  };
  EXPECT_EQ(list("", 2, ""), (std::pair(Values{{"a", "1"}, {"b", "2"}}, true)));
  EXPECT_EQ(list("b", 10, ""), (std::pair(Values{{"bb", "3"}, {"c", "4"}}, false)));
  EXPECT_EQ(list("", 10, "b"), (std::pair(Values{{"b", "2"}, {"bb", "3"}}, false)));
  auto by_keys = output(with_input(OpCode::omap_get_vals_by_keys, std::set<std::string>{"a", "x"}));
  EXPECT_EQ(*decode<Values>(Buffer::copy_of(by_keys)), (Values{{"a", "1"}}));
  OsdOp header(OpCode::omap_set_header);
  header.input = Buffer::copy_of("head");
  EXPECT_EQ(result({header}), 0);
  EXPECT_EQ(output(OsdOp(OpCode::omap_get_header)), "head");
  auto assertion = [](std::string key, std::string value, msg::Comparison how) {
    std::map<std::string, std::pair<std::string, std::int32_t>> all{{key, {value, static_cast<std::int32_t>(how)}}};
    return with_input(OpCode::omap_cmp, all);
  };
  EXPECT_EQ(result({assertion("a", "1", msg::Comparison::eq)}), 0);
  EXPECT_EQ(result({assertion("a", "2", msg::Comparison::eq)}), -ECANCELED);
  EXPECT_EQ(result({assertion("a", "2", msg::Comparison::lt)}), 0);
  EXPECT_EQ(result({with_input(OpCode::omap_rm_key_range, std::pair<std::string, std::string>("b", "c"))}), 0);
  EXPECT_EQ(list("", 10, ""), (std::pair(Values{{"a", "1"}, {"c", "4"}}, false)));
  EXPECT_EQ(result({with_input(OpCode::omap_rm_keys, std::set<std::string>{"a", "zz"})}), 0);
  EXPECT_EQ(totals_.omap_objects, 1);
  EXPECT_EQ(result({OsdOp(OpCode::omap_clear)}), 0);
  EXPECT_EQ(list("", 10, ""), (std::pair(Values{}, false)));
  EXPECT_EQ(output(OsdOp(OpCode::omap_get_header)), "");
  EXPECT_EQ(totals_.omap_objects, 0);
}

TEST_F(Interpreter, copies_replace_everything) {
  OsdOp copy(OpCode::copy_from2);
  Encoder order;
  order(std::string("source"));
  order(msg::ObjectLocator{1, "", "", -1});
  copy.input = order.take();
  EXPECT_EQ(result({copy}), -EOPNOTSUPP) << "nobody has read the source";
  EXPECT_EQ(result({write_full("much longer"), attribute(OpCode::setxattr, "old", "1")}), 0);
  EXPECT_EQ(result({with_input(OpCode::omap_set_vals, std::map<std::string, std::string>{{"old", "1"}})}), 0);
  auto source = std::make_shared<CopySource>();
  source->data = Buffer::copy_of("copied");
  source->attributes["new"] = Buffer::copy_of("2");
  source->user_version = 77;
  copy_source_ = source;
  EXPECT_EQ(result({copy, copy}), -EOPNOTSUPP) << "one source a request";
  EXPECT_EQ(result({copy}), 0);
  EXPECT_EQ(output(read()), "copied");
  EXPECT_EQ(result({attribute(OpCode::getxattr, "old")}), -ENODATA);
  EXPECT_EQ(output(attribute(OpCode::getxattr, "new")), "2");
  EXPECT_TRUE(store_.objects.at(head_).omap.empty());
  EXPECT_EQ(decode_state(store_.objects.at(head_).attributes)->info.user_version, 77u);
  EXPECT_EQ(totals_.bytes, 6);
  EXPECT_EQ(totals_.omap_objects, 0);
}

TEST_F(Interpreter, versions) {
  EXPECT_EQ(result({write_full("a")}), 0);
  EXPECT_EQ(result({write_full("b")}), 0);
  auto at = [](std::uint64_t version) {
    OsdOp op(OpCode::assert_version);
    op.as<msg::AssertVersionOperand>().version = version;
    return op;
  };
  EXPECT_EQ(result({at(2)}), 0);
  EXPECT_EQ(result({at(1)}), -ERANGE);
  EXPECT_EQ(result({at(3)}), -EOVERFLOW);
  EXPECT_EQ(result({at(0)}), -EINVAL);
}

TEST_F(Interpreter, a_change_that_would_answer_too_much_does_not_happen) {
  std::string fits(limits::write_reply_max, 'x');
  EXPECT_EQ(result({write_full(fits)}), 0);
  flags_ = msg::request_flag::return_vector;
  Outcome changed = run({read(), write_full(fits + "!")});
  EXPECT_EQ(changed.result, 0);
  EXPECT_EQ(changed.ops.at(0).output.flatten().to_string(), fits);
  Outcome refused = run({read(), write_full("lost")});
  EXPECT_EQ(refused.result, -EOVERFLOW);
  EXPECT_EQ(refused.ops.at(0).result, -EOVERFLOW);
  EXPECT_TRUE(refused.ops.at(0).output.empty());
  EXPECT_EQ(output(read()), fits + "!") << "those that only read may answer more";
  flags_ = 0;
  EXPECT_EQ(result({read(), write_full("changed")}), 0) << "its output goes to nobody";
  EXPECT_EQ(output(read()), "changed");
}

TEST_F(Interpreter, snapshots) {
  EXPECT_EQ(result({write_full("one")}), 0);
  snap_context_ = {SnapId(1), {SnapId(1)}};
  EXPECT_EQ(result({write(0, "ONE+")}), 0);
  EXPECT_EQ(result({write(4, "more")}), 0);
  snap_context_ = {SnapId(4), {SnapId(4), SnapId(3), SnapId(1)}};
  EXPECT_EQ(result({write(0, "X")}), 0);
  EXPECT_EQ(totals_.clones, 2);
  EXPECT_EQ(output(read()), "XNE+more");
  snap_ = SnapId(1);
  EXPECT_EQ(output(read()), "one");
  snap_ = SnapId(3);
  EXPECT_EQ(output(read()), "ONE+more");
  snap_ = SnapId(4);
  EXPECT_EQ(size(), 8u);
  snap_ = SnapId(9);
  EXPECT_EQ(output(read()), "XNE+more") << "a snapshot after the last write";

  snap_ = msg::snap_dir;
  auto snaps = decode<msg::SnapsOutput>(Buffer::copy_of(output(OsdOp(OpCode::list_snaps))));
  ASSERT_EQ(snaps->clones.size(), 3u);
  EXPECT_EQ(snaps->clones[1].snaps, (std::vector<SnapId>{SnapId(3), SnapId(4)}));
  EXPECT_EQ(snaps->clones[1].overlap, (decltype(msg::CloneInfo::overlap){{1, 7}}));
  EXPECT_EQ(snaps->clones[2].clone, msg::snap_head);
  EXPECT_EQ(snaps->sequence, SnapId(4));

  snap_ = msg::snap_head;
  OsdOp back(OpCode::rollback);
  back.as<msg::SnapOperand>().snap = SnapId(1);
  EXPECT_EQ(result({back}), 0);
  EXPECT_EQ(output(read()), "one");
  EXPECT_EQ(result({OsdOp(OpCode::remove)}), 0);
  EXPECT_EQ(result({read()}), -ENOENT);
  EXPECT_EQ(result({OsdOp(OpCode::remove)}), -ENOENT);
  snap_ = SnapId(3);
  EXPECT_EQ(output(read()), "ONE+more") << "clones outlive their head";
  snap_ = msg::snap_head;
  EXPECT_EQ(result({write_full("again")}), 0);
  snap_ = SnapId(1);
  EXPECT_EQ(output(read()), "one");
}

TEST_F(Interpreter, an_object_made_after_a_snapshot_is_not_in_it) {
  snap_context_ = {SnapId(5), {SnapId(5)}};
  EXPECT_EQ(result({write_full("new")}), 0);
  snap_ = SnapId(5);
  EXPECT_EQ(result({read()}), -ENOENT);
  snap_ = SnapId(6);
  EXPECT_EQ(output(read()), "new");
  snap_ = msg::snap_head;
  snap_context_ = {SnapId(3), {SnapId(4)}};
  EXPECT_EQ(result({write_full("x")}), -EINVAL) << "not a valid snap context";
}

TEST_F(Interpreter, snap_contexts_that_make_no_sense_are_refused) {
  EXPECT_EQ(run({write_full("x")}).result, 0);
  snap_context_.sequence = SnapId(msg::snap_head.value);
  EXPECT_EQ(run({write_full("y")}).result, -EINVAL) << "a clone would have the head's own name";
  snap_context_ = {SnapId(5), {SnapId(0), SnapId(7)}};
  EXPECT_EQ(run({write_full("y")}).result, -EINVAL);
  EXPECT_EQ(store_.objects.size(), 1u);
}

TEST_F(Interpreter, a_snap_set_that_could_not_be_read_again_is_not_made) {
  constexpr std::uint64_t stripes = 600, step = 8192;
  for (std::uint64_t i = 0; i < stripes; ++i) run({write(i * step, "x")});
  std::int32_t result = 0;
  for (std::uint64_t snap = 1; snap <= 48 && result == 0; ++snap) {
    snap_context_ = {SnapId(snap), {SnapId(snap)}};
    std::vector<OsdOp> ops;
    for (std::uint64_t i = 0; i < stripes; ++i) ops.push_back(write(i * step, "y"));
    result = run(std::move(ops)).result;
  }
  EXPECT_EQ(result, 0);
  EXPECT_LE(store_.objects.at(head_).attributes.at(snap_set_attribute).size(), limits::snap_set_size_max);

  SnapSet snaps;
  for (std::uint64_t snap = 1; snap <= limits::clones_max; ++snap) {
    Clone clone;
    clone.id = SnapId(snap);
    snaps.clones.push_back(clone);
  }
  snaps.sequence = SnapId(limits::clones_max);
  store_.objects.at(head_).attributes[snap_set_attribute] = encode(snaps);
  snap_context_ = {SnapId(limits::clones_max + 1), {SnapId(limits::clones_max + 1)}};
  EXPECT_EQ(run({write_full("z")}).result, -E2BIG);
}

TEST_F(Interpreter, what_one_request_reads_is_bounded) {
  run({write_full("x")});
  store_.objects.at(head_).attributes["_big"] = Buffer::zeros(1 << 20);
  run_main([&](Shard&) -> Task<int> {
    ObjectRequest request;
    request.head = head_;
    for (int i = 0; i < 1000; ++i) request.ops.emplace_back(OpCode::getxattrs);
    auto attributes = co_await store_.get_attributes(head_);
    auto state = decode_state(attributes);
    Inputs inputs;
    (void)interpret(request, *state, {}, ObjectClasses::builtin(), inputs);
    EXPECT_TRUE(inputs.incomplete());
    CollectionId collection{1, 0};
    co_await inputs.fetch(store_, collection);
    EXPECT_TRUE(inputs.too_large()) << "1000 MiB for one request";
    co_return 0;
  });
}

TEST_F(Interpreter, checksums_of_single_bytes_are_refused) {
  run({write_full(std::string(100'000, 'x'))});
  OsdOp op(OpCode::checksum);
  auto& operand = op.as<msg::ChecksumOperand>();
  operand.type = 2;
  operand.chunk_size = 1;
  op.input = encode(std::uint32_t{0});
  EXPECT_EQ(run({op}).result, -E2BIG);
}

TEST_F(Interpreter, trimming_removes_clones_and_deleted_heads) {
  EXPECT_EQ(result({write_full("one")}), 0);
  snap_context_ = {SnapId(2), {SnapId(2), SnapId(1)}};
  EXPECT_EQ(result({OsdOp(OpCode::remove)}), 0);
  EXPECT_EQ(store_.objects.size(), 2u);
  EXPECT_EQ(store_.metadata.at({1, 0}).size(), 2u);
  auto trim = [&](std::uint64_t snap) {
    auto state = decode_state(store_.objects.at(head_).attributes);
    auto snaps = decode_snaps(store_.objects.at(head_).attributes);
    Transaction transaction;
    bool done =
        plan_trim(head_, SnapId(2), SnapId(snap), *state, *snaps, {msg::Epoch(3), ++version_}, totals_, transaction);
    run_main([&](Shard&) -> Task<int> {
      CollectionId collection{1, 0};
      EXPECT_TRUE(co_await store_.submit(collection, std::move(transaction)));
      co_return 0;
    });
    return done;
  };
  EXPECT_TRUE(trim(1));
  EXPECT_EQ(store_.objects.size(), 2u) << "snapshot 2 still needs the clone";
  EXPECT_TRUE(trim(2));
  EXPECT_TRUE(store_.objects.empty());
  EXPECT_TRUE(store_.metadata.at({1, 0}).empty());
  EXPECT_EQ(totals_, PgTotals{});
}

TEST_F(Interpreter, locks) {
  Lock lock;
  EXPECT_EQ(result({call("lock", "lock", encode(lock))}), 0);
  EXPECT_EQ(result({call("lock", "lock", encode(lock))}), -EEXIST);
  lock.flags = 1;
  EXPECT_EQ(result({call("lock", "lock", encode(lock))}), 0) << "renewed";
  auto mine = client_;
  client_.number = 4200;
  EXPECT_EQ(result({call("lock", "lock", encode(lock))}), -EBUSY);
  EXPECT_EQ(result({call("lock", "lock", Buffer::copy_of("junk"))}), -EINVAL);
  client_ = mine;
  Unlock unlock;
  EXPECT_EQ(result({call("lock", "unlock", encode(unlock))}), 0);
  EXPECT_EQ(result({call("lock", "unlock", encode(unlock))}), -ENOENT);
  lock.duration = {30, 0};
  EXPECT_EQ(result({call("lock", "lock", encode(lock))}), 0);
  client_.number = 4200;
  now_.seconds += 31;
  EXPECT_EQ(result({call("lock", "lock", encode(lock))}), 0) << "the first one's lock has run out";
}

TEST_F(Interpreter, watching) {
  OsdOp watch(OpCode::watch);
  watch.as<msg::WatchOperand>().cookie = 7;
  watch.as<msg::WatchOperand>().op = msg::WatchOp::watch;
  EXPECT_EQ(result({watch}), -ENOENT);
  EXPECT_EQ(result({OsdOp(OpCode::create)}), 0);
  Outcome outcome = run({watch});
  EXPECT_EQ(outcome.result, 0);
  EXPECT_EQ(outcome.watches.size(), 1u);
  auto watchers = decode<msg::WatchersOutput>(Buffer::copy_of(output(OsdOp(OpCode::list_watchers))));
  ASSERT_EQ(watchers->watchers.size(), 1u);
  EXPECT_EQ(watchers->watchers[0].cookie, 7u);
  watch.as<msg::WatchOperand>().op = msg::WatchOp::unwatch;
  EXPECT_EQ(result({watch}), 0);
  watch.as<msg::WatchOperand>().op = msg::WatchOp::reconnect;
  EXPECT_EQ(result({watch}), -ENOTCONN);
}

TEST_F(Interpreter, listing_goes_from_pg_to_pg) {
  EXPECT_EQ(pg_bits(0, 8), 3u);
  EXPECT_EQ(pg_bits(0, 6), 3u);
  EXPECT_EQ(pg_bits(2, 6), 2u);
  EXPECT_EQ(pg_bits(0, 1), 0u);
  // Eight PGs are listed in the order 0 4 2 6 1 5 3 7, as stock clients were seen to do.
  std::vector<std::uint32_t> order;
  std::uint32_t seed = 0;
  for (;;) {
    order.push_back(seed);
    auto next = listing_end(1, seed, 3);
    if (next.is_max) break;
    seed = next.hash;
  }
  EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 4, 2, 6, 1, 5, 3, 7}));
}

}  // namespace
}  // namespace spirula::osd
