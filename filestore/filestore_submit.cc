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

/// Of memory, about: an operation, its key, its place in PendingTable, and what the allocator adds.
std::uint64_t bytes_beside(const Transaction& transaction) {
  constexpr std::uint64_t bytes_per_operation = 700;
  return 256 + transaction.operations().size() * bytes_per_operation;
}

/// Kicks the journal when it goes, whoever drops it: run, dropped with a task that nobody awaited, or with a loop that
/// has ended.
class Kick {
 public:
  explicit Kick(std::weak_ptr<Journal> journal) : journal_(std::move(journal)) {}
  Kick(Kick&&) = default;
  Kick& operator=(Kick&&) = delete;
  ~Kick() {
    if (auto journal = journal_.lock()) journal->kick();
  }
  /// Somebody else's comes, or none is needed.
  void give_up_unless_wanted() {
    auto journal = journal_.lock();
    if (!journal || !journal->wants_kick()) journal_.reset();
  }
  bool wanted() const { return !journal_.expired(); }
  void operator()() const {}

 private:
  std::weak_ptr<Journal> journal_;
};

/// The kick waits until the loop has run what is ready: everything that this submits goes in one write, not its first
/// alone and the rest behind that.
Task<Result<>> until_durable(SubmissionPointer submission, Kick kick) {
  if (!submission->settled()) {
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [&](auto handler) {
          auto executor = asio::get_associated_executor(handler);
          kick.give_up_unless_wanted();
          if (kick.wanted()) asio::post(executor, std::move(kick));
          Submission::Waiter waiter;
          waiter.loop = &asio::query(executor, asio::execution::context);
          waiter.resume = [handler = std::move(handler)]() mutable { std::move(handler)(); };
          waiter.post = [executor](std::move_only_function<void()> action) { asio::post(executor, std::move(action)); };
          if (!submission->wait(waiter)) asio::post(executor, std::move(waiter.resume));
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
  if (!submission->ready) {
    stager_->begin(submission);
    return until_durable(std::move(submission), Kick({}));
  }
  return until_durable(std::move(submission), Kick(journal_));
}

/// Decides everything that can refuse a transaction; once this succeeds it only waits for the disk.
Result<> Filestore::admit(const SubmissionPointer& submission) {
  if (failed_.load() || closing_.load()) return Errc::read_only;
  Submission& s = *submission;
  TRY(check_limits(s.transaction));
  describe_operations(s);
  TRY(check_sources(s));
  std::uint64_t encoded = s.transaction.payload_bytes();
  s.bytes = encoded + bytes_beside(s.transaction);
  s.charge = charge_of(s.transaction);
  s.frees = s.transaction.space == Space::reserve && only_frees(s.transaction);
  s.lane = lanes_->lane_of(s.collection);
  // While a commit runs a write to btrfs may stall, so payloads take the journal, as far as memory can hold them until
  // the lanes go on.
  bool through_journal = committing_.load() && submitted_bytes_.load() + s.bytes <= pending_bytes_max_;
  if (!through_journal && stager_->reserve(s)) {
    s.ready = false;
    describe_operations(s);
  } else {
    s.record = encode_record(s.collection, s.transaction);
    encoded = s.record.size();
    s.bytes = encoded + bytes_beside(s.transaction);
  }
  Result<> admitted = Errc::too_large;
  if (encoded <= transaction_bytes_max())
    admitted = space_.take(s.charge, s.transaction.space, s.frees, s.transaction.reservation.get());
  s.transaction.reservation.reset();  // what it has left goes back with the caller's
  if (admitted) {
    admitted = admit_here(submission);
    if (!admitted) space_.give_back(s.charge);
  }
  if (!admitted && s.ring_use) s.ring_use->refused.store(true);
  return admitted;
}

/// Keys, and what the operations mean for the order of things.
void Filestore::describe_operations(Submission& s) {
  s.keys.clear();
  s.keys.reserve(s.transaction.operations().size());
  s.also_ordered_in.clear();
  for (const T::Operation& each : s.transaction.operations()) {
    s.keys.emplace_back();
    if (const auto* on = std::get_if<T::OnObject>(&each)) {
      s.keys.back() = key::object(on->object);
      s.copies = s.copies || source_of(on->operation);
    } else {
      const auto& operation = std::get<T::CollectionOperation>(each);
      if (const auto* split = std::get_if<T::SplitCollection>(&operation)) s.also_ordered_in.push_back(split->child);
      if (const auto* merge = std::get_if<T::MergeCollection>(&operation)) s.also_ordered_in.push_back(merge->from);
    }
  }
  s.barrier = !s.also_ordered_in.empty();
}

std::uint64_t Filestore::transaction_bytes_max() const {
  return std::min<std::uint64_t>(limits::transaction_bytes_max, journal_->record_bytes_max());
}

/// The part that takes its place: from here on the transaction happens.
Result<> Filestore::admit_here(const SubmissionPointer& submission) {
  Submission& s = *submission;
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
  submitted_bytes_.fetch_add(s.bytes);
  s.ticket = ++last_ticket_;
  pending_.add(submission);
  line_up_locked(submission);
  return {};
}

/// To the journal at once, or behind what its collections wait for.
void Filestore::line_up_locked(const SubmissionPointer& submission) {
  Submission& s = *submission;
  auto waits = [&](const CollectionId& id) { return !lines_.empty() && lines_.contains(id); };
  if (s.ready && !waits(s.collection) && std::ranges::none_of(s.also_ordered_in, waits)) return send_locked(submission);
  lines_[s.collection].push_back(submission);
  for (const CollectionId& id : s.also_ordered_in) lines_[id].push_back(submission);
}

void Filestore::send_locked(const SubmissionPointer& submission) {
  submission->sequence = ++last_sequence_;
  if (submission->ring_use) submission->ring_use->sequence = last_sequence_;
  journal_->append(submission);
}

/// Sends what is ready at the front of a line, and of the lines that this sets going.
void Filestore::advance_locked(const CollectionId& first) {
  std::vector<CollectionId> lines{first};
  while (!lines.empty()) {
    CollectionId id = lines.back();
    auto line = lines_.find(id);
    if (line == lines_.end()) {
      lines.pop_back();
      continue;
    }
    SubmissionPointer front = line->second.front();
    auto is_first_in = [&](const CollectionId& each) { return lines_.at(each).front() == front; };
    if (!front->ready || !is_first_in(front->collection) || !std::ranges::all_of(front->also_ordered_in, is_first_in)) {
      lines.pop_back();
      continue;
    }
    auto leave = [&](const CollectionId& each) {
      auto its = lines_.find(each);
      its->second.pop_front();
      if (its->second.empty()) lines_.erase(its);
      if (each != id) lines.push_back(each);
    };
    send_locked(front);
    leave(front->collection);
    for (const CollectionId& each : front->also_ordered_in) leave(each);
  }
}

/// On a stager's thread.
void Filestore::on_staged(std::vector<SubmissionPointer>& submissions, Result<> result) {
  if (!result) fail(result.error(), "staging");
  for (const SubmissionPointer& each : submissions)
    if (result) each->record = encode_record(each->collection, each->transaction);
  std::vector<SubmissionPointer> lost;
  {
    std::lock_guard lock(mutex_);
    if (result) {
      for (const SubmissionPointer& each : submissions) {
        each->ready = true;
        advance_locked(each->collection);
      }
    } else {  // and everything that waits in a line: the store takes no more writes
      for (auto& [id, line] : lines_)
        for (SubmissionPointer& each : line)
          if (each->collection == id) lost.push_back(each);
      lines_.clear();
      for (const SubmissionPointer& each : lost) pending_.remove(*each);
    }
  }
  Submission::settle_all(lost, Errc::io);
  journal_->kick();
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
    Submission::settle_all(submissions, abandoned ? Errc::read_only : Errc::io);
    return;
  }
  unapplied_bytes_.fetch_add(bytes);
  Submission::settle_all(submissions, {});
  for (const auto& each : submissions) each->record = {};  // readers and the lane have the transaction itself
  lanes_->enqueue(submissions);
}

void Filestore::on_applied(std::span<const SubmissionPointer> submissions) {
  std::uint64_t bytes = 0;
  SpaceCharge charge;
  {
    std::lock_guard lock(mutex_);
    for (const auto& each : submissions) {
      pending_.remove(*each);
      bytes += each->bytes;
      charge += each->charge;
    }
  }
  space_.applied(charge);
  unapplied_bytes_.fetch_sub(bytes);
  submitted_bytes_.fetch_sub(bytes);
  if (journal_->starved()) journal_->kick();
}

/// Memory and disk may disagree from here on: no more writes until the store is opened again.
void Filestore::fail(std::error_code why, const char* where) {
  if (failed_.exchange(true)) return;
  log_error("filestore", "{}: {} failed: {}; the store takes no more writes", options_.path, where, why.message());
  if (is(why, Errc::no_space)) {
    Result<btrfs::Space> now = btrfs::space(root_.get());
    if (now) space_.observe(*now, 0);
    log_error("filestore", "{}: the disk: {}", options_.path, space_.describe());
  }
  // What waits for the lanes or a commit to make room would wait for ever.
  journal_->fail(make_error_code(Errc::io));
  commit_wanted_.notify_all();
}

}  // namespace spirula::filestore
