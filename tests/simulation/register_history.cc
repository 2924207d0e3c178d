#include "tests/simulation/register_history.h"

#include <fmt/format.h>

#include <set>

#include "base/check.h"

namespace spirula::simulation {

std::size_t RegisterHistory::call(Kind kind, std::string text) {
  operations_.push_back({kind, std::move(text), {}});
  events_.push_back({operations_.size() - 1, false});
  return operations_.size() - 1;
}

void RegisterHistory::answer(std::size_t operation, Outcome outcome, std::string text) {
  Operation& op = operations_.at(operation);
  op.outcome = outcome;
  op.found = std::move(text);
  op.answered = true;
  events_.push_back({operation, true});
}

auto RegisterHistory::after(const Operation& op, const Value& before) -> std::optional<Value> {
  bool done = op.outcome == Outcome::done, absent = op.outcome == Outcome::not_found;
  switch (op.kind) {
    case Kind::write_full:
      if (done) return Value(op.text);
      break;
    case Kind::append:
      if (done) return Value(before.value_or("") + op.text);
      break;
    case Kind::create_exclusive:
      if (done && !before) return Value("");
      if (op.outcome == Outcome::exists && before) return before;
      break;
    case Kind::remove:
      if (done && before) return Value{};
      if (absent && !before) return before;
      break;
    case Kind::read:
      if (done && before && *before == op.found) return before;
      if (absent && !before) return before;
      break;
  }
  return std::nullopt;
}

std::string RegisterHistory::describe(const Operation& op) {
  static constexpr const char* kinds[] = {"write_full", "append", "create", "remove", "read"};
  static constexpr const char* outcomes[] = {"done", "not found", "exists"};
  return fmt::format("{}({}) {} \"{}\"", kinds[static_cast<int>(op.kind)], op.text,
                     outcomes[static_cast<int>(op.outcome)], op.found);
}

std::string RegisterHistory::check() const {
  /// One way in which things may stand: the value, and which of the operations under way have had their effect.
  struct State {
    Value value;
    std::set<std::size_t> effective;
    auto operator<=>(const State&) const = default;
  };
  std::set<State> states{State{}};
  std::set<std::size_t> under_way;
  for (std::size_t at = 0; at < events_.size(); ++at) {
    const Event& event = events_[at];
    CHECK(operations_[event.operation].answered);
    if (!event.is_answer) {
      under_way.insert(event.operation);
      continue;
    }
    // Every order of what is under way, up to the operation that is answered now.
    std::set<State> open = std::move(states), seen, next;
    while (!open.empty()) {
      State state = std::move(open.extract(open.begin()).value());
      if (!seen.insert(state).second) continue;
      if (state.effective.contains(event.operation)) {
        state.effective.erase(event.operation);
        next.insert(std::move(state));
        continue;
      }
      for (std::size_t candidate : under_way) {
        if (state.effective.contains(candidate)) continue;
        auto value = after(operations_[candidate], state.value);
        if (!value) continue;
        State then{std::move(*value), state.effective};
        then.effective.insert(candidate);
        open.insert(std::move(then));
      }
    }
    states = std::move(next);
    under_way.erase(event.operation);
    if (!states.empty()) continue;
    std::string text = fmt::format("operation {} of {} has no place in any order: {}; before it", event.operation,
                                   operations_.size(), describe(operations_[event.operation]));
    for (std::size_t i = at > 12 ? at - 12 : 0; i < at; ++i)
      text += fmt::format("\n  {} {} {}", events_[i].operation,
                          events_[i].is_answer ? "answered:" : "called:", describe(operations_[events_[i].operation]));
    return text;
  }
  return {};
}

}  // namespace spirula::simulation
