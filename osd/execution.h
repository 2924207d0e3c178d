#pragma once
#include "osd/interpreter.h"

namespace spirula::osd {

/// One run of the interpreter over one request; lives for the length of a call. Operations return a negative errno, or
/// 0 (rarely something positive) when they went well. A read that has to be fetched first returns 0 with nothing: the
/// run goes on to learn what else is needed, and its outcome is thrown away.
class Execution {
 public:
  Execution(const ObjectRequest& request, const ObjectState& before, const SnapSet& snaps, const ObjectClasses& classes,
            Inputs& inputs)
      : request_(request), before_(before), classes_(classes), inputs_(inputs), id_(request.head) {
    out_.after = before;
    out_.snaps = snaps;
  }
  Outcome run();

 private:
  friend class ExecutionMethods;
  bool choose_object();
  std::int32_t execute(const OsdOp& op, OpResult& result);
  void bound_output();

  // data
  std::int32_t read(const OsdOp& op, OpResult& result);
  std::int32_t sparse_read(const OsdOp& op, OpResult& result);
  std::int32_t map_extents(const OsdOp& op, OpResult& result);
  std::int32_t checksum(const OsdOp& op, OpResult& result);
  std::int32_t compare_extent(const OsdOp& op);
  std::int32_t stat(OpResult& result);
  std::int32_t write(msg::ExtentOperand extent, BufferList data);
  std::int32_t write_full(BufferList data);
  std::int32_t write_same(const OsdOp& op);
  std::int32_t zero(const msg::ExtentOperand& extent);
  std::int32_t truncate(const msg::ExtentOperand& extent);
  std::int32_t create(bool exclusive, const BufferList& category);
  std::int32_t remove();
  std::int32_t roll_back(SnapId snap);
  std::int32_t copy_from(const OsdOp& op);
  void set_allocation_hint(const msg::AllocHintOperand& hint);

  // attributes
  std::int32_t get_attribute(const OsdOp& op, OpResult& result);
  std::int32_t get_attributes(OpResult& result);
  std::int32_t compare_attribute(const OsdOp& op);
  std::int32_t set_attribute(const OsdOp& op);
  std::int32_t remove_attribute(const OsdOp& op);
  std::int32_t put_attribute(const std::string& name, Buffer value);
  /// nullptr: to be fetched.
  const Attributes* attributes(std::int32_t& error);

  // omap
  std::int32_t omap_list(const OsdOp& op, bool values, OpResult& result);
  std::int32_t omap_values(const OsdOp& op, OpResult& result);
  std::int32_t omap_header(OpResult& result);
  std::int32_t omap_compare(const OsdOp& op);
  std::int32_t omap_set(std::map<std::string, Buffer> values);
  std::int32_t omap_change(const OsdOp& op);

  // the rest
  std::int32_t call(const OsdOp& op, OpResult& result);
  std::int32_t assert_version(std::uint64_t version);
  std::int32_t list_watchers(OpResult& result);
  std::int32_t list_snaps(OpResult& result);
  std::int32_t watch(const msg::WatchOperand& op);
  std::int32_t notify(const OsdOp& op, std::size_t index);
  std::int32_t notify_ack(const OsdOp& op);

  bool exists() const { return out_.after.exists(); }
  ObjectInfo& info() { return out_.after.info; }
  /// Makes the object exist, as every operation that writes to it does.
  void make_exist();
  void change(Transaction::ObjectOperation operation) {
    out_.operations.push_back(std::move(operation));
    out_.changes = true;
  }
  void resize(std::uint64_t size);
  void touch_range(std::uint64_t offset, std::uint64_t length) {
    if (!out_.snaps.clones.empty() || may_clone_) modified_.insert(offset, length);
  }
  /// The content the store has: that of the object before the request, unless there was none.
  bool has_content() const { return before_.exists() || is_clone_; }
  std::uint64_t readable_size(const msg::ExtentOperand& extent) const;
  std::int32_t make_writeable();

  const ObjectRequest& request_;
  const ObjectState& before_;
  const ObjectClasses& classes_;
  Inputs& inputs_;
  ObjectId id_;  ///< the head, or the clone that is read
  bool is_clone_ = false;
  bool may_clone_ = false;
  Outcome out_;
  IntervalSet modified_;
};

}  // namespace spirula::osd
