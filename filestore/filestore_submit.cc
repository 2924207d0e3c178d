#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <type_traits>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
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

Result<> check_object(const ObjectId& object) {
  if (object.name_space.size() + object.key.size() + object.name.size() > limits::object_name_bytes_max)
    return Errc::name_too_long;
  if (key::object(object).size() > limits::object_name_bytes_max) return Errc::name_too_long;
  return {};
}
Result<> check_range(std::uint64_t offset, std::uint64_t length) {
  if (offset > limits::object_size_max || length > limits::object_size_max - offset) return Errc::file_too_large;
  return {};
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
  TRY(check_limits(s));
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
  Bits changes;
  TRY(check_collections(s, changes));
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

Result<> Filestore::check_limits(Submission& s) const {
  s.keys.reserve(s.transaction.operations().size());
  for (const T::Operation& each : s.transaction.operations()) {
    s.keys.emplace_back();
    const auto* on = std::get_if<T::OnObject>(&each);
    if (!on) {
      const auto& operation = std::get<T::CollectionOperation>(each);
      s.barrier = s.barrier || std::holds_alternative<T::SplitCollection>(operation) ||
                  std::holds_alternative<T::MergeCollection>(operation);
      continue;
    }
    TRY(check_object(on->object));
    s.keys.back() = key::object(on->object);
    if (const ObjectId* source = source_of(on->operation)) {
      TRY(check_object(*source));
      s.copies = true;
    }
    TRY(std::visit(
        []<class Operation>(const Operation& o) -> Result<> {
          if constexpr (std::is_same_v<Operation, T::Write>) {
            return check_range(o.offset, o.data.size());
          } else if constexpr (std::is_same_v<Operation, T::Zero>) {
            return check_range(o.offset, o.length);
          } else if constexpr (std::is_same_v<Operation, T::Truncate>) {
            return check_range(0, o.size);
          } else if constexpr (std::is_same_v<Operation, T::CloneRange>) {
            TRY(check_range(o.source_offset, o.length));
            return check_range(o.offset, o.length);
          } else if constexpr (std::is_same_v<Operation, T::SetAttributes>) {
            std::size_t bytes = 0;
            for (const auto& [name, value] : o.values) {
              if (name.size() > limits::attribute_name_bytes_max) return Errc::name_too_long;
              bytes += name.size() + value.size();
            }
            if (bytes > limits::attributes_bytes_max) return Errc::too_large;
          }
          return {};
        },
        on->operation));
  }
  return {};
}

/// Every source exists, and every collection that is removed is empty, at this transaction's place. These look things
/// up in the index, which for what the caller has just been reading is memory.
Result<> Filestore::check_sources(const Submission& s) {
  if (!s.copies && s.transaction.operations().size() == 0) return {};
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
    const auto& o = on->operation;
    if (std::holds_alternative<T::Remove>(o)) {
      known[s.keys[i]] = false;
      removed.insert(s.keys[i]);
    } else if (!std::holds_alternative<T::RemoveAttribute>(o) && !std::holds_alternative<T::RemoveAllAttributes>(o) &&
               !std::holds_alternative<T::OmapRemove>(o) && !std::holds_alternative<T::OmapRemoveRange>(o) &&
               !std::holds_alternative<T::OmapClear>(o)) {
      known[s.keys[i]] = true;
      removed.erase(s.keys[i]);
    }
  }
  return {};
}

/// Objects lie in the collection; collections are made and removed as the table allows. `changes`: what becomes of it.
Result<> Filestore::check_collections(const Submission& s, Bits& changes) const {
  auto bits_now = [&](const CollectionId& id) -> std::optional<unsigned> {
    if (auto it = changes.find(id); it != changes.end()) return it->second;
    auto it = collections_.find(id);
    return it == collections_.end() ? std::nullopt : std::optional(it->second);
  };
  auto agrees = [](std::uint32_t a, std::uint32_t b, unsigned bits) {
    std::uint32_t mask = bits >= 32 ? ~0u : (1u << bits) - 1;
    return (a & mask) == (b & mask);
  };
  std::optional<unsigned> bits = bits_now(s.collection);
  for (const T::Operation& each : s.transaction.operations()) {
    if (const auto* on = std::get_if<T::OnObject>(&each)) {
      if (!bits) return Errc::not_found;
      if (!collection_holds(s.collection, *bits, on->object)) return Errc::invalid;
      if (const ObjectId* source = source_of(on->operation))
        if (!collection_holds(s.collection, *bits, *source)) return Errc::invalid;
      continue;
    }
    TRY(std::visit(
        [&]<class Operation>(const Operation& o) -> Result<> {
          if constexpr (std::is_same_v<Operation, T::CreateCollection>) {
            if (bits) return Errc::exists;
            if (o.bits > 32) return Errc::invalid;
            changes[s.collection] = o.bits;
          } else if (!bits) {
            return Errc::not_found;
          } else if constexpr (std::is_same_v<Operation, T::RemoveCollection>) {
            changes[s.collection] = std::nullopt;
          } else if constexpr (std::is_same_v<Operation, T::SplitCollection>) {
            if (bits_now(o.child)) return Errc::exists;
            if (o.bits <= *bits || o.bits > 32 || o.child.pool != s.collection.pool ||
                !agrees(o.child.seed, s.collection.seed, *bits) || agrees(o.child.seed, s.collection.seed, o.bits))
              return Errc::invalid;
            changes[s.collection] = changes[o.child] = o.bits;
          } else if constexpr (std::is_same_v<Operation, T::MergeCollection>) {
            if (!bits_now(o.from)) return Errc::not_found;
            if (o.bits >= *bits || o.from.pool != s.collection.pool || o.from == s.collection ||
                !agrees(o.from.seed, s.collection.seed, o.bits))
              return Errc::invalid;
            changes[s.collection] = o.bits;
            changes[o.from] = std::nullopt;
          }
          return {};
        },
        std::get<T::CollectionOperation>(each)));
    bits = bits_now(s.collection);
  }
  if (s.transaction.empty() && !bits) return Errc::not_found;
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
  {
    std::lock_guard lock(mutex_);
    durable_ = submissions.back()->end;
  }
  unapplied_bytes_.fetch_add(bytes);
  for (const auto& each : submissions) {
    each->settle({});
    each->record = {};  // the transaction itself keeps the payload for readers and for the lane
  }
  lanes_->enqueue(submissions);
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
