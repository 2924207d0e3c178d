#include "msg/osd_op.h"

#include <fmt/format.h>

namespace spirula::msg {
namespace {

struct Row {
  OpCode code;
  const char* name;
};

constexpr Row table[] = {
    {OpCode::read, "read"},
    {OpCode::stat, "stat"},
    {OpCode::mapext, "mapext"},
    {OpCode::masktrunc, "masktrunc"},
    {OpCode::sparse_read, "sparse-read"},
    {OpCode::notify, "notify"},
    {OpCode::notify_ack, "notify-ack"},
    {OpCode::assert_version, "assert-version"},
    {OpCode::list_watchers, "list-watchers"},
    {OpCode::list_snaps, "list-snaps"},
    {OpCode::sync_read, "sync_read"},
    {OpCode::tmapget, "tmapget"},
    {OpCode::omap_get_keys, "omap-get-keys"},
    {OpCode::omap_get_vals, "omap-get-vals"},
    {OpCode::omap_get_header, "omap-get-header"},
    {OpCode::omap_get_vals_by_keys, "omap-get-vals-by-keys"},
    {OpCode::omap_cmp, "omap-cmp"},
    {OpCode::isdirty, "isdirty"},
    {OpCode::copy_get, "copy-get"},
    {OpCode::checksum, "checksum"},
    {OpCode::cmpext, "cmpext"},
    {OpCode::write, "write"},
    {OpCode::writefull, "writefull"},
    {OpCode::truncate, "truncate"},
    {OpCode::zero, "zero"},
    {OpCode::remove, "delete"},
    {OpCode::append, "append"},
    {OpCode::startsync, "startsync"},
    {OpCode::settrunc, "settrunc"},
    {OpCode::trimtrunc, "trimtrunc"},
    {OpCode::tmapput, "tmapput"},
    {OpCode::create, "create"},
    {OpCode::rollback, "rollback"},
    {OpCode::watch, "watch"},
    {OpCode::omap_set_vals, "omap-set-vals"},
    {OpCode::omap_set_header, "omap-set-header"},
    {OpCode::omap_clear, "omap-clear"},
    {OpCode::omap_rm_keys, "omap-rm-keys"},
    {OpCode::copy_from, "copy-from"},
    {OpCode::undirty, "undirty"},
    {OpCode::set_alloc_hint, "set-alloc-hint"},
    {OpCode::cache_pin, "cache-pin"},
    {OpCode::cache_unpin, "cache-unpin"},
    {OpCode::write_same, "write-same"},
    {OpCode::set_redirect, "set-redirect"},
    {OpCode::set_chunk, "set-chunk"},
    {OpCode::tier_promote, "tier-promote"},
    {OpCode::unset_manifest, "unset-manifest"},
    {OpCode::omap_rm_key_range, "omap-rm-key-range"},
    {OpCode::copy_from2, "copy-from2"},
    {OpCode::tmapup, "tmapup"},
    {OpCode::tmap2omap, "tmap2omap"},
    {OpCode::cache_flush, "cache-flush"},
    {OpCode::cache_evict, "cache-evict"},
    {OpCode::cache_try_flush, "cache-try-flush"},
    {OpCode::getxattr, "getxattr"},
    {OpCode::getxattrs, "getxattrs"},
    {OpCode::cmpxattr, "cmpxattr"},
    {OpCode::setxattr, "setxattr"},
    {OpCode::setxattrs, "setxattrs"},
    {OpCode::resetxattrs, "resetxattrs"},
    {OpCode::rmxattr, "rmxattr"},
    {OpCode::call, "call"},
    {OpCode::pgls, "pgls"},
    {OpCode::pgls_filter, "pgls-filter"},
    {OpCode::pg_hitset_ls, "pg-hitset-ls"},
    {OpCode::pg_hitset_get, "pg-hitset-get"},
    {OpCode::pgnls, "pgnls"},
    {OpCode::pgnls_filter, "pgnls-filter"},
    {OpCode::scrubls, "scrubls"},
};

const Row* find(OpCode code) {
  for (const Row& row : table)
    if (row.code == code) return &row;
  return nullptr;
}

constexpr std::size_t operand_bytes = 28;

}  // namespace

const char* describe(OpCode code) {
  const Row* row = find(code);
  return row ? row->name : "???";
}

bool is_known(OpCode code) {
  return find(code);
}

OsdOp::Operand operand_for(OpCode code) {
  switch (code) {
    case OpCode::getxattr:
    case OpCode::cmpxattr:
    case OpCode::setxattr:
    case OpCode::rmxattr:
      return XattrOperand{};
    case OpCode::call:
      return CallOperand{};
    case OpCode::pgls:
    case OpCode::pgls_filter:
    case OpCode::pgnls:
    case OpCode::pgnls_filter:
      return ListingOperand{};
    case OpCode::rollback:
      return SnapOperand{};
    case OpCode::watch:
      return WatchOperand{};
    case OpCode::notify:
    case OpCode::notify_ack:
      return NotifyOperand{};
    case OpCode::assert_version:
      return AssertVersionOperand{};
    case OpCode::set_alloc_hint:
      return AllocHintOperand{};
    case OpCode::copy_from:
    case OpCode::copy_from2:
      return CopyFromOperand{};
    case OpCode::write_same:
      return WriteSameOperand{};
    case OpCode::checksum:
      return ChecksumOperand{};
    default:
      return ExtentOperand{};
  }
}

OsdOp::OsdOp(OpCode op_code) : code(op_code), operand(operand_for(op_code)) {}

void OsdOp::encode(Encoder& encoder) const {
  encoder(code);
  encoder(flags);
  std::size_t start = encoder.size();
  std::visit([&](const auto& each) { encoder(each); }, operand);
  encoder.zeros(operand_bytes - (encoder.size() - start));
  encoder(payload_length);
}

void OsdOp::decode(Decoder& decoder) {
  decoder(code);
  decoder(flags);
  Decoder inner(decoder.raw(operand_bytes));
  decoder(payload_length);
  operand = operand_for(code);
  std::visit([&](auto& each) { inner(each); }, operand);
}

std::string OsdOp::describe() const {
  std::string text = msg::describe(code);
  if (code == OpCode::none || !is_known(code)) return fmt::format("{} {:#x}", text, static_cast<unsigned>(code));
  if (auto* extent = std::get_if<ExtentOperand>(&operand); extent && (extent->offset || extent->length))
    text += fmt::format(" {}~{}", extent->offset, extent->length);
  if (auto* call = std::get_if<CallOperand>(&operand)) {
    Buffer names = input.flatten();
    std::size_t both = std::size_t{call->class_length} + call->method_length;
    if (names.size() >= both)
      text += fmt::format(" {}.{}", names.text().substr(0, call->class_length),
                          names.text().substr(call->class_length, call->method_length));
  }
  if (auto* xattr = std::get_if<XattrOperand>(&operand)) {
    Buffer name = input.flatten();
    if (name.size() >= xattr->name_length) text += fmt::format(" {}", name.text().substr(0, xattr->name_length));
  }
  if (!input.empty()) text += fmt::format(" in={}b", input.size());
  return text;
}

}  // namespace spirula::msg
