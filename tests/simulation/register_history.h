#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spirula::simulation {

/// What several clients did to one object, and whether it behaved as one register: is there an order of all operations,
/// each somewhere between its call and its answer, in which every answer is right?
class RegisterHistory {
 public:
  enum class Kind { write_full, append, create_exclusive, remove, read };
  enum class Outcome { done, not_found, exists };

  /// A client calls. `text`: of a write.
  std::size_t call(Kind kind, std::string text = {});
  /// It is answered. `text`: what a read found. Every call is answered before check().
  void answer(std::size_t operation, Outcome outcome, std::string text = {});
  std::size_t size() const { return operations_.size(); }

  /// What is wrong; empty if nothing is. Exponential in the number of operations under way at once, of which there are
  /// few, and linear in all else.
  std::string check() const;

 private:
  struct Operation {
    Kind kind;
    std::string text, found;
    Outcome outcome = Outcome::done;
    bool answered = false;
  };
  using Value = std::optional<std::string>;
  /// The value after `operation`, if it answers this way at `before`.
  static std::optional<Value> after(const Operation& operation, const Value& before);
  static std::string describe(const Operation& operation);

  struct Event {
    std::size_t operation;
    bool is_answer;
  };
  std::vector<Operation> operations_;
  std::vector<Event> events_;
};

}  // namespace spirula::simulation
