#include "librados/operation.h"

#include <algorithm>

#include <fmt/format.h>

namespace spirula::librados {

using msg::OpCode;
using msg::OsdOp;

std::string ObjectRef::describe() const {
  return name_space.empty() ? fmt::format("{}/{}", pool, name) : fmt::format("{}/{}/{}", pool, name_space, name);
}

namespace {

OsdOp make(OpCode code, BufferList input = {}) {
  OsdOp op(code);
  op.input = std::move(input);
  return op;
}

OsdOp extent(OpCode code, std::uint64_t offset, std::uint64_t length, BufferList input = {}) {
  OsdOp op = make(code, std::move(input));
  op.extent().offset = offset;
  op.extent().length = length;
  return op;
}

OsdOp xattr(OpCode code, std::string_view name, const Buffer& value = {}) {
  OsdOp op = make(code, Buffer::copy_of(name));
  op.as<msg::XattrOperand>().name_length = static_cast<std::uint32_t>(name.size());
  op.as<msg::XattrOperand>().value_length = static_cast<std::uint32_t>(value.size());
  op.input.append(value);
  return op;
}

}  // namespace

Operation& Operation::add(OsdOp op) {
  ops.push_back(std::move(op));
  return *this;
}

Operation& Operation::with_op_flags(std::uint32_t op_flags) {
  if (!ops.empty()) ops.back().flags |= op_flags;
  return *this;
}

Operation& Operation::read(std::uint64_t offset, std::uint64_t length) {
  return add(extent(OpCode::read, offset, length));
}
Operation& Operation::sparse_read(std::uint64_t offset, std::uint64_t length) {
  return add(extent(OpCode::sparse_read, offset, length));
}
Operation& Operation::stat() {
  return add(make(OpCode::stat));
}
Operation& Operation::write(std::uint64_t offset, BufferList data) {
  std::uint64_t length = data.size();
  return add(extent(OpCode::write, offset, length, std::move(data)));
}
Operation& Operation::write_full(BufferList data) {
  std::uint64_t length = data.size();
  return add(extent(OpCode::writefull, 0, length, std::move(data)));
}
Operation& Operation::append(BufferList data) {
  std::uint64_t length = data.size();
  return add(extent(OpCode::append, 0, length, std::move(data)));
}
Operation& Operation::zero(std::uint64_t offset, std::uint64_t length) {
  return add(extent(OpCode::zero, offset, length));
}
Operation& Operation::truncate(std::uint64_t size) {
  return add(extent(OpCode::truncate, size, 0));
}
Operation& Operation::create(bool exclusive) {
  return add(make(OpCode::create)).with_op_flags(exclusive ? msg::op_flag::exclusive : 0);
}
Operation& Operation::remove() {
  return add(make(OpCode::remove));
}

Operation& Operation::get_xattr(std::string_view name) {
  return add(xattr(OpCode::getxattr, name));
}
Operation& Operation::get_xattrs() {
  return add(make(OpCode::getxattrs));
}
Operation& Operation::set_xattr(std::string_view name, const Buffer& value) {
  return add(xattr(OpCode::setxattr, name, value));
}
Operation& Operation::remove_xattr(std::string_view name) {
  return add(xattr(OpCode::rmxattr, name));
}
Operation& Operation::compare_xattr(std::string_view name, msg::Comparison comparison, const Buffer& value) {
  OsdOp op = xattr(OpCode::cmpxattr, name, value);
  op.as<msg::XattrOperand>().comparison = comparison;
  op.as<msg::XattrOperand>().mode = msg::ComparisonMode::string;
  return add(std::move(op));
}

Operation& Operation::omap_get_header() {
  return add(make(OpCode::omap_get_header));
}
Operation& Operation::omap_get(std::string_view after, std::uint64_t count_max, std::string_view prefix) {
  return add(
      make(OpCode::omap_get_vals, encode(msg::OmapRangeInput{std::string(after), count_max, std::string(prefix)})));
}
Operation& Operation::omap_get_keys(std::string_view after, std::uint64_t count_max) {
  return add(make(OpCode::omap_get_keys, encode(std::make_pair(std::string(after), count_max))));
}
Operation& Operation::omap_get_by_keys(const std::set<std::string>& keys) {
  return add(make(OpCode::omap_get_vals_by_keys, encode(keys)));
}
Operation& Operation::omap_set(const OmapValues& values) {
  return add(make(OpCode::omap_set_vals, encode(values)));
}
Operation& Operation::omap_set_header(const Buffer& header) {
  return add(make(OpCode::omap_set_header, header));
}
Operation& Operation::omap_remove(const std::set<std::string>& keys) {
  return add(make(OpCode::omap_rm_keys, encode(keys)));
}
Operation& Operation::omap_remove_range(std::string_view first, std::string_view last) {
  return add(make(OpCode::omap_rm_key_range, encode(std::make_pair(std::string(first), std::string(last)))));
}
Operation& Operation::omap_clear() {
  return add(make(OpCode::omap_clear));
}

Operation& Operation::call(std::string_view class_name, std::string_view method, const Buffer& input, bool writes) {
  OsdOp op = make(OpCode::call, Buffer::copy_of(class_name));
  op.input.append(Buffer::copy_of(method));
  op.input.append(input);
  auto& operand = op.as<msg::CallOperand>();
  operand.class_length = static_cast<std::uint8_t>(class_name.size());
  operand.method_length = static_cast<std::uint8_t>(method.size());
  operand.input_length = static_cast<std::uint32_t>(input.size());
  flags |= msg::request_flag::read | (writes ? msg::request_flag::write : 0);
  return add(std::move(op));
}

Operation& Operation::assert_version(std::uint64_t version) {
  OsdOp op = make(OpCode::assert_version);
  op.as<msg::AssertVersionOperand>().version = version;
  return add(std::move(op));
}
Operation& Operation::rollback(SnapId to) {
  OsdOp op = make(OpCode::rollback);
  op.as<msg::SnapOperand>().snap = to;
  return add(std::move(op));
}
Operation& Operation::set_alloc_hint(std::uint64_t object_size, std::uint64_t write_size, std::uint32_t hint_flags) {
  OsdOp op = make(OpCode::set_alloc_hint);
  op.as<msg::AllocHintOperand>() = {object_size, write_size, hint_flags};
  op.flags = msg::op_flag::fail_ok;  // a hint: an OSD that does not know it goes on
  return add(std::move(op));
}
Operation& Operation::list_watchers() {
  return add(make(OpCode::list_watchers));
}
Operation& Operation::list_snaps() {
  return add(make(OpCode::list_snaps));
}

bool Operation::writes() const {
  return (flags & msg::request_flag::write) ||
         std::ranges::any_of(ops, [](const OsdOp& op) { return msg::is_write(op.code); });
}

std::uint64_t Operation::bytes() const {
  std::uint64_t total = 0;
  for (const OsdOp& op : ops) {
    total += op.input.size();
    // A read's answer takes room too, as far as it can be known.
    if (op.code == OpCode::read || op.code == OpCode::sparse_read) total += op.extent().length;
  }
  return total;
}

// --- results
// ----------------------------------------------------------------------------------------------------------

Result<> OperationResult::outcome() const {
  if (result < 0) return from_wire(result);
  return {};
}

Result<> OperationResult::outcome(std::size_t index) const {
  if (index < ops.size() && ops[index].result < 0) return from_wire(ops[index].result);
  return outcome();
}

Result<BufferList> OperationResult::data(std::size_t index) const {
  TRY(outcome(index));
  if (index >= ops.size()) return Errc::malformed;
  return ops[index].output;
}

namespace {

template <class T>
Result<T> decoded(const OperationResult& result, std::size_t index) {
  TRY(BufferList bytes, result.data(index));
  return decode<T>(bytes.flatten());
}

}  // namespace

Result<msg::StatOutput> OperationResult::stat(std::size_t index) const {
  return decoded<msg::StatOutput>(*this, index);
}
Result<OmapValues> OperationResult::xattrs(std::size_t index) const {
  return decoded<OmapValues>(*this, index);
}
Result<OmapValues> OperationResult::omap_by_keys(std::size_t index) const {
  return decoded<OmapValues>(*this, index);
}
Result<OperationResult::Omap> OperationResult::omap(std::size_t index) const {
  using Both = std::pair<OmapValues, bool>;
  TRY(Both both, decoded<Both>(*this, index));
  return Omap{std::move(both.first), both.second};
}
Result<OperationResult::OmapKeys> OperationResult::omap_keys(std::size_t index) const {
  using Both = std::pair<std::set<std::string>, bool>;
  TRY(Both both, decoded<Both>(*this, index));
  return OmapKeys{std::move(both.first), both.second};
}
Result<OperationResult::Sparse> OperationResult::sparse(std::size_t index) const {
  using Both = std::pair<std::map<std::uint64_t, std::uint64_t>, Buffer>;
  TRY(Both both, decoded<Both>(*this, index));
  return Sparse{std::move(both.first), std::move(both.second)};
}

}  // namespace spirula::librados
