#include "msg/mds_messages.h"

#include <fmt/format.h>

#include <algorithm>

namespace spirula::msg {

namespace {

// Bits of a connection's features that the legacy reply layouts depend on (Ceph: src/include/ceph_features.h).
constexpr std::uint64_t feature_inline_data = std::uint64_t{1} << 40;
constexpr std::uint64_t feature_quota = std::uint64_t{1} << 47;
constexpr std::uint64_t feature_layout_v2 = std::uint64_t{1} << 58;
constexpr std::uint64_t feature_btime = std::uint64_t{1} << 59;

constexpr std::size_t string_max = 1 << 16;
constexpr std::size_t request_gids_max = 65536;
constexpr std::size_t releases_max = 1024;
constexpr std::size_t peer_size = 8 + 4 + 4 + 4 + 1;  // ceph_mds_cap_peer

/// The structures of a reply are bare or in an envelope, by the session's features.
template <class F>
void put_stat(Encoder& encoder, std::uint8_t version, F&& body) {
  if (encoder.features() == reply_envelopes)
    encoder.envelope(version, 1, body);
  else
    body();
}
template <class F>
void get_stat(Decoder& decoder, std::uint8_t understood, F&& body) {
  if (decoder.features() == reply_envelopes)
    decoder.envelope(understood, body);
  else
    body();
}

void fields_layout_legacy(auto& self, auto& wire, auto& pool) {
  std::uint32_t unused = 0;
  wire(self.stripe_unit);
  wire(self.stripe_count);
  wire(self.object_size);
  wire(unused);  // fl_cas_hash
  wire(unused);  // fl_object_stripe_unit
  wire(unused);  // fl_unused
  wire(pool);
}

}  // namespace

void FeatureBits::encode(Encoder& encoder) const {
  encoder(std::uint32_t{bits ? 8u : 0u});
  if (bits) encoder(bits);
}

void FeatureBits::decode(Decoder& decoder) {
  std::uint32_t size = decoder.read<std::uint32_t>();
  Buffer bytes = decoder.raw(size);
  bits = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size(), 8); ++i)
    bits |= std::to_integer<std::uint64_t>(bytes.data()[i]) << (8 * i);
}

void ClientSession::encode(Encoder& encoder) const {
  encoder(op);
  encoder(sequence);
  encoder(stamp);
  encoder(caps_max);
  encoder(leases_max);
  encoder(metadata);
  encoder(features);
  encoder.envelope(1, 1, [&] { encoder(metric_spec); });
  encoder(flags);
}

void ClientSession::decode(Decoder& decoder) {
  decoder(op);
  decoder(sequence);
  decoder(stamp);
  decoder(caps_max);
  decoder(leases_max);
  decoder.since(2, metadata, 1024);
  decoder.since(3, features);
  if (decoder.version() >= 4) decoder.envelope(1, [&] { decoder(metric_spec); });
  decoder.since(5, flags);
}

std::string describe(MdsOp op) {
  switch (op) {
    case MdsOp::lookup:
      return "lookup";
    case MdsOp::getattr:
      return "getattr";
    case MdsOp::lookup_hash:
      return "lookuphash";
    case MdsOp::lookup_parent:
      return "lookupparent";
    case MdsOp::lookup_ino:
      return "lookupino";
    case MdsOp::lookup_name:
      return "lookupname";
    case MdsOp::get_vxattr:
      return "getvxattr";
    case MdsOp::get_file_lock:
      return "getfilelock";
    case MdsOp::open:
      return "open";
    case MdsOp::readdir:
      return "readdir";
    case MdsOp::lookup_snap:
      return "lookupsnap";
    case MdsOp::list_snaps:
      return "lssnap";
    case MdsOp::set_xattr:
      return "setxattr";
    case MdsOp::remove_xattr:
      return "rmxattr";
    case MdsOp::set_layout:
      return "setlayout";
    case MdsOp::setattr:
      return "setattr";
    case MdsOp::set_file_lock:
      return "setfilelock";
    case MdsOp::set_dir_layout:
      return "setdirlayout";
    case MdsOp::mknod:
      return "mknod";
    case MdsOp::link:
      return "link";
    case MdsOp::unlink:
      return "unlink";
    case MdsOp::rename:
      return "rename";
    case MdsOp::mkdir:
      return "mkdir";
    case MdsOp::rmdir:
      return "rmdir";
    case MdsOp::symlink:
      return "symlink";
    case MdsOp::create:
      return "create";
    case MdsOp::make_snap:
      return "mksnap";
    case MdsOp::remove_snap:
      return "rmsnap";
    case MdsOp::rename_snap:
      return "renamesnap";
  }
  return fmt::format("op 0x{:x}", static_cast<std::uint32_t>(op));
}

