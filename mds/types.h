#pragma once
#include <cstdint>

#include "base/strong.h"
#include "msg/mds_messages.h"

/// The vocabulary of the metadata server.
namespace spirula::mds {

using msg::Ino;

/// A client's global id: who holds a session, caps and file locks.
struct ClientTag {};
using ClientId = Strong<ClientTag, std::int64_t>;

/// The number of a journal batch. State changed "in" a batch is durable once that batch is.
struct BatchTag {};
using BatchId = Strong<BatchTag, std::uint64_t>;

namespace inos {
/// Numbers that are not files of the user's. Real ones start at `first`, as in Ceph, so that clients and tools show
/// familiar numbers; they are never used twice.
inline constexpr Ino super{0};  ///< holds the root and the strays; no client sees it
inline constexpr Ino root{1};
inline constexpr Ino stray{0x600};  ///< files without a name that are still open or not yet purged
inline constexpr Ino first{0x10000000000};
}  // namespace inos

/// Capability bits (CEPH_CAP_*), by lock group: auth, link, xattr, file.
namespace cap {
using Bits = std::uint32_t;
enum class Group : std::uint8_t { auth, link, xattr, file };
inline constexpr Group groups[] = {Group::auth, Group::link, Group::xattr, Group::file};

inline constexpr Bits shared = 1, exclusive = 2, cache = 4, read = 8, write = 16, buffer = 32, extend = 64, lazy = 128;
inline constexpr unsigned shift(Group group) {
  return 2 + 2 * static_cast<unsigned>(group);
}
inline constexpr Bits in(Group group, Bits generic) {
  return generic << shift(group);
}
inline constexpr Bits mask(Group group) {
  return in(group, group == Group::file ? 0xff : 3);
}
inline constexpr Bits pin = 1;
inline constexpr Bits auth_shared = in(Group::auth, shared), auth_exclusive = in(Group::auth, exclusive);
inline constexpr Bits link_shared = in(Group::link, shared), link_exclusive = in(Group::link, exclusive);
inline constexpr Bits xattr_shared = in(Group::xattr, shared), xattr_exclusive = in(Group::xattr, exclusive);
inline constexpr Bits file_shared = in(Group::file, shared), file_exclusive = in(Group::file, exclusive);
inline constexpr Bits file_cache = in(Group::file, cache), file_read = in(Group::file, read);
inline constexpr Bits file_write = in(Group::file, write), file_buffer = in(Group::file, buffer);
inline constexpr Bits file_extend = in(Group::file, extend), file_lazy = in(Group::file, lazy);
inline constexpr Bits any_shared = auth_shared | link_shared | xattr_shared | file_shared;
inline constexpr Bits any_file_write = file_write | file_buffer | file_exclusive;

/// "pAsLsXsFscr", as Ceph's logs write them.
std::string describe(Bits bits);
/// What a file opened with these CEPH_O_* flags wants (Ceph: ceph_caps_for_mode).
Bits wanted_by_open(std::uint32_t open_flags);
}  // namespace cap

namespace limits {
inline constexpr std::size_t name_bytes_max = 255;      ///< NAME_MAX
inline constexpr std::size_t path_depth_max = 4096;     ///< names in one path of a request
inline constexpr std::size_t symlink_bytes_max = 4096;  ///< PATH_MAX
inline constexpr std::size_t xattrs_bytes_max = 64
                                                << 10;  ///< of one inode, names and values (mds_max_xattr_pairs_size)
inline constexpr std::size_t links_max =
    4096;  ///< names of one file: an inode's record lists them, so it must stay small
inline constexpr std::size_t old_pools_max = 64;                         ///< that the layout of one file has had
inline constexpr std::uint64_t file_bytes_max = std::uint64_t{1} << 40;  ///< mds max_file_size, Ceph's default
inline constexpr std::size_t session_completed_max =
    100'000;  ///< requests (and flushes) a client has not yet told us to forget
inline constexpr std::size_t session_completed_stored_max = 1'000'000;  ///< of those in a stored record, in any case
/// A batch with this much in it gets no further change, so that it stays far below what an OSD takes in one message
/// (90 MiB) and one change more cannot make it too large.
inline constexpr std::size_t batch_bytes_max = 8 << 20;
inline constexpr std::size_t batches_waiting_max = 4;           ///< full ones; changes wait until there are fewer
inline constexpr std::size_t names_update_bytes_max = 4 << 20;  ///< of names and records in one message to an OSD
inline constexpr std::size_t readdir_bytes_max = 512 << 10;     ///< of one reply (mds_max_... as stock sends them)
/// Of requests that wait for what other clients have to say, of one client and of all; then EBUSY. Half of what
/// messages being worked on may take (MessengerOptions::bytes_in_flight_max): the other half is for what ends the
/// waiting.
inline constexpr std::size_t session_waiting_bytes_max = 32 << 20, waiting_bytes_max = 128 << 20;
/// Of requests whose early reply the journal has yet to make good, of one client and of all; then changes wait for it.
/// Clients set themselves no bound to what they send again after a restart: this is theirs.
inline constexpr std::size_t session_unsafe_bytes_max = 16 << 20, unsafe_bytes_max = 32 << 20;
/// Of what clients say while we start and we keep until we have (requests sent again, cap messages, caps on what is
/// nowhere), of one client and of all; then the one with most is evicted. Twice what it can have to send again: what a
/// request takes may not be the same in the program that we were before.
inline constexpr std::size_t session_kept_bytes_max = 2 * session_unsafe_bytes_max,
                             kept_bytes_max = 2 * unsafe_bytes_max;
inline constexpr std::size_t file_locks_max = 16'384;  ///< of one file, waiting ones included; then ENOLCK
inline constexpr std::size_t readdir_entries_max = 8192;
}  // namespace limits

}  // namespace spirula::mds
