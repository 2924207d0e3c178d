#pragma once
#include "msg/hobject.h"
#include "osd/inputs.h"
#include "osd/request.h"

namespace spirula::osd {

/// Decides a request: runs its operations against the object as it is, one after the other, all or nothing. A plain
/// function: no waiting, no clock, no store. When `inputs` lacks something, the outcome is worthless: fetch, run again.
/// Return codes and corner cases are Ceph's (src/osd/PrimaryLogPG.cc: do_osd_ops).
/// `before` and `snaps` are those of the head.
Outcome interpret(const ObjectRequest& request, const ObjectState& before, const SnapSet& snaps,
                  const ObjectClasses& classes, Inputs& inputs);

/// Decides a listing (pgls, pgnls) of the PG `seed`, whose objects share `bits` bits of their hash.
Outcome interpret_listing(const ObjectRequest& request, std::uint32_t seed, unsigned bits, Inputs& inputs);

/// Gives a changing outcome its place: stamps the object's info and fills the transaction (without the log entry).
/// Keys of the collection that map snapshots to clones are part of it.
void seal(Outcome& outcome, const ObjectRequest& request, const ObjectState& before, Version at,
          std::uint64_t user_version, Transaction& transaction);

/// The clone's own name.
ObjectId clone_id(const ObjectId& head, SnapId clone);

/// Reads what the store has as an object's attributes. A missing object is a state too; Errc::io: they do not decode.
Result<ObjectState> decode_state(const Result<Attributes>& attributes);
Result<SnapSet> decode_snaps(const Result<Attributes>& attributes);

/// Plans the trimming of one snapshot from one clone: drops the snapshot from the clone, and the clone when it was the
/// last. Nothing to do: false. `after` and `snaps` are updated.
bool plan_trim(const ObjectId& head, SnapId clone, SnapId snap, ObjectState& state, SnapSet& snaps, Version at,
               PgTotals& delta, Transaction& transaction);

/// The first place after the PG `seed` in listings (Ceph: pg_t::get_hobj_end).
msg::HObject listing_end(std::int64_t pool, std::uint32_t seed, unsigned bits);
/// How many low bits of the hash all objects of PG `seed` share, in a pool of `pg_num` PGs.
unsigned pg_bits(std::uint32_t seed, std::uint32_t pg_num);

/// Collection keys that say which clones a snapshot has: "snap.<id>.<clone>.<encoded head>".
std::string snap_key(SnapId snap, SnapId clone, const ObjectId& head);
std::string snap_key_prefix(SnapId snap);

}  // namespace spirula::osd
