#include <charconv>

#include "osd/execution.h"

/// The operations on attributes. A client's attribute "a" is stored as "_a".
namespace spirula::osd {
namespace {

struct NameAndValue {
  std::string name;
  BufferList value;
};

std::optional<NameAndValue> split(const OsdOp& op) {
  const auto& operand = op.as<msg::XattrOperand>();
  if (std::uint64_t{operand.name_length} + operand.value_length > op.input.size()) return std::nullopt;
  return NameAndValue{op.input.slice(0, operand.name_length).flatten().to_string(),
                      op.input.slice(operand.name_length, operand.value_length)};
}

/// (given) OP (stored), as CEPH_OSD_CMPXATTR_OP_* says; nothing: no such comparison.
template <class T>
std::optional<bool> compare(msg::Comparison how, const T& given, const T& stored) {
  switch (how) {
    case msg::Comparison::eq:
      return given == stored;
    case msg::Comparison::ne:
      return given != stored;
    case msg::Comparison::gt:
      return given > stored;
    case msg::Comparison::gte:
      return given >= stored;
    case msg::Comparison::lt:
      return given < stored;
    case msg::Comparison::lte:
      return given <= stored;
    default:
      return std::nullopt;
  }
}

}  // namespace

const Attributes* Execution::attributes(std::int32_t& error) {
  error = 0;
  if (!has_content()) {
    error = -ENOENT;
    return nullptr;
  }
  const auto* stored = inputs_.attributes(id_);
  if (!stored) return nullptr;
  if (!*stored) {
    error = -EIO;
    return nullptr;
  }
  return &**stored;
}

std::int32_t Execution::get_attribute(const OsdOp& op, OpResult& result) {
  auto names = split(op);
  if (!names || names->name.empty()) return -EINVAL;
  std::int32_t error;
  const Attributes* all = attributes(error);
  if (!all) return error;
  auto found = all->find("_" + names->name);
  if (found == all->end()) return -ENODATA;
  result.output = found->second;
  return 0;
}

std::int32_t Execution::get_attributes(OpResult& result) {
  std::int32_t error;
  const Attributes* all = attributes(error);
  if (!all) return error;
  Attributes users;
  for (const auto& [name, value] : *all)
    if (name.size() > 1 && name[0] == '_') users.emplace(name.substr(1), value);
  result.output = encode(users);
  return 0;
}

std::int32_t Execution::compare_attribute(const OsdOp& op) {
  const auto& operand = op.as<msg::XattrOperand>();
  std::int32_t error;
  const Attributes* all = attributes(error);
  if (!all) return error;
  if (operand.name_length > op.input.size()) return -EINVAL;
  std::string name = op.input.slice(0, operand.name_length).flatten().to_string();
  Buffer given = op.input.slice(operand.name_length, op.input.size() - operand.name_length).flatten();
  auto found = all->find("_" + name);
  std::string_view stored = found == all->end() ? std::string_view{} : found->second.text();  // absent: as if empty

  std::optional<bool> holds;
  if (operand.mode == msg::ComparisonMode::string) {
    if (operand.value_length > given.size()) return -EINVAL;
    holds = compare<std::string_view>(operand.comparison, given.text().substr(0, operand.value_length), stored);
  } else if (operand.mode == msg::ComparisonMode::u64) {
    auto number = decode<std::uint64_t>(given);
    if (!number) return -EINVAL;
    std::uint64_t other = 0;  // stored as decimal text; an empty one counts as 0
    if (!stored.empty()) {
      auto [end, problem] = std::from_chars(stored.data(), stored.data() + stored.size(), other);
      if (problem != std::errc{}) return -EINVAL;
    }
    holds = compare<std::uint64_t>(operand.comparison, *number, other);
  }
  if (!holds) return -EINVAL;
  return *holds ? 1 : -ECANCELED;
}

std::int32_t Execution::put_attribute(const std::string& name, Buffer value) {
  if (name.empty()) return -EINVAL;
  if (name.size() > limits::attribute_name_max) return -ENAMETOOLONG;
  if (value.size() > limits::attribute_size_max) return -EFBIG;
  make_exist();
  change(Transaction::SetAttributes{{{"_" + name, std::move(value)}}});
  return 0;
}

std::int32_t Execution::set_attribute(const OsdOp& op) {
  auto both = split(op);
  if (!both) return -EINVAL;
  return put_attribute(both->name, both->value.flatten());
}

std::int32_t Execution::remove_attribute(const OsdOp& op) {
  auto both = split(op);
  if (!both || both->name.empty()) return -EINVAL;
  if (!exists()) return -ENOENT;
  change(Transaction::RemoveAttribute{"_" + both->name});
  return 0;
}

}  // namespace spirula::osd