void FilePath::encode(Encoder& encoder) const {
  encoder(std::uint8_t{1});
  encoder(ino);
  encoder(path);
}

void FilePath::decode(Decoder& decoder) {
  if (decoder.read<std::uint8_t>() != 1) return decoder.fail();
  decoder(ino);
  decoder(path, string_max);
}

std::string FilePath::describe() const {
  return fmt::format("#0x{:x}{}{}", ino, path.empty() ? "" : "/", path);
}

namespace {

/// Walks one view of the arguments; what the view does not cover is zero (or ignored).
template <class T>
T view_of(const std::array<std::uint8_t, ClientRequest::args_size>& args, auto fields) {
  Decoder decoder(Buffer::copy_of(std::as_bytes(std::span(args))));
  T value;
  fields(value, decoder);
  return value;
}
void put_view(std::array<std::uint8_t, ClientRequest::args_size>& args, const auto& value, auto fields) {
  Encoder encoder;
  fields(value, encoder);
  Buffer bytes = encoder.take();
  args.fill(0);
  std::memcpy(args.data(), bytes.data(), std::min(bytes.size(), args.size()));
}

constexpr auto getattr_fields = [](auto& v, auto& wire) { wire(v.mask); };
constexpr auto setattr_fields = [](auto& v, auto& wire) {
  wire(v.mode);
  wire(v.uid);
  wire(v.gid);
  wire(v.mtime);
  wire(v.atime);
  wire(v.size);
  wire(v.old_size);
  wire(v.mask);
  wire(v.btime);
};
constexpr auto readdir_fields = [](auto& v, auto& wire) {
  wire(v.frag);
  wire(v.entries_max);
  wire(v.bytes_max);
  wire(v.flags);
  wire(v.offset_hash);
};
constexpr auto mknod_fields = [](auto& v, auto& wire) {
  wire(v.mode);
  wire(v.rdev);
};
constexpr auto open_fields = [](auto& v, auto& wire) {
  wire(v.flags);
  wire(v.mode);
  wire(v.stripe_unit);
  wire(v.stripe_count);
  wire(v.object_size);
  wire(v.pool);
  wire(v.mask);
  wire(v.old_size);
};
constexpr auto setxattr_fields = [](auto& v, auto& wire) {
  wire(v.flags);
  wire(v.osdmap_epoch);
};
constexpr auto file_lock_fields = [](auto& v, auto& wire) {
  wire(v.rule);
  wire(v.type);
  wire(v.owner);
  wire(v.pid);
  wire(v.start);
  wire(v.length);
  wire(v.wait);
};
constexpr auto lookup_ino_fields = [](auto& v, auto& wire) {
  wire(v.mask);
  wire(v.snap);
  wire(v.parent);
  wire(v.hash);
};
constexpr auto setlayout_fields = [](auto& v, auto& wire) { fields_layout_legacy(v, wire, v.pool); };

}  // namespace

ClientRequest::Getattr ClientRequest::getattr() const {
  return view_of<Getattr>(args, getattr_fields);
}
ClientRequest::Setattr ClientRequest::setattr() const {
  return view_of<Setattr>(args, setattr_fields);
}
ClientRequest::Readdir ClientRequest::readdir() const {
  return view_of<Readdir>(args, readdir_fields);
}
ClientRequest::Mknod ClientRequest::mknod() const {
  return view_of<Mknod>(args, mknod_fields);
}
ClientRequest::Open ClientRequest::open() const {
  return view_of<Open>(args, open_fields);
}
ClientRequest::Setxattr ClientRequest::setxattr() const {
  return view_of<Setxattr>(args, setxattr_fields);
}
ClientRequest::FileLock ClientRequest::file_lock() const {
  return view_of<FileLock>(args, file_lock_fields);
}
ClientRequest::LookupIno ClientRequest::lookup_ino() const {
  return view_of<LookupIno>(args, lookup_ino_fields);
}
ClientRequest::Setlayout ClientRequest::setlayout() const {
  return view_of<Setlayout>(args, setlayout_fields);
}
void ClientRequest::set(const Getattr& value) {
  put_view(args, value, getattr_fields);
}
void ClientRequest::set(const Setattr& value) {
  put_view(args, value, setattr_fields);
}
void ClientRequest::set(const Readdir& value) {
  put_view(args, value, readdir_fields);
}
void ClientRequest::set(const Mknod& value) {
  put_view(args, value, mknod_fields);
}
void ClientRequest::set(const Open& value) {
  put_view(args, value, open_fields);
}
void ClientRequest::set(const Setxattr& value) {
  put_view(args, value, setxattr_fields);
}
void ClientRequest::set(const FileLock& value) {
  put_view(args, value, file_lock_fields);
}
void ClientRequest::set(const LookupIno& value) {
  put_view(args, value, lookup_ino_fields);
}

