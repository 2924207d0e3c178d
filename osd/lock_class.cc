#include "osd/object_class.h"

/// The class "lock". Wire structs mirror Ceph's src/cls/lock/cls_lock_{ops,types}.h; one lock is one attribute
/// "lock.<name>".
namespace spirula::osd {
namespace {

enum class LockType : std::uint8_t { none = 0, exclusive = 1, shared = 2, exclusive_ephemeral = 3 };
constexpr std::uint8_t may_renew = 1, must_renew = 2;
constexpr std::size_t name_max = 4096, lockers_max = 4096;

bool is_valid(LockType type) {
  return type >= LockType::exclusive && type <= LockType::exclusive_ephemeral;
}

struct Locker {  // Ceph: locker_id_t
  static constexpr std::uint8_t version = 1, compat = 1;
  msg::EntityName client;
  std::string cookie;
  static void fields(auto& self, auto& wire) {
    wire(self.client);
    wire(self.cookie, name_max);
  }
  friend auto operator<=>(const Locker&, const Locker&) = default;
};

struct LockerInfo {  // Ceph: locker_info_t
  static constexpr std::uint8_t version = 1, compat = 1;
  msg::Time expiration;
  msg::Address address;
  std::string description;
  static void fields(auto& self, auto& wire) {
    wire(self.expiration);
    wire(self.address);
    wire(self.description, name_max);
  }
};

struct LockInfo {  // Ceph: lock_info_t; also the answer of get_info
  static constexpr std::uint8_t version = 1, compat = 1;
  std::map<Locker, LockerInfo> lockers;
  LockType type = LockType::none;
  std::string tag;
  static void fields(auto& self, auto& wire) {
    wire(self.lockers, lockers_max);
    wire(self.type);
    wire(self.tag, name_max);
  }
};

struct LockOp {  // Ceph: cls_lock_lock_op
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string name;
  LockType type = LockType::none;
  std::string cookie, tag, description;
  msg::Time duration;
  std::uint8_t flags = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.name, name_max);
    wire(self.type);
    wire(self.cookie, name_max);
    wire(self.tag, name_max);
    wire(self.description, name_max);
    wire(self.duration);
    wire(self.flags);
  }
};

struct UnlockOp {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string name, cookie;
  static void fields(auto& self, auto& wire) {
    wire(self.name, name_max);
    wire(self.cookie, name_max);
  }
};

struct BreakOp {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string name;
  msg::EntityName locker;
  std::string cookie;
  static void fields(auto& self, auto& wire) {
    wire(self.name, name_max);
    wire(self.locker);
    wire(self.cookie, name_max);
  }
};

struct InfoOp {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string name;
  static void fields(auto& self, auto& wire) { wire(self.name, name_max); }
};

struct ListReply {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::vector<std::string> locks;
  static void fields(auto& self, auto& wire) { wire(self.locks); }
};

struct AssertOp {  // Ceph: cls_lock_assert_op; cls_lock_set_cookie_op appends the new cookie
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string name;
  LockType type = LockType::none;
  std::string cookie, tag;
  static void fields(auto& self, auto& wire) {
    wire(self.name, name_max);
    wire(self.type);
    wire(self.cookie, name_max);
    wire(self.tag, name_max);
  }
};

struct SetCookieOp {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string name;
  LockType type = LockType::none;
  std::string cookie, tag, new_cookie;
  static void fields(auto& self, auto& wire) {
    wire(self.name, name_max);
    wire(self.type);
    wire(self.cookie, name_max);
    wire(self.tag, name_max);
    wire(self.new_cookie, name_max);
  }
};

const std::string attribute_prefix = "lock.";

/// The lock with its expired holders forgotten.
Result<LockInfo> read_lock(MethodContext& object, const std::string& name) {
  auto stored = object.attribute(attribute_prefix + name);
  if (!stored) {
    if (stored.error() == make_error_code(Errc::no_data)) return LockInfo{};
    return stored.error();
  }
  if (stored->empty()) return LockInfo{};
  auto lock = decode<LockInfo>(*stored);
  if (!lock) return Errc::io;
  msg::Time now = object.now();
  std::erase_if(lock->lockers, [&](const auto& each) {
    const msg::Time& until = each.second.expiration;
    return until != msg::Time{} && until < now;
  });
  return lock;
}

Result<> write_lock(MethodContext& object, const std::string& name, const LockInfo& lock) {
  return object.set_attribute(attribute_prefix + name, encode(lock));
}

template <class Op>
Result<Op> read_op(const Buffer& input) {
  auto op = decode<Op>(input);
  if (!op) return Errc::invalid;
  return op;
}

