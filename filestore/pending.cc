#include "filestore/pending.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace spirula::filestore {

using T = Transaction;

bool Submission::wait(Waiter& waiter) {
  waiter_ = std::move(waiter);
  State expected = State::open;
  if (state_.compare_exchange_strong(expected, State::awaited, std::memory_order_acq_rel)) return true;
  waiter = std::move(waiter_);
  return false;
}

void Submission::settle_all(std::span<const SubmissionPointer> submissions, Result<> with) {
  struct Woken {
    std::move_only_function<void(std::move_only_function<void()>)> post;
    std::vector<std::move_only_function<void()>> resume;
  };
  std::vector<std::pair<const void*, Woken>> loops;  // a few at most
  for (const SubmissionPointer& each : submissions) {
    each->outcome = with;
    if (each->state_.exchange(State::settled, std::memory_order_acq_rel) != State::awaited) continue;
    Waiter& waiter = each->waiter_;
    auto of = std::ranges::find(loops, waiter.loop, &decltype(loops)::value_type::first);
    if (of == loops.end()) {
      loops.emplace_back(waiter.loop, Woken{std::move(waiter.post), {}});
      of = loops.end() - 1;
    }
    of->second.resume.push_back(std::move(waiter.resume));
  }
  for (auto& [loop, woken] : loops)
    woken.post([resume = std::move(woken.resume)]() mutable {
      for (auto& each : resume) each();
    });
}

bool PendingTable::References::drop_until(std::uint64_t ticket) {
  while (gone_ < list_.size() && list_[gone_].submission->ticket <= ticket) list_[gone_++].submission.reset();
  if (gone_ == list_.size()) return true;
  if (gone_ > list_.size() / 2) {
    list_.erase(list_.begin(), list_.begin() + static_cast<std::ptrdiff_t>(gone_));
    gone_ = 0;
  }
  return false;
}

void PendingTable::add(const SubmissionPointer& submission) {
  const auto& operations = submission->transaction.operations();
  auto last = objects_.end();  // most transactions say several things of one object
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (const auto* on = std::get_if<T::OnObject>(&operations[i])) {
      const std::string& key = submission->keys[i];
      if (last == objects_.end() || last->first != key) last = objects_.try_emplace(key).first;
      last->second.push_back({submission, i, false});
      // A rename to itself changes nothing, and must not look like a removal.
      const auto* rename = std::get_if<T::Rename>(&on->operation);
      if (rename && rename->source != on->object)
        objects_[key::object(rename->source)].push_back({submission, i, true});
    } else {
      collections_[submission->collection].push_back({submission, i, false});
      if (const auto* merge = std::get_if<T::MergeCollection>(&std::get<T::CollectionOperation>(operations[i])))
        collections_[merge->from].push_back({submission, i, true});
    }
  }
}

void PendingTable::remove(const Submission& submission) {
  auto drop = [&](auto& map, const auto& key) {
    auto it = map.find(key);
    if (it != map.end() && it->second.drop_until(submission.ticket)) map.erase(it);
  };
  const auto& operations = submission.transaction.operations();
  const std::string* last = nullptr;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (const auto* on = std::get_if<T::OnObject>(&operations[i])) {
      const std::string& key = submission.keys[i];
      if (!last || *last != key) drop(objects_, key);
      last = &key;
      if (const auto* rename = std::get_if<T::Rename>(&on->operation)) drop(objects_, key::object(rename->source));
    } else {
      drop(collections_, submission.collection);
      if (const auto* merge = std::get_if<T::MergeCollection>(&std::get<T::CollectionOperation>(operations[i])))
        drop(collections_, merge->from);
    }
  }
}

std::unique_ptr<PendingPlan> PendingTable::plan_before(const std::string& key, std::uint64_t ticket, std::size_t index,
                                                       std::vector<Copy>& copies) const {
  auto plan = std::make_unique<PendingPlan>();
  plan->key = key;
  auto it = objects_.find(key);
  if (it == objects_.end()) return plan;
  const auto& references = it->second;
  auto end = std::find_if(references.begin(), references.end(), [&](const Reference& each) {
    return each.submission->ticket > ticket || (each.submission->ticket == ticket && each.index >= index);
  });
  // Back to the last step that replaced the object whole.
  auto begin = end;
  auto operation_of = [](const Reference& each) -> const T::ObjectOperation& {
    return std::get<T::OnObject>(each.submission->transaction.operations()[each.index]).operation;
  };
  while (begin != references.begin()) {
    --begin;
    const auto& operation = operation_of(*begin);
    if (begin->as_source || std::holds_alternative<T::Remove>(operation) ||
        std::holds_alternative<T::Clone>(operation) || std::holds_alternative<T::Rename>(operation)) {
      plan->replaced = true;
      break;
    }
  }
  for (auto each = begin; each != end; ++each) {
    const auto& operation = operation_of(*each);
    PendingPlan::Step step{each->submission, &operation, each->as_source, nullptr};
    if (const ObjectId* source = each->as_source ? nullptr : source_of(operation)) {
      copies.push_back(each->submission);
      step.source = plan_before(key::object(*source), each->submission->ticket, each->index, copies);
    }
    plan->steps.push_back(std::move(step));
  }
  return plan;
}

std::unique_ptr<PendingPlan> PendingTable::plan(const std::string& key, std::vector<Copy>& copies) const {
  return plan_before(key, std::numeric_limits<std::uint64_t>::max(), 0, copies);
}

CollectionPlan PendingTable::collection_plan(const CollectionId& id) const {
  CollectionPlan plan;
  auto it = collections_.find(id);
  if (it == collections_.end()) return plan;
  for (const Reference& each : it->second)
    plan.steps.push_back({each.submission,
                          &std::get<T::CollectionOperation>(each.submission->transaction.operations()[each.index]),
                          each.as_source});
  return plan;
}

std::vector<std::unique_ptr<PendingPlan>> PendingTable::plans(const key::Range& range,
                                                              std::vector<Copy>& copies) const {
  std::vector<std::unique_ptr<PendingPlan>> found;
  auto end = range.last.empty() ? objects_.end() : objects_.lower_bound(range.last);
  for (auto it = objects_.lower_bound(range.first); it != end; ++it) found.push_back(plan(it->first, copies));
  return found;
}

}  // namespace spirula::filestore