namespace {
void head_fields(auto& self, auto& wire, auto& release_count) {
  wire(self.oldest_tid);
  wire(self.mdsmap_epoch);
  wire(self.flags);
  wire(self.retries);
  wire(self.forwards);
  wire(release_count);
  wire(self.op);
  wire(self.uid);
  wire(self.gid);
  wire(self.ino);
}
}  // namespace

void ClientRequest::encode(Encoder& encoder) const {
  encoder(std::uint16_t{1});  // version of the head
  std::uint16_t release_count = static_cast<std::uint16_t>(releases.size());
  head_fields(*this, encoder, release_count);
  encoder(args);
  encoder(path);
  encoder(path2);
  for (const CapRelease& release : releases) encoder(release);
  encoder(stamp);
  encoder(gids);
  encoder(alternate_name);
}

void ClientRequest::decode(Decoder& decoder) {
  std::uint16_t head_version = decoder.version() >= 4 ? decoder.read<std::uint16_t>() : 0;
  std::uint16_t release_count = 0;
  head_fields(*this, decoder, release_count);
  // Version 4 of the message brought the versioned head and eight more bytes of arguments.
  Buffer given = decoder.raw(decoder.version() >= 4 ? args_size : 48);
  args.fill(0);
  std::copy_n(reinterpret_cast<const std::uint8_t*>(given.data()), given.size(), args.begin());
  if (head_version >= 2) decoder.skip(8);  // 32-bit retry and forward counts
  if (head_version >= 3) {
    std::uint32_t head_size = decoder.read<std::uint32_t>();  // of the whole head
    constexpr std::uint32_t known = 2 + 8 + 4 + 4 + 2 + 2 + 4 + 8 + 8 + args_size + 8 + 4;
    if (head_size < known) return decoder.fail();
    decoder.skip(head_size - known);
  }
  decoder(path);
  decoder(path2);
  if (release_count > releases_max) return decoder.fail();
  for (std::uint16_t i = 0; i < release_count && !decoder.failed(); ++i) releases.push_back(decoder.read<CapRelease>());
  decoder.since(2, stamp);
  decoder.since(4, gids, request_gids_max);
  decoder.since(5, alternate_name, string_max);
}

std::string ClientRequest::describe() const {
  std::string text = fmt::format("{} {}", msg::describe(op), path.describe());
  if (path2.ino || !path2.path.empty()) text += " " + path2.describe();
  if (retries) text += fmt::format(" retry {}", retries);
  if (is_replay()) text += " replay";
  return text;
}

bool FileLayout::is_valid() const {
  constexpr std::uint32_t unit = 65536;
  return stripe_unit && stripe_count && object_size && stripe_unit % unit == 0 && object_size % unit == 0 &&
         object_size >= stripe_unit && object_size % stripe_unit == 0;
}

void FileLayout::encode_legacy(Encoder& encoder) const {
  std::uint32_t wire_pool = pool < 0 ? 0 : static_cast<std::uint32_t>(pool);
  fields_layout_legacy(*this, encoder, wire_pool);
}

void FileLayout::decode_legacy(Decoder& decoder) {
  std::uint32_t wire_pool = 0;
  fields_layout_legacy(*this, decoder, wire_pool);
  pool = wire_pool == 0 && stripe_unit == 0 ? -1 : static_cast<std::int64_t>(wire_pool);
}

