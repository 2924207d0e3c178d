#include "filestore/tool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
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

class Tool {
 public:
  Tool(std::FILE* out, std::FILE* error) : out_(out), error_(error) {}
  Result<> run(const Arguments& a);

 private:
  Result<> info(Inspector& store, const Arguments& a);
  Result<> list(Inspector& store);
  Result<std::vector<Inspector::Entry>> find(Inspector& store, const std::string& name);
  Result<Inspector::Entry> find_one(Inspector& store, const std::string& name);
  Result<> dump_data(Inspector& store, const Inspector::Entry& entry);
  Result<> dump(Inspector& store, const Arguments& a);
  Result<> digest(Inspector& store, const Arguments& a);
  Result<> fsck(Inspector& store, const Arguments& a);
  Result<> export_to(Inspector& store, const Arguments& a);
  Result<> mkfs(const Arguments& a);
  Result<> import_from(const Arguments& a);
  Result<> rebuild(const Arguments& a);

  std::FILE* out_;
  std::FILE* error_;
};

// --- read only

Result<> Tool::info(Inspector& store, const Arguments& a) {
  const CommitPoint& point = store.commit_point();
  const StoreSuperblock& superblock = store.superblock();
  fmt::print(out_, "store         {}\nowner         {}\ncluster       {}\nintegrity     {}\n",
             describe(superblock.store), superblock.owner, superblock.cluster_fsid, to_text(superblock.integrity));
  fmt::print(out_, "snapshots    ");
  for (std::uint64_t each : store.snapshots()) fmt::print(out_, " {}", each);
  fmt::print(out_, "\nsequence      {}\njournal       lap {}, offset {}\nobjects       {}\n", point.position.sequence,
             point.position.lap, point.position.offset, point.object_count);
  TRY(auto all, store.collections());
  fmt::print(out_, "collections   {}\n", all.size());
  if (a.has("journal")) {
    TRY(std::uint64_t records, store.journal_records(a.at("journal")));
    fmt::print(out_, "to replay     {}\n", records);
  }
  return {};
}

Result<> Tool::list(Inspector& store) {
  TRY(auto all, store.collections());
  for (const auto& each : all) fmt::print(out_, "collection {} bits {}\n", each.id.describe(), each.bits);
  return store.objects([this](const Inspector::Entry& entry) {
    fmt::print(out_, "{} size {} id {:x} {}\n", entry.id.describe(), entry.onode.size, entry.onode.id,
               entry.onode.in_slab      ? "slot"
               : entry.onode.has_file   ? "file"
               : entry.onode.has_inline ? "inline"
                                        : "empty");
    return true;
  });
}

/// The objects of that name or description. Errc::not_found: none.
Result<std::vector<Inspector::Entry>> Tool::find(Inspector& store, const std::string& name) {
  std::vector<Inspector::Entry> found;
  TRY(store.objects([&](const Inspector::Entry& entry) {
    if (entry.id.name == name || entry.id.describe() == name) found.push_back(entry);
    return true;
  }));
  if (found.empty()) return Errc::not_found;
  return found;
}

/// The one object. Errc::invalid: several have the name.
Result<Inspector::Entry> Tool::find_one(Inspector& store, const std::string& name) {
  TRY(auto found, find(store, name));
  if (found.size() == 1) return found.front();
  for (const auto& each : found) fmt::print(error_, "{}\n", each.id.describe());
  return Errc::invalid;
}

