#pragma once
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/shard.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "mds/journal.h"
#include "mds/metadata_store.h"
#include "mds/operations.h"
#include "mds/session.h"
#include "mds/write_back.h"
#include "msg/mds_messages.h"
#include "msg/messenger.h"

namespace spirula::mds {

struct ServerOptions {
  Duration journal_interval = std::chrono::milliseconds(100);  ///< how long a change may wait for company
  Duration write_back_interval = std::chrono::seconds(30);     ///< between write-backs while little happens
  std::uint64_t journal_bytes_max = 64 << 20;                  ///< of journal that starts one at once
  std::uint64_t cache_bytes_max = 256 << 20;  ///< of inodes and names in memory, and of what waits behind the journal
  Duration session_timeout = std::chrono::seconds(60);     ///< of silence until a session is stale
  Duration session_autoclose = std::chrono::seconds(300);  ///< of silence until it is evicted
  Duration reconnect_timeout = std::chrono::seconds(45);   ///< for clients after a restart
  Duration revoke_timeout = std::chrono::seconds(120);     ///< for an answer to a revocation, then: evicted
  std::string file_system;                                 ///< its name, for capabilities that name one
  std::vector<std::int64_t> data_pools;                    ///< of the file system, the first for new files
};

/// The file system's server: sessions, requests, caps, and the journal that makes what it does durable. Owned by the
/// daemon; lives on one shard. Once anything failed that may have left memory and journal apart, failed() is true and
/// it answers nobody any more. Invariant: a client never sees what another client changed before it is in the journal.
class Server {
 public:
  Server(Shard& shard, MetadataStore& store, ServerOptions options);
  ~Server();

  // --- its life, in this order ---------------------------------------------------------------------------------------
  /// A new, empty file system.
  Task<Result<>> format();
  /// Or: reads the journal. Errc::not_found: there is none; Errc::malformed: problem() says where it is damaged.
  Task<Result<>> replay();
  const std::string& problem() const { return problem_; }
  /// After replay(): clients that had sessions bring back their caps, until all have or the time is over; those that
  /// have not are evicted.
  Task<Result<>> reconnect();
  /// Serves requests; what clients had unfinished before the restart first.
  Task<> activate();
  /// Ends all tasks; what is in memory only is lost (as in a crash). `flush` first for a clean end.
  Task<> stop();
  /// Until everything that happened so far is durable.
  Task<Result<>> flush_journal();
  /// Until it is in the directory objects as well, and the journal is short.
  Task<Result<>> write_back_all();

  bool failed() const { return failed_; }
  void on_failure(std::function<void()> observer) { on_failure_ = std::move(observer); }

  // --- what happens to it --------------------------------------------------------------------------------------------
  void on_message(const msg::ConnectionRef& connection, msg::Message message);
  void on_reset(const msg::ConnectionRef& connection);
  void set_mdsmap_epoch(msg::Epoch epoch) { mdsmap_epoch_ = epoch; }
  /// Clients that hear of a cap get at least this osdmap before they go on with their data.
  void raise_osd_epoch_barrier(msg::Epoch epoch) { osd_epoch_barrier_ = std::max(osd_epoch_barrier_, epoch); }
  void set_data_pools(std::vector<std::int64_t> pools) { options_.data_pools = std::move(pools); }
  void set_pool_by_name(PoolByName find) { pool_by_name_ = std::move(find); }
  /// How an evicted client is kept from the OSDs before its caps go to others; the osdmap epoch that shows it.
  using Blocklist = std::function<Task<Result<msg::Epoch>>(msg::AddressVector)>;
  void set_blocklist(Blocklist blocklist) { blocklist_ = std::move(blocklist); }
  /// While this says false, messages are kept from us and a client's silence is not its fault.
  void set_listening(std::function<bool()> listening) { listening_ = std::move(listening); }
  /// Takes everything from a client. False: there is no such session.
  Task<Result<bool>> evict(ClientId client);

  // --- for people ----------------------------------------------------------------------------------------------------
  struct Figures {
    std::uint64_t requests = 0, replies_early = 0, cap_messages = 0, batches = 0, batch_bytes = 0;
    std::size_t inodes = 0, cache_bytes = 0, dropped = 0, recalls = 0, sessions = 0, caps = 0, names_waiting = 0,
                strays_purged = 0, waiting_bytes = 0;
    std::uint64_t journal_bytes = 0;
    std::size_t journal_segments = 0;
  };
  Figures figures() const;
  std::string sessions_json() const;
  std::string requests_json() const;
  Tree& tree() { return tree_; }