void InodeStat::encode(Encoder& encoder) const {
  put_stat(encoder, 4, [&] {
    encoder(ino);
    encoder(snap);
    encoder(rdev);
    encoder(version);
    encoder(xattr_version);
    encoder(cap);
    layout.encode_legacy(encoder);
    encoder(ctime);
    encoder(mtime);
    encoder(atime);
    encoder(time_warp_sequence);
    encoder(size);
    encoder(size_max);
    encoder(truncate_size);
    encoder(truncate_sequence);
    encoder(mode);
    encoder(uid);
    encoder(gid);
    encoder(links);
    encoder(files);
    encoder(subdirs);
    encoder(rbytes);
    encoder(rfiles);
    encoder(rsubdirs);
    encoder(rctime);
    encoder(fragments);
    encoder(symlink);
    encoder(dir_hash);
    encoder.zeros(7);  // the rest of ceph_dir_layout
    encoder(xattrs);
    const std::uint64_t features = encoder.features();
    if (features & feature_inline_data) {
      encoder(inline_version);
      encoder(inline_data);
    }
    if (features & feature_quota) {
      encoder.envelope(1, 1, [&] {
        encoder(quota_bytes);
        encoder(quota_files);
      });
    }
    if (features & feature_layout_v2) encoder(layout.name_space);
    if (features & feature_btime) {
      encoder(btime);
      encoder(change_attribute);
    }
    if (features == reply_envelopes) {
      encoder(export_pin);  // version 2
      encoder(snap_btime);  // version 3
      encoder(rsnaps);      // version 4
    }
  });
}

void InodeStat::decode(Decoder& decoder) {
  get_stat(decoder, 4, [&] {
    decoder(ino);
    decoder(snap);
    decoder(rdev);
    decoder(version);
    decoder(xattr_version);
    decoder(cap);
    layout.decode_legacy(decoder);
    decoder(ctime);
    decoder(mtime);
    decoder(atime);
    decoder(time_warp_sequence);
    decoder(size);
    decoder(size_max);
    decoder(truncate_size);
    decoder(truncate_sequence);
    decoder(mode);
    decoder(uid);
    decoder(gid);
    decoder(links);
    decoder(files);
    decoder(subdirs);
    decoder(rbytes);
    decoder(rfiles);
    decoder(rsubdirs);
    decoder(rctime);
    decoder(fragments, 1 << 16);
    decoder(symlink, string_max);
    decoder(dir_hash);
    decoder.skip(7);
    decoder(xattrs);
    const std::uint64_t features = decoder.features();
    if (features & feature_inline_data) {
      decoder(inline_version);
      decoder(inline_data);
    }
    if (features & feature_quota) {
      decoder.envelope(1, [&] {
        decoder(quota_bytes);
        decoder(quota_files);
      });
    }
    if (features & feature_layout_v2) decoder(layout.name_space, 256);
    if (features & feature_btime) {
      decoder(btime);
      decoder(change_attribute);
    }
    if (features == reply_envelopes) {
      decoder.since(2, export_pin);
      decoder.since(3, snap_btime);
      decoder.since(4, rsnaps);
    }
  });
}

void DirStat::encode(Encoder& encoder) const {
  put_stat(encoder, 1, [&] {
    encoder(fragment);
    encoder(auth);
    encoder(replicas);
  });
}

void DirStat::decode(Decoder& decoder) {
  get_stat(decoder, 1, [&] {
    decoder(fragment);
    decoder(auth);
    decoder(replicas, 4096);
  });
}

void LeaseStat::encode(Encoder& encoder) const {
  put_stat(encoder, 1, [&] {
    encoder(mask);
    encoder(duration_ms);
    encoder(sequence);
  });
}

void LeaseStat::decode(Decoder& decoder) {
  get_stat(decoder, 2, [&] {
    decoder(mask);
    decoder(duration_ms);
    decoder(sequence);
  });
}

void SnapRealm::encode(Encoder& encoder) const {
  encoder(ino);
  encoder(created);
  encoder(parent);
  encoder(parent_since);
  encoder(sequence);
  encoder(static_cast<std::uint32_t>(snaps.size()));
  encoder(static_cast<std::uint32_t>(prior_parent_snaps.size()));
  for (std::uint64_t snap : snaps) encoder(snap);
  for (std::uint64_t snap : prior_parent_snaps) encoder(snap);
}

void SnapRealm::decode(Decoder& decoder) {
  decoder(ino);
  decoder(created);
  decoder(parent);
  decoder(parent_since);
  decoder(sequence);
  std::uint32_t own = decoder.read<std::uint32_t>(), prior = decoder.read<std::uint32_t>();
  if ((std::uint64_t{own} + prior) * 8 > decoder.remaining()) return decoder.fail();
  for (std::uint32_t i = 0; i < own; ++i) snaps.push_back(decoder.read<std::uint64_t>());
  for (std::uint32_t i = 0; i < prior; ++i) prior_parent_snaps.push_back(decoder.read<std::uint64_t>());
}

