#pragma once
#include <optional>
#include <string>
#include <vector>

#include "mds/records.h"

/// The unit of the journal: everything that changed since the batch before, as it is now. A batch is durable as a whole
/// or not at all, so replaying is applying the batches in order, and applying one twice changes nothing.
namespace spirula::mds {

/// A name and what it stands for; no value: the name is gone. The record stays encoded, as it goes to the directory's
/// omap.
struct DentryUpdate {
  Location at;
  std::optional<Buffer> record;  ///< an encoded DentryRecord
  bool placed = false;           ///< its inode is new or has come from another name: its backtrace is out of date
  static void fields(auto& self, auto& wire) {
    wire(self.at);
    wire(self.record);
    wire(self.placed);
  }
};

/// A client that has a session.
struct SessionInfo {
  static constexpr std::uint8_t version = 1, compat = 1;
  ClientId client;
  std::string name;  ///< client.admin
  msg::AddressVector address;
  std::map<std::string, std::string> metadata;
  std::uint64_t features = 0;
  std::string caps;  ///< what its key allows
  static void fields(auto& self, auto& wire) {
    wire(self.client);
    wire(self.name, 256);
    wire(self.address);
    wire(self.metadata, 1024);
    wire(self.features);
    wire(self.caps);
  }
};

/// What a session has had done and not yet told us to forget: request ids with the inode they made (or 0), and flushes.
struct SessionProgress {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::map<std::uint64_t, Ino> requests;
  std::set<std::uint64_t> flushes;
  static void fields(auto& self, auto& wire) {
    wire(self.requests, limits::session_completed_stored_max);
    wire(self.flushes, limits::session_completed_stored_max);
  }
};

struct SessionRecord {
  static constexpr std::uint8_t version = 1, compat = 1;
  SessionInfo info;
  SessionProgress progress;
  static void fields(auto& self, auto& wire) {
    wire(self.info);
    wire(self.progress);
  }
};

/// What became of sessions in a batch, in order.
struct SessionUpdate {
  static constexpr std::uint8_t version = 1, compat = 1;
  enum class Kind : std::uint8_t { opened = 1, closed, request_done, flush_done, forget_requests, forget_flushes };
  Kind kind = Kind::opened;
  ClientId client;
  std::uint64_t tid = 0;            ///< done; or below which all may be forgotten
  Ino made;                         ///< request_done: the inode it made
  std::optional<SessionInfo> info;  ///< opened
  static void fields(auto& self, auto& wire) {
    wire(self.kind);
    wire(self.client);
    wire(self.tid);
    wire(self.made);
    wire(self.info);
  }
};

struct Batch {
  static constexpr std::uint8_t version = 1, compat = 1;
  BatchId id;
  Ino next_ino;  ///< numbers from here on are free
  std::vector<DentryUpdate> dentries;
  std::vector<SessionUpdate> sessions;
  static void fields(auto& self, auto& wire) {
    wire(self.id);
    wire(self.next_ino);
    wire(self.dentries);
    wire(self.sessions);
  }
};

}  // namespace spirula::mds