 private:
  struct Request;
  using RequestRef = std::shared_ptr<Request>;
  using SessionRef = std::shared_ptr<Session>;

  // server.cc: the journal and what waits for it
  BatchId current_batch() const;
  void on_commit(BatchId batch, std::move_only_function<void()> action);
  /// Ends the batch under construction when it is large enough. After a change is complete, never within one.
  void seal_if_full();
  /// For the batch under construction.
  void note(SessionUpdate update);
  /// No change now: so much waits for the journal, or behind it.
  bool is_full() const;
  bool write_back_is_due() const;
  void journal_soon();
  void hurry();
  void run_commit_actions();
  Task<Result<>> wait_for_commit(BatchId batch);
  Task<> journal_loop();
  Batch take_batch();
  Task<> maintenance_loop();
  Task<Result<>> write_back_once();
  void start_purges();
  Task<> purge(Ino ino);
  Task<> cut(Ino ino);
  Task<Result<>> wait_for_cut(Ino ino);
  void purge_if_unused(Inode& inode);
  void cut_if_needed(Inode& inode);
  void settle_writing(Inode& inode);
  bool is_written(const Inode& inode) const;
  void recover_size(Inode& inode);
  void start_recoveries();
  Task<> recover(Ino ino);
  void fail(std::string why);

  // server_cache.cc: what is in memory and what is not
  Task<Result<>> load(Ino dir);
  Task<Result<>> load_entry(Ino dir, std::string name);
  Task<Result<>> load_after(Ino dir, EntryKey after);
  Task<Result<>> find(Ino ino);
  Task<Result<>> find_once(Ino ino, std::size_t depth);
  bool is_loaded_whole(const Inode& dir) const;
  void taken_in(const std::vector<Inode*>& inodes);
  std::size_t cache_bytes_wanted() const;
  void trim_cache();
  Task<> cache_loop();
  void recall_caps();

  // server_sessions.cc
  void handle_session(const msg::ConnectionRef& connection, const msg::ClientSession& body,
                      std::shared_ptr<void> budget_hold);
  void open_session(const msg::ConnectionRef& connection, const msg::ClientSession& body);
  void close_session(const SessionRef& session);
  /// `orderly`: it has told everything it had to tell; otherwise the sizes of what it wrote are to be found out.
  void drop_session(const SessionRef& session, bool orderly);
  void handle_reconnect(const msg::ConnectionRef& connection, const msg::Message& message);
  Task<> let_go_of_idle();
  Task<> reconnect_session(SessionRef session, std::vector<msg::CapReconnect> caps, bool last,
                           std::shared_ptr<void> budget_hold);
  bool keep(Session& session, std::size_t bytes);
  void forget_kept(Session& session);
  Task<Result<>> find_for_reconnect(const msg::CapReconnect cap);
  void restore_cap(const SessionRef& session, Inode& inode, const msg::CapReconnect& reported);
  void refuse_unmatched(const SessionRef& session);
  void resume_session(const SessionRef& session);
  void forgive_silence();
  Task<> watch_sessions();
  void send_session(const SessionRef& session, msg::ClientSession::Op op, std::uint64_t sequence = 0,
                    std::uint32_t caps_max = 0);
  SessionRef session_of(const msg::ConnectionRef& connection);
  Session* session_of(ClientId client);
  Task<> evict_in_background(ClientId client, std::string why);

  // server_requests.cc
  void handle_request(const SessionRef& session, msg::Message message);
  bool may_wait(Request& request);
  bool may_be_unsafe(const Request& request) const;
  void start_request(RequestRef request);
  bool try_request(const RequestRef& request);
  Task<> run_request(RequestRef request);
  Task<Result<>> remove_obstacle(RequestRef request);
  void finish_request(const RequestRef& request);
  void handle_releases(Session& session, const msg::ClientRequest& body);
  bool answer_from_before(const RequestRef& request);
  Attempt new_attempt(const Request& request) const;
  void commit_request(const RequestRef& request, Outcome& outcome);
  void reply(Request& request, Result<> result, Outcome& outcome, const Listing* listing, bool safe);
  void reply_bare(Request& request, std::error_code result, Ino made = {});
  bool try_file_lock(const RequestRef& request);
  void grant_file_locks(Inode& inode);
  void announce_links(Inode& inode);
  void put_inode(Encoder& encoder, Session& session, Inode& inode, cap::Bits wanted = 0);