void ClientCaps::encode(Encoder& encoder) const {
  encoder(op);
  encoder(ino);
  encoder(realm);
  encoder(cap_id);
  encoder(sequence);
  encoder(issue_sequence);
  encoder(caps);
  encoder(wanted);
  encoder(dirty);
  encoder(migrate_sequence);
  encoder(snap_follows);
  encoder(static_cast<std::uint32_t>(snap_trace.size()));
  encoder(uid);
  encoder(gid);
  encoder(mode);
  encoder(links);
  encoder(static_cast<std::uint32_t>(middle.size()));
  encoder(xattr_version);
  encoder(size);
  encoder(size_max);
  encoder(truncate_size);
  encoder(truncate_sequence);
  encoder(mtime);
  encoder(atime);
  encoder(ctime);
  layout.encode_legacy(encoder);
  encoder(time_warp_sequence);
  encoder.raw(snap_trace);
  encoder(locks);          // version 2
  if (op == Op::import) {  // version 3: a ceph_mds_cap_peer that names no rank
    encoder.zeros(8 + 4 + 4);
    encoder(std::int32_t{-1});
    encoder(std::uint8_t{0});
  }
  encoder(inline_version);  // version 4
  encoder(inline_data);
  encoder(osd_epoch_barrier);  // version 5
  encoder(oldest_flush_tid);   // version 6
  encoder(caller_uid);         // version 7
  encoder(caller_gid);
  encoder(layout.name_space);  // version 8
  encoder(btime);              // version 9
  encoder(change_attribute);
  encoder(flags);  // version 10
  encoder(files);  // version 11
  encoder(subdirs);
}

void ClientCaps::decode(Decoder& decoder) {
  decoder(op);
  decoder(ino);
  decoder(realm);
  decoder(cap_id);
  decoder(sequence);
  decoder(issue_sequence);
  decoder(caps);
  decoder(wanted);
  decoder(dirty);
  decoder(migrate_sequence);
  decoder(snap_follows);
  std::uint32_t snap_trace_size = decoder.read<std::uint32_t>();
  decoder(uid);
  decoder(gid);
  decoder(mode);
  decoder(links);
  decoder.skip(4);  // length of the middle part
  decoder(xattr_version);
  decoder(size);
  decoder(size_max);
  decoder(truncate_size);
  decoder(truncate_sequence);
  decoder(mtime);
  decoder(atime);
  decoder(ctime);
  layout.decode_legacy(decoder);
  decoder(time_warp_sequence);
  snap_trace = decoder.raw(snap_trace_size);
  decoder.since(2, locks);
  if (decoder.version() >= 3 && op == Op::import) decoder.skip(peer_size);
  decoder.since(4, inline_version);
  decoder.since(4, inline_data);
  decoder.since(5, osd_epoch_barrier);
  decoder.since(6, oldest_flush_tid);
  decoder.since(7, caller_uid);
  decoder.since(7, caller_gid);
  decoder.since(8, layout.name_space, 256);
  decoder.since(9, btime);
  decoder.since(9, change_attribute);
  decoder.since(10, flags);
  decoder.since(11, files);
  decoder.since(11, subdirs);
}

void ClientSnap::encode(Encoder& encoder) const {
  encoder(op);
  encoder(split);
  encoder(static_cast<std::uint32_t>(split_inos.size()));
  encoder(static_cast<std::uint32_t>(split_realms.size()));
  encoder(static_cast<std::uint32_t>(trace.size()));
  for (std::uint64_t ino : split_inos) encoder(ino);
  for (std::uint64_t ino : split_realms) encoder(ino);
  encoder.raw(trace);
}

void ClientSnap::decode(Decoder& decoder) {
  decoder(op);
  decoder(split);
  std::uint32_t inos = decoder.read<std::uint32_t>(), splits = decoder.read<std::uint32_t>();
  std::uint32_t trace_size = decoder.read<std::uint32_t>();
  if ((std::uint64_t{inos} + splits) * 8 > decoder.remaining()) return decoder.fail();
  for (std::uint32_t i = 0; i < inos; ++i) split_inos.push_back(decoder.read<std::uint64_t>());
  for (std::uint32_t i = 0; i < splits; ++i) split_realms.push_back(decoder.read<std::uint64_t>());
  trace = decoder.raw(trace_size);
}

