#include "osd/execution.h"

namespace spirula::osd {

/// The object as a class method sees it.
class ExecutionMethods : public MethodContext {
 public:
  explicit ExecutionMethods(Execution& run) : run_(run) {}

  bool exists() const override { return run_.exists(); }
  std::uint64_t size() const override { return run_.out_.after.info.size; }

  Result<Buffer> attribute(const std::string& name) override {
    TRY(const Attributes* all, attributes());
    auto found = all->find("_" + name);
    if (found == all->end()) return Errc::no_data;
    return found->second;
  }
  Result<std::vector<std::string>> attribute_names() override {
    TRY(const Attributes* all, attributes());
    std::vector<std::string> names;
    for (const auto& [name, value] : *all)
      if (name.size() > 1 && name[0] == '_') names.push_back(name.substr(1));
    return names;
  }
  Result<BufferList> read(std::uint64_t offset, std::uint64_t length) override {
    std::uint64_t size = run_.before_.info.size;
    if (!run_.has_content() || offset >= size) return BufferList{};
    const auto* data = run_.inputs_.data(run_.id_, offset, std::min(length, size - offset));
    if (!data) return Errc::again;
    return *data;
  }
  Result<std::map<std::string, Buffer>> omap_values(const std::set<std::string>& keys) override {
    if (!run_.has_content()) return std::map<std::string, Buffer>{};
    const auto* values = run_.inputs_.omap_values(run_.id_, keys);
    if (!values) return Errc::again;
    return *values;
  }

  Result<> create(bool exclusive) override { return done(run_.create(exclusive, {})); }
  Result<> remove() override { return done(run_.remove()); }
  Result<> write_full(BufferList data) override { return done(run_.write_full(std::move(data))); }
  Result<> set_attribute(const std::string& name, Buffer value) override {
    return done(run_.put_attribute(name, std::move(value)));
  }
  Result<> remove_attribute(const std::string& name) override {
    if (!run_.exists()) return Errc::not_found;
    run_.change(Transaction::RemoveAttribute{"_" + name});
    return done(0);
  }
  Result<> omap_set(std::map<std::string, Buffer> values) override { return done(run_.omap_set(std::move(values))); }
  Result<> omap_remove(std::set<std::string> keys) override {
    if (!run_.exists()) return Errc::not_found;
    run_.change(Transaction::OmapRemove{std::move(keys)});
    return done(0);
  }

  msg::EntityName origin() const override { return run_.request_.client; }
  msg::AddressVector origin_address() const override { return run_.request_.origin; }
  msg::Time now() const override { return run_.request_.now; }

 private:
  Result<const Attributes*> attributes() {
    static const Attributes none;
    if (!run_.has_content()) return &none;
    std::int32_t error;
    const Attributes* all = run_.attributes(error);
    if (error) return from_errno(-error);
    if (!all) return Errc::again;
    return all;
  }
  Result<> done(std::int32_t code) {
    if (code < 0) return from_errno(-code);
    run_.out_.user_changes = true;
    return {};
  }
  Execution& run_;
};

std::int32_t Execution::call(const OsdOp& op, OpResult& result) {
  const auto& operand = op.as<msg::CallOperand>();
  Buffer input = op.input.flatten();  // classify() has seen to the lengths
  auto class_name = input.text().substr(0, operand.class_length);
  auto method_name = input.text().substr(operand.class_length, operand.method_length);
  const ObjectMethod* method = classes_.find(class_name, method_name);
  if (!method) return -EOPNOTSUPP;
  ExecutionMethods context(*this);
  auto output = method->call(
      context, input.slice(std::size_t{operand.class_length} + operand.method_length, operand.input_length));
  if (!output) return inputs_.incomplete() ? 0 : to_wire(output.error());
  result.output = *output;
  return 0;
}

}  // namespace spirula::osd
