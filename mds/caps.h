#pragma once
#include <array>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "mds/types.h"

/// Who may cache, read and write what of one inode. Everything here is a plain decision: no message is sent.
///
/// One matrix says what a client may have of a lock group, by the state the group is in; the state follows from who
/// holds caps, what they want, and which requests of the moment hold the group:
///
///   group of a file       nobody excludes   one excludes      a request reads   a request writes
///   auth, link, xattr     s for all         sx that one       s for all         s for its own client
///   file                  scr for all       sxcrwba that one  scr for all       scb for its own client
///                         rw for all when several have it open and one of them writes
///   file, of a directory  s for all         sx the only one   s for all         sx for its own client
///
/// What a client has beyond its row is revoked, and while that is under way nobody is granted more of that group.
namespace spirula::mds {

/// A request's claim on a group of an inode for the time it runs. Claims only ever restrain clients: requests are
/// applied in one step each, so they need no claims on each other.
struct Claim {
  enum class Mode : std::uint8_t { read, write };
  cap::Group group{};
  Mode mode = Mode::read;
  ClientId client;  ///< whose request it is
  friend bool operator==(const Claim&, const Claim&) = default;
};

/// What one client holds of one inode.
struct Cap {
  ClientId client;
  std::uint64_t id = 0;
  cap::Bits pending = 0;  ///< what we last told the client it has
  cap::Bits issued = 0;   ///< what it may still believe to have: more, until it confirms revocations
  cap::Bits wanted = 0;
  std::uint32_t sequence = 0;        ///< of the last grant or revocation
  std::uint32_t issue_sequence = 0;  ///< `sequence` when a reply last carried the cap
  struct Revocation {
    cap::Bits before = 0;
    std::uint32_t sequence = 0;  ///< at which it had `before`
  };
  std::vector<Revocation> revocations;
  std::uint64_t xattr_version = 0;  ///< of the extended attributes the client was last sent
  MonotonicTime revoked_at{};       ///< when the oldest unanswered revocation was sent

  bool revoking() const { return issued & ~pending; }
};

class InodeCaps {
 public:
  explicit InodeCaps(bool of_directory) : directory_(of_directory) {}

  const std::vector<Cap>& all() const { return caps_; }
  bool empty() const { return caps_.empty(); }
  Cap* find(ClientId client);
  const Cap* find(ClientId client) const { return const_cast<InodeCaps*>(this)->find(client); }
  /// The client's cap, made with this id if it has none yet.
  Cap& add(ClientId client, std::uint64_t id);
  void remove(ClientId client);

  /// The client says what it has, having seen everything up to `sequence`. Never adds bits.
  void confirm(Cap& cap, std::uint32_t sequence, cap::Bits bits);

  void claim(const Claim& claim) { claims_.push_back(claim); }
  void release(const Claim& claim);
  bool claimed() const { return !claims_.empty(); }
  /// Nobody has anything that contradicts the claim (made or not).
  bool satisfied(const Claim& claim) const;

  /// What the matrix lets the client have.
  cap::Bits allowed(ClientId client) const;
  /// The same without groups in which somebody else still has to give something up.
  cap::Bits grantable(ClientId client) const;

  struct Change {
    ClientId client;
    bool revokes = false;
  };
  /// Brings every cap in line with the matrix: revokes what contradicts it, grants what is wanted. Each Change is a
  /// message to send, with the Cap's new state.
  /// `only`: nobody else is told anything now (what it would see is not durable yet).
  std::vector<Change> evaluate(MonotonicTime now, std::optional<ClientId> only = std::nullopt);
  /// evaluate() would tell somebody else something.
  bool anybody_is_due(ClientId besides) const;
  /// A reply is about to carry the client's cap: adds what it wants or would like and may have.
  void issue_with_reply(Cap& cap);
  /// The bits a client re-established after a restart, whatever the matrix says; evaluate() settles the rest.
  void reestablish(Cap& cap, cap::Bits bits);

  /// The only client that has this open, if exactly one has and it writes; it may extend the file.
  std::optional<ClientId> exclusive_writer() const;
  /// Somebody has, or is still believed to have, one of these bits.
  bool anybody_has(cap::Bits bits) const;
  void verify() const;

 private:
  cap::Bits allowed_simple(cap::Group group, ClientId client) const;
  cap::Bits allowed_file(ClientId client) const;
  cap::Bits claim_row(const Claim& claim, ClientId client) const;

  bool directory_;
  std::vector<Cap> caps_;
  std::vector<Claim> claims_;
};

}  // namespace spirula::mds