namespace {

constexpr std::size_t locks_per_inode_max = 1 << 16;

void put_cap_reconnect(Encoder& encoder, const CapReconnect& cap) {
  encoder.envelope(2, 1, [&] {
    encoder(cap.path);
    encoder(cap.cap_id);
    encoder(cap.wanted);
    encoder(cap.issued);
    encoder(cap.snap_realm);
    encoder(cap.path_base);
    std::size_t at = encoder.reserve_u32(), from = encoder.size();
    encoder(cap.fcntl_locks);
    encoder(cap.flock_locks);
    encoder.patch_u32(at, static_cast<std::uint32_t>(encoder.size() - from));
    encoder(cap.snap_follows);
  });
}

void get_cap_reconnect(Decoder& decoder, CapReconnect& cap) {
  decoder.envelope(2, [&] {
    decoder(cap.path, string_max);
    decoder(cap.cap_id);
    decoder(cap.wanted);
    decoder(cap.issued);
    decoder(cap.snap_realm);
    decoder(cap.path_base);
    std::uint32_t locks_size = decoder.read<std::uint32_t>();
    Decoder locks(decoder.raw(locks_size));
    if (locks.remaining()) {
      locks(cap.fcntl_locks, locks_per_inode_max);
      locks(cap.flock_locks, locks_per_inode_max);
      if (locks.failed()) decoder.fail();
    }
    decoder.since(2, cap.snap_follows);
  });
}

void realm_fields(auto& realm, auto& wire) {
  wire(realm.ino);
  wire(realm.sequence);
  wire(realm.parent);
}

}  // namespace

Result<ClientReconnect> read_reconnect(const Message& message) {
  if (message.version < 3 || message.compat > ClientReconnect::header_version) return Errc::unsupported;
  Decoder decoder(message.data.flatten());
  ClientReconnect reconnect;
  std::uint32_t caps = decoder.read<std::uint32_t>();
  for (; caps > 0 && !decoder.failed(); --caps) {
    CapReconnect cap;
    decoder(cap.ino);
    get_cap_reconnect(decoder, cap);
    reconnect.caps.push_back(std::move(cap));
  }
  if (message.version >= 4) {
    std::uint32_t realms = decoder.read<std::uint32_t>();
    for (; realms > 0 && !decoder.failed(); --realms) {
      ClientReconnect::Realm realm;
      decoder.envelope(1, [&] { realm_fields(realm, decoder); });
      reconnect.realms.push_back(realm);
    }
    if (message.version >= 5) decoder(reconnect.more);
  } else {
    while (decoder.remaining() && !decoder.failed()) {
      ClientReconnect::Realm realm;
      realm_fields(realm, decoder);
      reconnect.realms.push_back(realm);
    }
  }
  TRY(decoder.finish());
  return reconnect;
}

Message make_reconnect(const ClientReconnect& reconnect) {
  Encoder encoder;
  encoder(static_cast<std::uint32_t>(reconnect.caps.size()));
  for (const CapReconnect& cap : reconnect.caps) {
    encoder(cap.ino);
    put_cap_reconnect(encoder, cap);
  }
  encoder(static_cast<std::uint32_t>(reconnect.realms.size()));
  for (const ClientReconnect::Realm& realm : reconnect.realms)
    encoder.envelope(1, 1, [&] { realm_fields(realm, encoder); });
  encoder(reconnect.more);
  Message message;
  message.type = ClientReconnect::message_type;
  message.version = ClientReconnect::header_version;
  message.compat = ClientReconnect::header_compat;
  message.data = BufferList(encoder.take());
  return message;
}

void ClientQuota::encode(Encoder& encoder) const {
  encoder(ino);
  encoder(rctime);
  encoder(rbytes);
  encoder(rfiles);
  encoder(rsubdirs);
  encoder.envelope(1, 1, [&] {
    encoder(quota_bytes);
    encoder(quota_files);
  });
}

void ClientQuota::decode(Decoder& decoder) {
  decoder(ino);
  decoder(rctime);
  decoder(rbytes);
  decoder(rfiles);
  decoder(rsubdirs);
  decoder.envelope(1, [&] {
    decoder(quota_bytes);
    decoder(quota_files);
  });
}

}  // namespace spirula::msg