  // server_caps.cc
  struct CapsMessage;
  void handle_caps(CapsMessage message);
  void deliver_early(Ino ino);
  void deliver_deferred();
  void work_on_caps(const CapsMessage& message);
  void update_cap(const SessionRef& session, const msg::ClientCaps& body, std::uint64_t flush_tid);
  void release_cap(const SessionRef& session, const msg::ClientCapRelease::Item& item);
  bool may_change(const Session& session, const Inode& inode) const;
  cap::Bits wanted_by(const Session& session, const Inode& inode, cap::Bits wanted) const;
  bool apply_flush(Session& session, Inode& inode, const msg::ClientCaps& body);
  bool may_see(const Inode& inode, ClientId client) const;
  void evaluate(Inode& inode, std::optional<ClientId> replying_to = std::nullopt);
  void regrant(Ino ino, ClientId client);
  void send_cap(Session& session, Inode& inode, Cap& cap, msg::ClientCaps::Op op);
  void remove_cap(Session& session, Inode& inode);
  void wake(Ino ino);
  msg::ClientCaps cap_message(const Inode& inode, const Cap& cap, msg::ClientCaps::Op op) const;
  std::uint64_t writable_size(const Inode& inode, const Cap& cap) const;

  Shard& shard_;
  MetadataStore& store_;
  ServerOptions options_;
  Tree tree_;
  Journal journal_;
  WriteBack write_back_;
  TaskGroup tasks_;
  Blocklist blocklist_;
  PoolByName pool_by_name_ = [](std::string_view) { return std::nullopt; };
  std::function<bool()> listening_ = [] { return true; };
  std::function<void()> on_failure_;
  std::string problem_;
  bool failed_ = false, stopping_ = false;
  enum class Phase { idle, reconnecting, replaying, active } phase_ = Phase::idle;
  msg::Epoch mdsmap_epoch_;
  msg::Epoch osd_epoch_barrier_;
  Ino next_ino_ = inos::first;
  std::uint64_t next_cap_id_ = 1;

  // The journal's side.
  bool appending_ = false;
  bool hurried_ = false;
  std::deque<Batch> sealed_;  ///< full ones, to be appended before the one under construction
  std::vector<SessionUpdate> session_updates_;
  std::size_t session_update_bytes_ = 0;
  std::map<BatchId, std::vector<std::move_only_function<void()>>> commit_actions_;
  WaitList journal_wanted_, hurry_wanted_, committed_, room_;
  bool writing_back_ = false;
  WaitList written_back_;
  std::size_t purges_ = 0;
  std::deque<Ino> purges_waiting_;
  std::size_t recoveries_ = 0;
  std::deque<Ino> recoveries_waiting_;
  WaitList cut_done_, recovered_;
  WaitList maintenance_wanted_;

  // The clients' side.
  std::map<ClientId, SessionRef> sessions_;
  std::unordered_map<Ino, std::unique_ptr<WaitList>> cap_waiters_;
  std::map<Ino, std::unique_ptr<WaitList>> loading_;
  std::list<RequestRef> running_;  ///< those that something stands in the way of
  std::shared_ptr<msg::ReceiveBudget> waiting_ = std::make_shared<msg::ReceiveBudget>(limits::waiting_bytes_max);
  std::deque<RequestRef> replayed_, early_;        ///< come before we are active: resent ones first
  std::size_t unsafe_bytes_ = 0, kept_bytes_ = 0;  ///< of all sessions
  /// What a client says about one inode's cap: a message, or one item of a release.
  struct CapsMessage {
    SessionRef session;
    msg::ClientCaps body;
    std::uint64_t flush_tid = 0;
    std::optional<msg::ClientCapRelease::Item> release;
    std::size_t bytes = 0;
    std::shared_ptr<void> budget_hold;
    Ino ino() const { return Ino{release ? release->ino : body.ino}; }
  };
  /// Come while we start, by inode: what is about one inode stays in order.
  std::map<Ino, std::vector<CapsMessage>> early_caps_;
  std::deque<CapsMessage> deferred_caps_;  ///< come while the journal was full
  struct EarlyOpen {
    msg::ConnectionRef connection;
    msg::ClientSession body;
    std::shared_ptr<void> budget_hold;
  };
  std::vector<EarlyOpen> early_opens_;
  std::map<std::pair<ClientId, std::uint64_t>, RequestRef> lock_waiters_;
  WaitList reconnected_, finished_;
  std::size_t reconnects_running_ = 0;
  bool sessions_lost_ = false;  ///< some did not come back after the restart
  Figures figures_;
};

}  // namespace spirula::mds
