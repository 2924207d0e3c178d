#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <type_traits>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "filestore/admission.h"
#include "filestore/error.h"
#include "filestore/filestore.h"
#include "filestore/key.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace asio = boost::asio;
namespace {

using T = Transaction;

Task<Result<>> already(Result<> result) {
  co_return result;
}

Task<Result<>> until_durable(SubmissionPointer submission) {
  if (!submission->settled()) {
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [&submission](auto handler) {
          auto executor = asio::get_associated_executor(handler);
          submission->wait(
              [handler = std::move(handler), executor]() mutable { asio::post(executor, std::move(handler)); });
        },
        asio::use_awaitable);
  }
  co_return submission->outcome;
}

}  // namespace

Task<Result<>> Filestore::submit(CollectionId collection, Transaction transaction) {
  auto submission = std::make_shared<Submission>();
  submission->collection = collection;
  submission->transaction = std::move(transaction);
  Result<> admitted = admit(submission);
  if (!admitted) return already(admitted);
  journal_->kick();
  return until_durable(std::move(submission));
}

/// Decides everything that can refuse a transaction; once this succeeds it only waits for the disk.
Result<> Filestore::admit(const SubmissionPointer& submission) {
  if (failed_.load() || closing_.load()) return Errc::read_only;
  Submission& s = *submission;
  TRY(check_limits(s.transaction));
  s.keys.reserve(s.transaction.operations().size());
  for (const T::Operation& each : s.transaction.operations()) {
    s.keys.emplace_back();
    if (const auto* on = std::get_if<T::OnObject>(&each)) {
      s.keys.back() = key::object(on->object);
      s.copies = s.copies || source_of(on->operation);
    } else {
      const auto& operation = std::get<T::CollectionOperation>(each);
      s.barrier = s.barrier || std::holds_alternative<T::SplitCollection>(operation) ||
                  std::holds_alternative<T::MergeCollection>(operation);
    }
  }
  s.record = encode_record(s.collection, s.transaction);
  s.bytes = s.record.size() + 256;
  if (s.record.size() > std::min<std::uint64_t>(limits::transaction_bytes_max, journal_->record_bytes_max()))
    return Errc::too_large;
  s.lane = lanes_->lane_of(s.collection);
  TRY(check_sources(s));
  auto need = static_cast<std::int64_t>(s.bytes);
  std::int64_t room = room_.load(std::memory_order_relaxed);
  if (room < need && (s.transaction.space == Space::ordinary || room + reserve_.load() < need)) return Errc::no_space;

  std::lock_guard lock(mutex_);
  auto table = [this](const CollectionId& id) {
    auto it = collections_.find(id);
    return it == collections_.end() ? std::nullopt : std::optional(it->second);
  };
  TRY(CollectionChanges changes, check_collections(s.collection, s.transaction, table));
  for (const auto& [id, bits] : changes) {
    if (bits) {
      collections_[id] = *bits;
    } else {
      collections_.erase(id);
    }
  }
  room_.fetch_sub(need, std::memory_order_relaxed);
  s.sequence = ++last_sequence_;
  pending_.add(submission);
  journal_->append(submission);
  return {};
}

/// Every source exists, and every collection that is removed is empty, at this transaction's place. These look things
/// up in the index, which for what the caller has just been reading is memory.
Result<> Filestore::check_sources(const Submission& s) {
  std::map<std::string, bool> known;  // by operations of this transaction
  std::set<std::string> removed;
  for (std::size_t i = 0; i < s.keys.size(); ++i) {
    const T::Operation& each = s.transaction.operations()[i];
    const auto* on = std::get_if<T::OnObject>(&each);
    if (!on) {
      if (std::holds_alternative<T::RemoveCollection>(std::get<T::CollectionOperation>(each))) {
        TRY(bool empty, collection_empty(s.collection, removed));
        bool made_some = std::ranges::any_of(known, [](const auto& entry) { return entry.second; });
        if (!empty || made_some) return Errc::not_empty;
      }
      continue;
    }
    if (const ObjectId* source = source_of(on->operation)) {
      std::string key = key::object(*source);
      auto it = known.find(key);
      bool there = it != known.end() && it->second;
      if (it == known.end()) {
        TRY(there, object_exists(key));
      }
      if (!there) return Errc::not_found;
      if (std::holds_alternative<T::Rename>(on->operation) && key != s.keys[i]) {
        known[key] = false;
        removed.insert(key);
      }
    }
    if (std::holds_alternative<T::Remove>(on->operation)) {
      known[s.keys[i]] = false;
      removed.insert(s.keys[i]);
    } else if (makes_object(on->operation)) {
      known[s.keys[i]] = true;
      removed.erase(s.keys[i]);
    }
  }
  return {};
}

/// On the journal's thread: answers first, then the lanes.
void Filestore::on_durable(Journal::EntryList& entries, Result<> result) {
  std::vector<SubmissionPointer> submissions;
  submissions.reserve(entries.size());
  std::uint64_t bytes = 0;
  for (auto& entry : entries) {
    submissions.push_back(std::static_pointer_cast<Submission>(std::move(entry)));
    bytes += submissions.back()->bytes;
  }
  if (!result) {
    bool abandoned = is(result.error(), Errc::cancelled);
    if (!abandoned) fail(result.error(), "writing the journal");
    {
      std::lock_guard lock(mutex_);
      for (const auto& each : submissions) pending_.remove(*each);
    }
    for (const auto& each : submissions) each->settle(abandoned ? Errc::read_only : Errc::io);
    return;
  }
  unapplied_bytes_.fetch_add(bytes);
  for (const auto& each : submissions) {
    each->settle({});
    each->record = {};  // the transaction itself keeps the payload for readers and for the lane
  }
  JournalPosition end = submissions.back()->end;
  lanes_->enqueue(submissions);
  // Only now: a commit holds the lanes at this place, so they must have everything before it.
  std::lock_guard lock(mutex_);
  durable_ = end;
}

void Filestore::on_applied(std::span<const SubmissionPointer> submissions) {
  std::uint64_t bytes = 0;
  {
    std::lock_guard lock(mutex_);
    for (const auto& each : submissions) {
      pending_.remove(*each);
      bytes += each->bytes;
    }
  }
  unapplied_bytes_.fetch_sub(bytes);
  if (journal_->starved()) journal_->kick();
}

/// Memory and disk may disagree from here on: no more writes until the store is opened again.
void Filestore::fail(std::error_code why, const char* where) {
  if (failed_.exchange(true)) return;
  log_error("filestore", "{}: {} failed: {}; the store takes no more writes", options_.path, where, why.message());
  journal_->kick();  // what waits for the lanes to make room need not any more
  commit_wanted_.notify_all();
}

}  // namespace spirula::filestore