Result<> Tool::dump_data(Inspector& store, const Inspector::Entry& entry) {
  std::uint64_t at = 0;
  auto put = [&](ByteView bytes) -> Result<> {
    if (std::fwrite(bytes.data(), 1, bytes.size(), out_) != bytes.size()) return Errc::io;
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

Result<> Tool::dump(Inspector& store, const Arguments& a) {
  if (a.words.size() < 3) return Errc::invalid;
  if (a.has("data")) {
    TRY(auto entry, find_one(store, a.words[2]));
    return dump_data(store, entry);
  }
  TRY(auto found, find(store, a.words[2]));
  for (const auto& entry : found) {
    TRY(std::uint32_t digest, store.digest(entry));
    fmt::print(out_, "{} size {} digest {:08x}\n", entry.id.describe(), entry.onode.size, digest);
    for (const auto& [name, value] : entry.onode.attributes)
      fmt::print(out_, "  attribute {} = {}\n", printable(name), to_hex(value.view()));
    if (entry.onode.has_header) {
      TRY(Buffer header, store.omap_header(entry));
      fmt::print(out_, "  omap header = {}\n", to_hex(header.view()));
    }
    TRY(store.omap(entry, [this](std::string_view name, std::string_view value) -> Result<> {
      fmt::print(out_, "  omap {} = {}\n", printable(name), to_hex(as_bytes(value)));
      return {};
    }));
  }
  return {};
}

Result<> Tool::digest(Inspector& store, const Arguments& a) {
  Result<> result;
  TRY(store.objects([&](const Inspector::Entry& entry) {
    if (a.words.size() > 2 && entry.id.name != a.words[2] && entry.id.describe() != a.words[2]) return true;
    auto value = store.digest(entry);
    if (value) {
      fmt::print(out_, "{:08x} {}\n", *value, entry.id.describe());
    } else {
      result = value.error();
      fmt::print(out_, "-------- {}: {}\n", entry.id.describe(), value.error().message());
    }
    return true;
  }));
  return result;
}

Result<> Tool::fsck(Inspector& store, const Arguments& a) {
  TRY(auto problems, store.check(!a.has("quick")));
  for (const std::string& each : problems) fmt::print(out_, "{}\n", each);
  fmt::print(out_, "{} objects, {} problems\n", store.commit_point().object_count, problems.size());
  if (!problems.empty()) return Errc::io;
  return {};
}

Result<> Tool::export_to(Inspector& store, const Arguments& a) {
  if (a.words.size() < 4) return Errc::invalid;
  TRY(auto entry, find_one(store, a.words[2]));
  if (a.words[3] == "-") return export_object(store, entry, ::fileno(out_));
  FileDescriptor fd(::open(a.words[3].c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return last_errno();
  Result<> done = export_object(store, entry, fd.get());
  if (!done) ::unlink(a.words[3].c_str());
  return done;
}

// --- writing

Result<> Tool::mkfs(const Arguments& a) {
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
    TRY(format.integrity, integrity_from_text(a.at("integrity")));
  }
  if (!a.has("mount")) return make_filestore(options, format);
  if (!format.force) {
    TRY(require_blank(options.path));
    Result<> journal = require_blank(options.journal);
    if (!journal && !(is(journal.error(), Errc::not_found) && format.journal_file_bytes)) return journal;
  }
  TRY(btrfs::make(options.path));
  options.path = a.at("mount");
  TRY(btrfs::mount(a.words[1], options.path));
  Result<> made = make_filestore(options, format);
  if (!made) ::umount(options.path.c_str());
  return made;
}

Result<> Tool::import_from(const Arguments& a) {
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
  fmt::print(out_, "{}\n", imported->describe());
  return {};
}

Result<> Tool::rebuild(const Arguments& a) {
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
  for (const std::string& each : report.notes) fmt::print(out_, "{}\n", each);
  fmt::print(out_, "{} objects in {} collections, from snapshot {}, as snapshot {}\n", report.objects,
             report.collections, report.from, report.sequence);
  return {};
}

Result<> Tool::run(const Arguments& a) {
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

int run_tool(const std::vector<std::string>& words, std::FILE* out, std::FILE* error) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) {
      arguments.words.push_back(words[i]);
      continue;
    }
    std::string name = words[i].substr(2);
    auto option = known_options.find(name);
    if (option == known_options.end() || (option->second && i + 1 == words.size())) {
      std::fputs(usage, error);
      return 2;
    }
    arguments.options[name] = option->second ? words[++i] : "";
  }
  if (arguments.words.size() < 2) {
    std::fputs(usage, error);
    return 2;
  }
  auto result = Tool(out, error).run(arguments);
  std::fflush(out);
  if (result) return 0;
  fmt::print(error, "filestore-tool: {} {}: {}\n", arguments.words[0], arguments.words[1], result.error().message());
  return 1;
}

}  // namespace spirula::filestore
