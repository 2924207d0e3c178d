#include "mds/caps.h"

#include <algorithm>

#include "base/check.h"

namespace spirula::mds {

using cap::Bits;
using cap::Group;

namespace {

// The rows of the matrix, as generic bits of a group.
constexpr Bits simple_all = cap::shared;
constexpr Bits simple_exclusive = cap::shared | cap::exclusive;
constexpr Bits file_all = cap::shared | cap::cache | cap::read | cap::lazy;
constexpr Bits file_mixed = cap::read | cap::write | cap::lazy;
constexpr Bits file_sole =
    cap::shared | cap::exclusive | cap::cache | cap::read | cap::write | cap::buffer | cap::extend | cap::lazy;
constexpr Bits file_own_write = cap::shared | cap::cache | cap::buffer;
constexpr Bits directory_sole = cap::shared | cap::exclusive;
constexpr Bits writes = cap::write | cap::buffer | cap::exclusive | cap::extend;

Bits generic(Bits bits, Group group) {
  return (bits & cap::mask(group)) >> cap::shift(group);
}

}  // namespace

Cap* InodeCaps::find(ClientId client) {
  auto it = std::ranges::find(caps_, client, &Cap::client);
  return it == caps_.end() ? nullptr : &*it;
}

Cap& InodeCaps::add(ClientId client, std::uint64_t id) {
  if (Cap* cap = find(client)) return *cap;
  Cap& cap = caps_.emplace_back();
  cap.client = client;
  cap.id = id;
  return cap;
}

void InodeCaps::remove(ClientId client) {
  std::erase_if(caps_, [&](const Cap& cap) { return cap.client == client; });
  if (caps_.empty()) caps_.shrink_to_fit();  // of most inodes in memory nobody has any
}

void InodeCaps::confirm(Cap& cap, std::uint32_t sequence, Bits bits) {
  if (sequence == cap.sequence) {
    cap.revocations.clear();
    cap.issued = bits & cap.issued;
    cap.pending &= bits;
    cap.issued |= cap.pending;
    if (cap.issued != cap.pending) cap.revocations.push_back({cap.issued, cap.sequence});
    return;
  }
  while (!cap.revocations.empty() && static_cast<std::int32_t>(cap.revocations.front().sequence - sequence) < 0)
    cap.revocations.erase(cap.revocations.begin());
  if (cap.revocations.empty()) {
    cap.issued = (bits & cap.issued) | cap.pending;
    return;
  }
  if (cap.revocations.front().sequence == sequence) cap.revocations.front().before &= bits;
  cap.issued = cap.pending;
  for (const Cap::Revocation& revocation : cap.revocations) cap.issued |= revocation.before;
}

void InodeCaps::release(const Claim& claim) {
  auto it = std::ranges::find(claims_, claim);
  CHECK(it != claims_.end());
  claims_.erase(it);
  if (claims_.empty()) claims_.shrink_to_fit();
}

Bits InodeCaps::claim_row(const Claim& claim, ClientId client) const {
  bool file = claim.group == Group::file, own = claim.client == client;
  if (claim.mode == Claim::Mode::read) return file && !directory_ ? file_all : simple_all;
  if (!own) return 0;
  if (!file) return simple_all;
  return directory_ ? directory_sole : file_own_write;
}

bool InodeCaps::satisfied(const Claim& claim) const {
  return std::ranges::all_of(
      caps_, [&](const Cap& cap) { return (generic(cap.issued, claim.group) & ~claim_row(claim, cap.client)) == 0; });
}

Bits InodeCaps::allowed_simple(Group group, ClientId client) const {
  if (directory_ || group == Group::link) return simple_all;  // exclusive bits would only cost revocations there
  const Cap* own = find(client);
  bool others_hold = false, others_want = false, other_excludes = false;
  for (const Cap& cap : caps_) {
    if (cap.client == client) continue;
    Bits held = generic(cap.issued | cap.pending, group);
    others_hold |= held != 0;
    other_excludes |= (held & cap::exclusive) != 0;
    others_want |= generic(cap.wanted, group) != 0;
  }
  if (other_excludes) {
    // It keeps its row as long as nobody else wants anything of the group (claims revoke it otherwise).
    bool contested = own && generic(own->wanted, group) != 0;
    return contested ? simple_all : 0;
  }
  if (others_hold || others_want) return simple_all;
  bool wants = own && (generic(own->wanted | own->pending, group) & cap::exclusive);
  return wants ? simple_exclusive : simple_all;
}

Bits InodeCaps::allowed_file(ClientId client) const {
  if (directory_)
    return caps_.size() <= 1 && (caps_.empty() || caps_[0].client == client) ? directory_sole : simple_all;
  std::size_t users = 0, writers = 0;
  for (const Cap& cap : caps_) {
    Bits wanted = generic(cap.wanted, Group::file);
    users += (wanted & (writes | cap::read)) != 0;
    writers += (wanted & writes) != 0;
  }
  const Cap* own = find(client);
  if (writers == 0) {
    // A lone holder that has closed the file keeps what it has until somebody else comes.
    bool lone = own && caps_.size() == 1 && (generic(own->pending, Group::file) & writes);
    return lone ? file_sole : file_all;
  }
  if (users > 1) return file_mixed;
  return own && (generic(own->wanted, Group::file) & writes) ? file_sole : 0;
}

Bits InodeCaps::allowed(ClientId client) const {
  Bits bits = cap::pin;
  for (Group group : cap::groups) {
    Bits row = group == Group::file ? allowed_file(client) : allowed_simple(group, client);
    for (const Claim& claim : claims_)
      if (claim.group == group) row &= claim_row(claim, client);
    bits |= cap::in(group, row);
  }
  return bits;
}

Bits InodeCaps::grantable(ClientId client) const {
  Bits bits = allowed(client);
  for (const Cap& other : caps_) {
    if (other.client == client) continue;
    Bits over = other.issued & ~allowed(other.client);
    for (Group group : cap::groups)
      if (over & cap::mask(group)) bits &= ~cap::mask(group);
  }
  return bits;
}

std::vector<InodeCaps::Change> InodeCaps::evaluate(MonotonicTime now, std::optional<ClientId> only) {
  std::vector<Change> changes;
  if (caps_.empty()) return changes;
  std::vector<Bits> rows;
  rows.reserve(caps_.size());
  for (const Cap& cap : caps_) rows.push_back(allowed(cap.client));
  for (std::size_t i = 0; i < caps_.size(); ++i) {
    Cap& cap = caps_[i];
    if ((cap.pending & ~rows[i]) == 0 || (only && cap.client != *only)) continue;
    if (!cap.revoking()) cap.revoked_at = now;
    cap.revocations.push_back({cap.pending, cap.sequence});
    cap.pending &= rows[i];
    ++cap.sequence;
    changes.push_back({cap.client, true});
  }
  for (Cap& cap : caps_) {
    if (only && cap.client != *only) continue;
    // A client is granted nothing it is still giving back: it could not tell the two apart.
    Bits fresh = cap.wanted & grantable(cap.client) & ~cap.pending & ~cap.issued;
    if (cap.wanted & ~cap.pending) fresh |= cap.pending ? 0 : cap::pin;
    if (!fresh) continue;
    cap.pending |= fresh;
    cap.issued |= fresh;
    auto known = std::ranges::find(changes, cap.client, &Change::client);
    if (known != changes.end()) continue;
    ++cap.sequence;
    changes.push_back({cap.client, false});
  }
  return changes;
}

bool InodeCaps::anybody_is_due(ClientId besides) const {
  return std::ranges::any_of(caps_, [&](const Cap& cap) {
    return cap.client != besides && ((cap.wanted & ~cap.pending) || (cap.pending & ~allowed(cap.client)));
  });
}

void InodeCaps::issue_with_reply(Cap& cap) {
  Bits liked = cap::pin | cap::any_shared;
  liked |= directory_ ? cap::file_exclusive : cap::file_cache | cap::file_read;
  Bits fresh = (cap.wanted | liked) & grantable(cap.client);
  cap.pending |= fresh & ~(cap.issued & ~cap.pending);
  cap.issued |= cap.pending;
  ++cap.sequence;
  cap.issue_sequence = cap.sequence;
}

void InodeCaps::reestablish(Cap& cap, Bits bits) {
  cap.pending = cap.issued = bits | cap::pin;
  cap.revocations.clear();
  cap.sequence = 1;
  cap.issue_sequence = 1;
}

std::optional<ClientId> InodeCaps::exclusive_writer() const {
  std::optional<ClientId> writer;
  for (const Cap& cap : caps_) {
    if (!(generic(cap.wanted, Group::file) & writes)) continue;
    if (writer) return std::nullopt;
    writer = cap.client;
  }
  return writer;
}

bool InodeCaps::anybody_has(Bits bits) const {
  return std::ranges::any_of(caps_, [&](const Cap& cap) { return ((cap.issued | cap.pending) & bits) != 0; });
}

void InodeCaps::verify() const {
  for (const Cap& cap : caps_) CHECK((cap.pending & ~cap.issued) == 0);
  // Two clients never hold what excludes one another, revocations in flight included.
  for (const Cap& one : caps_) {
    for (const Cap& two : caps_) {
      if (&one == &two) continue;
      for (Group group : cap::groups) {
        Bits mine = generic(one.issued, group), theirs = generic(two.issued, group);
        if (group == Group::file && !directory_) {
          CHECK(!(mine & (cap::exclusive | cap::buffer)) || !(theirs & ~cap::lazy), "a sole writer");
          CHECK(!(mine & cap::write) || !(theirs & (cap::shared | cap::cache)), "nobody caches what is written");
        } else {
          CHECK(!(mine & cap::exclusive) || !theirs, "an exclusive bit");
        }
      }
    }
  }
}

}  // namespace spirula::mds
