#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound of the OSD, with its reason.
namespace spirula::osd::limits {

/// Of an object's data; a request beyond it is -EFBIG (Ceph: osd_max_object_size).
inline constexpr std::uint64_t object_size_max = 128 << 20;
/// Of one request's data; beyond it -EMSGSIZE (Ceph: osd_max_write_size, in MiB). Less where the store takes less at
/// once: a transaction is the request's data and up to so much more of names, info and log.
inline constexpr std::uint64_t write_size_max = 90 << 20, write_overhead_max = 1 << 20;
/// Ceph: osd_max_object_name_len, osd_max_object_namespace_len, osd_max_attr_name_len. Beyond them -ENAMETOOLONG.
inline constexpr std::size_t object_name_max = 2048, name_space_max = 256, attribute_name_max = 100;
/// Of one attribute: two of them must fit the store's limit for all attributes of an object.
inline constexpr std::size_t attribute_size_max = 256 << 10;
/// Of the attributes of one object together, below what the store allows (1 MiB), with room for our own.
inline constexpr std::size_t attributes_size_max = 896 << 10;
/// Operations of one request. Clients send a handful; the reply repeats every one.
inline constexpr std::size_t operations_max = 1024;
/// Bytes that the operations of one request may read together.
inline constexpr std::uint64_t read_size_max = 256 << 20;
/// Of one read, as it counts in osd_client_message_size_cap until it is answered.
inline constexpr std::uint64_t read_size_counted_max = 4 << 20;
/// Checksums that one operation answers.
inline constexpr std::uint64_t checksums_max = 65536;
/// Entries of one omap listing (Ceph: osd_max_omap_entries_per_request) and their bytes.
inline constexpr std::size_t omap_entries_max = 1024;
inline constexpr std::size_t omap_bytes_max = 32 << 20;
/// Names of one pgls/pgnls reply; a client asks again (Ceph: osd_max_pgls).
inline constexpr std::size_t list_entries_max = 1024;
/// Output of an operation that also writes, when the client asks for it (Ceph: osd_max_write_op_reply_len).
inline constexpr std::size_t write_reply_max = 64;
/// Watchers of one object: they live in its info attribute.
inline constexpr std::size_t watchers_max = 4096;
/// Snapshots and clones of one object.
inline constexpr std::size_t clones_max = 16384;
/// Of the encoded SnapSet. Beyond it the oldest clones lose what is known of their overlap (which only saves work), and
/// then new clones are refused with -E2BIG: the store takes 1 MiB of attributes at once.
inline constexpr std::size_t snap_set_size_max = 384 << 10;
/// Times the interpreter may run over before its inputs are complete: an object class reads step by step.
inline constexpr unsigned passes_max = 256;

/// Log entries of a PG that are kept, whatever the number of PGs ...
inline constexpr std::size_t log_entries_min = 256;
/// ... and at most, when there are few PGs (Ceph: osd_pg_log_dups_tracked); the default of osd_max_pg_log_entries.
/// They serve two ends. A client that lost its connection sends again what was not answered: its request is recognised
/// if fewer changes of its PG than these were made since, by others, until it is back. Clients are back at once, so
/// that counts where one PG takes thousands of writes a second. And an OSD that comes back gets what it missed by the
/// log if it missed no more than these, else its copy is compared object by object.
inline constexpr std::size_t log_entries_max = 3000;
/// Together, on one OSD: bounds the memory of the index over them, 52 bytes each (Ceph:
/// osd_target_pg_log_entries_per_osd). At 15,000 writes a second, evenly over its PGs, that is what was written in the
/// last 20 seconds.
inline constexpr std::size_t log_entries_total = 300'000;
/// Entries are trimmed in batches, so that most writes pay nothing for it.
inline constexpr std::size_t log_trim_batch = 64;

/// Object contexts kept although nobody uses them (about 700 bytes each): of a PG at least, and of an OSD together.
inline constexpr std::size_t idle_objects_min = 32, idle_objects_total = 16384;
/// Client operations being worked on, and their bytes; beyond it connections are not read.
inline constexpr std::size_t operations_in_flight_max = 8192;
/// Objects that verification of the medium names; it counts the others.
inline constexpr std::size_t damaged_objects_named_max = 100;
/// Requests that `dump_ops_in_flight` lists, a shard.
inline constexpr std::size_t operations_shown_max = 1000;
/// Operations that wait for one inactive PG, or for one object that nobody has; beyond it clients are asked to keep
/// them (Backoffs), and as soon as what waits and what is being worked on takes half of osd_client_message_size_cap.
inline constexpr std::size_t waiting_together_max = 1024;
/// Operations that wait for a newer map, a shard, or, of clients that know no backoff, for an inactive PG; the oldest
/// beyond it are dropped (clients resend on the next map).
inline constexpr std::size_t waiting_operations_max = 65536;
/// While less than this is free, writes to one object do not overlap, so that a refusal undoes nothing behind it.
inline constexpr std::uint64_t cautious_below_bytes = 512 << 20;

/// A sixteenth of the disk, within these bounds, is left to deletes, to the MDS and to the store itself: ordinary
/// writes are refused before the store has to (Ceph: osd_failsafe_full_ratio).
inline constexpr std::uint64_t failsafe_bytes_min = 128 << 20, failsafe_bytes_max = std::uint64_t{4} << 30;

/// Until what was overwritten or deleted is free: the store keeps two snapshots, and one more may wait to be cleaned.
inline constexpr int commits_until_room = 3;

/// Full maps kept in the store. Peers and clients that ask for older ones get the oldest kept full map.
inline constexpr std::uint32_t maps_kept = 200;
/// Maps that a shard keeps at hand, for PGs that are made while maps come.
inline constexpr std::size_t recent_maps = 32;
/// Maps in one MOSDMap to a client (Ceph: osd_map_message_max, osd_map_message_max_bytes).
inline constexpr std::uint32_t maps_per_message = 40;

/// Objects of a PG recovered at the same time, and the pause before the next one while clients have requests under way.
inline constexpr std::size_t recoveries_at_once = 4;
inline constexpr std::chrono::milliseconds recovery_pause{2};
/// Of all PGs of one OSD together, not counting those that clients wait for.
inline constexpr int recoveries_per_osd = 8;
/// Ranges that a recovered clone shares with the next newer one, and how long they are at least: the rest is sent.
inline constexpr std::size_t shared_ranges_max = 1024;
inline constexpr std::uint64_t shared_bytes_min = 4096;
/// Objects that a backfill compares at once; writes after its cursor wait while they are listed.
inline constexpr std::size_t backfill_page = 128;
/// Bytes of one message that carries a piece of an object.
inline constexpr std::uint64_t push_bytes_max = 4 << 20;
/// Questions and changes from other OSDs that wait for a map, a shard.
inline constexpr std::size_t waiting_peer_messages_max = 65536;

/// Objects removed by one transaction of the background removal of a PG, and objects trimmed in one go.
inline constexpr std::size_t removal_batch = 64;
/// A watch's timeout, when the client does not say (Ceph: osd_client_watch_timeout), and a notify's.
inline constexpr std::uint32_t watch_timeout_default_s = 30, notify_timeout_default_s = 30;
inline constexpr std::uint32_t watch_timeout_max_s = 600, notify_timeout_max_s = 600;
/// Notifies of one object not completed yet.
inline constexpr std::size_t notifies_max = 1024;
/// Their payloads together, of one object.
inline constexpr std::size_t notify_bytes_max = 16 << 20;

}  // namespace spirula::osd::limits