Result<Buffer> lock(MethodContext& object, Buffer input) {
  TRY(auto op, read_op<LockOp>(input));
  if (!is_valid(op.type) || op.name.empty()) return Errc::invalid;
  bool fail_if_held = !(op.flags & may_renew), fail_if_not_held = op.flags & must_renew;
  if (!fail_if_held && fail_if_not_held) return Errc::invalid;
  TRY(auto lock, read_lock(object, op.name));
  if (!lock.lockers.empty() && op.tag != lock.tag) return Errc::busy;

  Locker me{object.origin(), op.cookie};
  if (auto held = lock.lockers.find(me); held != lock.lockers.end()) {
    if (fail_if_held && !fail_if_not_held) return Errc::exists;
    lock.lockers.erase(held);
  } else if (fail_if_not_held) {
    return Errc::not_found;
  }
  if (!lock.lockers.empty() && (op.type != LockType::shared || lock.type != op.type)) return Errc::busy;
  if (lock.lockers.size() >= lockers_max) return Errc::no_space;

  LockerInfo info;
  info.description = op.description;
  if (op.duration != msg::Time{}) {
    info.expiration = object.now();
    info.expiration.seconds += op.duration.seconds;
    info.expiration.nanoseconds += op.duration.nanoseconds;
    if (info.expiration.nanoseconds >= 1'000'000'000) {
      info.expiration.nanoseconds -= 1'000'000'000;
      ++info.expiration.seconds;
    }
  }
  // Which of its addresses a client used says nothing about who it is: Ceph stores them as legacy ones.
  auto addresses = object.origin_address();
  if (!addresses.empty()) info.address = addresses.addresses.front();
  info.address.type = msg::Address::Type::legacy;
  lock.type = op.type;
  lock.tag = op.tag;
  lock.lockers.emplace(me, info);
  TRY(write_lock(object, op.name, lock));
  return Buffer{};
}

Result<Buffer> remove_locker(MethodContext& object, const std::string& name, const Locker& who) {
  TRY(auto lock, read_lock(object, name));
  if (!lock.lockers.erase(who)) return Errc::not_found;
  if (lock.type == LockType::exclusive_ephemeral) {
    TRY(object.remove());
  } else {
    TRY(write_lock(object, name, lock));
  }
  return Buffer{};
}

Result<Buffer> unlock(MethodContext& object, Buffer input) {
  TRY(auto op, read_op<UnlockOp>(input));
  return remove_locker(object, op.name, {object.origin(), op.cookie});
}

Result<Buffer> break_lock(MethodContext& object, Buffer input) {
  TRY(auto op, read_op<BreakOp>(input));
  return remove_locker(object, op.name, {op.locker, op.cookie});
}

Result<Buffer> get_info(MethodContext& object, Buffer input) {
  TRY(auto op, read_op<InfoOp>(input));
  TRY(auto lock, read_lock(object, op.name));
  return encode(lock);
}

Result<Buffer> list_locks(MethodContext& object, Buffer) {
  TRY(auto names, object.attribute_names());
  ListReply reply;
  for (const auto& name : names)
    if (name.starts_with(attribute_prefix)) reply.locks.push_back(name.substr(attribute_prefix.size()));
  return encode(reply);
}

/// The lock if we hold it exactly as `op` says; Errc::busy otherwise.
template <class Op>
Result<LockInfo> find_ours(MethodContext& object, const Op& op) {
  if (!is_valid(op.type) || op.name.empty()) return Errc::invalid;
  TRY(auto lock, read_lock(object, op.name));
  if (lock.lockers.empty() || lock.type != op.type || lock.tag != op.tag) return Errc::busy;
  if (!lock.lockers.contains({object.origin(), op.cookie})) return Errc::busy;
  return lock;
}

Result<Buffer> assert_locked(MethodContext& object, Buffer input) {
  TRY(auto op, read_op<AssertOp>(input));
  TRY(find_ours(object, op));
  return Buffer{};
}

Result<Buffer> set_cookie(MethodContext& object, Buffer input) {
  TRY(auto op, read_op<SetCookieOp>(input));
  TRY(auto lock, find_ours(object, op));
  auto held = lock.lockers.extract({object.origin(), op.cookie});
  held.key().cookie = op.new_cookie;
  if (!lock.lockers.insert(std::move(held)).inserted) return Errc::busy;
  TRY(write_lock(object, op.name, lock));
  return Buffer{};
}

}  // namespace

void add_lock_class(ObjectClasses& classes) {
  classes.add("lock", "lock", {true, true, lock});
  classes.add("lock", "unlock", {true, true, unlock});
  classes.add("lock", "break_lock", {true, true, break_lock});
  classes.add("lock", "get_info", {true, false, get_info});
  classes.add("lock", "list_locks", {true, false, list_locks});
  classes.add("lock", "assert_locked", {true, false, assert_locked});
  classes.add("lock", "set_cookie", {true, true, set_cookie});
}

}  // namespace spirula::osd
