#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "base/shard.h"
#include "filestore/blank.h"
#include "filestore/btrfs.h"
#include "filestore/error.h"
#include "filestore/inspector.h"
#include "filestore/object_file.h"
#include "filestore/object_store.h"
#include "filestore/rebuild.h"

/// A look into a store that no daemon has open. mkfs, import and rebuild-index write; nothing else does.
namespace spirula::filestore {
namespace {

constexpr char usage[] =
    "usage: filestore-tool COMMAND PATH [OPTION...]\n"
    "read only:\n"
    "  info PATH [--journal DEVICE]      the store, its snapshots, and what is to be replayed\n"
    "  list PATH                         collections and objects, in store order\n"
    "  dump PATH OBJECT [--data]         attributes, omap, digest; or the data, raw\n"
    "  digest PATH [OBJECT]              a digest of each object's data, without reading them\n"
    "  fsck PATH [--quick]               hold the index against the files; --quick reads no data\n"
    "  export PATH OBJECT FILE           all there is of an object, as a file (- is stdout)\n"
    "writing:\n"
    "  mkfs PATH --journal DEVICE --owner NAME --fsid FSID [--integrity index|btrfs] [--force]\n"
    "       [--journal-size BYTES]       make a store; with a size, the journal may be a file to be made\n"
    "       [--mount DIRECTORY]          PATH is a block device: make a btrfs on it, mounted there, and the store\n"
    "  import PATH FILE --journal DEVICE [--force]\n"
    "                                    put an exported object back (- is stdin); --force replaces what is there\n"
    "  rebuild-index PATH --journal DEVICE [--bits N] [--force]\n"
    "                                    a new index from the names that data files carry; --force: though the old "
    "one\n"
    "                                    can be read\n"
    "PATH is where the store's btrfs is mounted. OBJECT is a name, or a line's first word as list prints it.\n"
    "--snapshot SEQUENCE looks at that commit point instead of the newest.\n";

/// Options, and whether each has a value.
const std::map<std::string, bool> known_options = {{"journal", true},   {"owner", true},        {"fsid", true},
                                                   {"integrity", true}, {"journal-size", true}, {"mount", true},
                                                   {"bits", true},      {"snapshot", true},     {"data", false},
                                                   {"quick", false},    {"force", false}};

struct Arguments {
  std::vector<std::string> words;
  std::map<std::string, std::string> options;

  bool has(const char* name) const { return options.contains(name); }
  std::string at(const char* name) const { return has(name) ? options.at(name) : std::string(); }
  /// Errc::invalid: not a number.
  Result<std::uint64_t> number(const char* name, std::uint64_t otherwise) const {
    if (!has(name)) return otherwise;
    const std::string& text = options.at(name);
    std::uint64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return Errc::invalid;
    return value;
  }
};

std::string printable(std::string_view text) {
  std::string shown;
  for (unsigned char c : text)
    shown += c >= 0x20 && c < 0x7f && c != '\\' ? std::string(1, c) : fmt::format("\\x{:02x}", c);
  return shown;
}

// --- read only

Result<> info(Inspector& store, const Arguments& a) {
  const CommitPoint& point = store.commit_point();
  const StoreSuperblock& superblock = store.superblock();
  fmt::print("store         {}\nowner         {}\ncluster       {}\nintegrity     {}\n", describe(superblock.store),
             superblock.owner, superblock.cluster_fsid, to_text(superblock.integrity));
  fmt::print("snapshots    ");
  for (std::uint64_t each : store.snapshots()) fmt::print(" {}", each);
  fmt::print("\nsequence      {}\njournal       lap {}, offset {}\nobjects       {}\n", point.position.sequence,
             point.position.lap, point.position.offset, point.object_count);
  TRY(auto all, store.collections());
  fmt::print("collections   {}\n", all.size());
  if (a.has("journal")) {
    TRY(std::uint64_t records, store.journal_records(a.at("journal")));
    fmt::print("to replay     {}\n", records);
  }
  return {};
}

Result<> list(Inspector& store) {
  TRY(auto all, store.collections());
  for (const auto& each : all) fmt::print("collection {} bits {}\n", each.id.describe(), each.bits);
  return store.objects([](const Inspector::Entry& entry) {
    fmt::print("{} size {} id {:x} {}\n", entry.id.describe(), entry.onode.size, entry.onode.id,
               entry.onode.has_file     ? "file"
               : entry.onode.has_inline ? "inline"
                                        : "empty");
    return true;
  });
}

/// The objects of that name or description. Errc::not_found: none.
Result<std::vector<Inspector::Entry>> find(Inspector& store, const std::string& name) {
  std::vector<Inspector::Entry> found;
  TRY(store.objects([&](const Inspector::Entry& entry) {
    if (entry.id.name == name || entry.id.describe() == name) found.push_back(entry);
    return true;
  }));
  if (found.empty()) return Errc::not_found;
  return found;
}

/// The one object. Errc::invalid: several have the name.
Result<Inspector::Entry> find_one(Inspector& store, const std::string& name) {
  TRY(auto found, find(store, name));
  if (found.size() == 1) return found.front();
  for (const auto& each : found) fmt::print(stderr, "{}\n", each.id.describe());
  return Errc::invalid;
}

Result<> dump_data(Inspector& store, const Inspector::Entry& entry) {
  std::uint64_t at = 0;
  auto put = [&](ByteView bytes) -> Result<> {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) return Errc::io;
    at += bytes.size();
    return {};
  };
  static const Buffer zeros = Buffer::zeros(1 << 20);
  auto skip_to = [&](std::uint64_t offset) -> Result<> {
    while (at < offset) TRY(put(zeros.view().first(std::min<std::uint64_t>(zeros.size(), offset - at))));
    return {};
  };
  TRY(store.data(entry, [&](std::uint64_t offset, ByteView bytes) -> Result<> {
    TRY(skip_to(offset));
    return put(bytes);
  }));
  return skip_to(entry.onode.size);
}

Result<> dump(Inspector& store, const Arguments& a) {
  if (a.words.size() < 3) return Errc::invalid;
  if (a.has("data")) {
    TRY(auto entry, find_one(store, a.words[2]));
    return dump_data(store, entry);
  }
  TRY(auto found, find(store, a.words[2]));
  for (const auto& entry : found) {
    TRY(std::uint32_t digest, store.digest(entry));
    fmt::print("{} size {} digest {:08x}\n", entry.id.describe(), entry.onode.size, digest);
    for (const auto& [name, value] : entry.onode.attributes)
      fmt::print("  attribute {} = {}\n", printable(name), to_hex(value.view()));
    if (entry.onode.has_header) {
      TRY(Buffer header, store.omap_header(entry));
      fmt::print("  omap header = {}\n", to_hex(header.view()));
    }
    TRY(store.omap(entry, [](std::string_view name, std::string_view value) -> Result<> {
      fmt::print("  omap {} = {}\n", printable(name), to_hex(as_bytes(value)));
      return {};
    }));
  }
  return {};
}

Result<> digest(Inspector& store, const Arguments& a) {
  Result<> result;
  TRY(store.objects([&](const Inspector::Entry& entry) {
    if (a.words.size() > 2 && entry.id.name != a.words[2] && entry.id.describe() != a.words[2]) return true;
    auto value = store.digest(entry);
    if (value) {
      fmt::print("{:08x} {}\n", *value, entry.id.describe());
    } else {
      result = value.error();
      fmt::print("-------- {}: {}\n", entry.id.describe(), value.error().message());
    }
    return true;
  }));
  return result;
}

Result<> fsck(Inspector& store, const Arguments& a) {
  TRY(auto problems, store.check(!a.has("quick")));
  for (const std::string& each : problems) fmt::print("{}\n", each);
  fmt::print("{} objects, {} problems\n", store.commit_point().object_count, problems.size());
  if (!problems.empty()) return Errc::io;
  return {};
}

Result<> export_to(Inspector& store, const Arguments& a) {
  if (a.words.size() < 4) return Errc::invalid;
  TRY(auto entry, find_one(store, a.words[2]));
  if (a.words[3] == "-") return export_object(store, entry, STDOUT_FILENO);
  FileDescriptor fd(::open(a.words[3].c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return last_errno();
  Result<> done = export_object(store, entry, fd.get());
  if (!done) ::unlink(a.words[3].c_str());
  return done;
}

// --- writing

Result<> mkfs(const Arguments& a) {
  FilestoreOptions options;
  options.path = a.words[1];
  options.journal = a.at("journal");
  FilestoreFormat format;
  format.owner = a.at("owner");
  format.cluster_fsid = a.at("fsid");
  format.force = a.has("force");
  TRY(format.journal_file_bytes, a.number("journal-size", 0));
  if (options.journal.empty() || format.owner.empty() || format.cluster_fsid.empty()) return Errc::invalid;
  if (a.has("integrity")) {
    if (a.at("integrity") != "index" && a.at("integrity") != "btrfs") return Errc::invalid;
    if (a.at("integrity") == "btrfs") format.integrity = Integrity::btrfs_checksums;
  }
  if (a.has("mount")) {
    if (!format.force) TRY(require_blank(options.path));
    TRY(btrfs::make(options.path));
    TRY(btrfs::mount(options.path, a.at("mount")));
    options.path = a.at("mount");
  }
  return make_filestore(options, format);
}

Result<> import_from(const Arguments& a) {
  if (a.words.size() < 3 || !a.has("journal")) return Errc::invalid;
  FileDescriptor fd(a.words[2] == "-" ? ::dup(STDIN_FILENO) : ::open(a.words[2].c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return last_errno();
  FilestoreOptions options;
  options.path = a.words[1];
  options.journal = a.at("journal");
  TRY(auto store, open_filestore(options));
  Result<ObjectId> imported = Errc::io;
  run_main([&](Shard&) -> Task<int> {
    imported = co_await import_object(*store, fd.get(), a.has("force"));
    co_await store->stop();
    co_return 0;
  });
  TRY(imported);
  fmt::print("{}\n", imported->describe());
  return {};
}

Result<> rebuild(const Arguments& a) {
  if (!a.has("journal")) return Errc::invalid;
  FilestoreOptions options;
  options.path = a.words[1];
  options.journal = a.at("journal");
  RebuildOptions how;
  TRY(std::uint64_t bits, a.number("bits", 0));
  if (bits > 32) return Errc::invalid;
  how.collection_bits = static_cast<unsigned>(bits);
  how.force = a.has("force");
  TRY(RebuildReport report, rebuild_index(options, how));
  for (const std::string& each : report.notes) fmt::print("{}\n", each);
  fmt::print("{} objects in {} collections, from snapshot {}, as snapshot {}\n", report.objects, report.collections,
             report.from, report.sequence);
  return {};
}

Result<> run(const Arguments& a) {
  const std::string& command = a.words[0];
  if (command == "mkfs") return mkfs(a);
  if (command == "import") return import_from(a);
  if (command == "rebuild-index") return rebuild(a);
  static const std::set<std::string> looks = {"info", "list", "dump", "digest", "fsck", "export"};
  if (!looks.contains(command)) return Errc::invalid;
  std::optional<std::uint64_t> sequence;
  if (a.has("snapshot")) {
    TRY(sequence, a.number("snapshot", 0));
  }
  TRY(auto store, Inspector::open(a.words[1], sequence));
  if (command == "info") return info(*store, a);
  if (command == "list") return list(*store);
  if (command == "dump") return dump(*store, a);
  if (command == "digest") return digest(*store, a);
  if (command == "export") return export_to(*store, a);
  return fsck(*store, a);
}

}  // namespace
}  // namespace spirula::filestore

int main(int count, char** values) {
  using namespace spirula::filestore;
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    std::string word = values[i];
    if (!word.starts_with("--")) {
      arguments.words.push_back(std::move(word));
      continue;
    }
    word.erase(0, 2);
    auto option = known_options.find(word);
    if (option == known_options.end() || (option->second && i + 1 == count)) {
      std::fputs(usage, stderr);
      return 2;
    }
    arguments.options[word] = option->second ? values[++i] : "";
  }
  if (arguments.words.size() < 2) {
    std::fputs(usage, stderr);
    return 2;
  }
  auto result = run(arguments);
  if (result) return 0;
  fmt::print(stderr, "filestore-tool: {} {}: {}\n", arguments.words[0], arguments.words[1], result.error().message());
  return 1;
}
