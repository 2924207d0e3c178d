#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "filestore/inspector.h"
#include "filestore/object_store.h"

/// A look into a store that no daemon has open. Only mkfs writes.
namespace spirula::filestore {
namespace {

constexpr char usage[] =
    "usage: filestore-tool COMMAND PATH [OPTION...]\n"
    "  mkfs PATH --journal DEVICE --owner NAME --fsid FSID [--journal-size BYTES] [--force]\n"
    "                      make a store; with a size, DEVICE may be a file to be made\n"
    "  info PATH [--journal DEVICE]\n"
    "  list PATH           collections and objects, in store order\n"
    "  dump PATH NAME [--data]\n"
    "                      every object of that name: attributes, omap, digest; or its data, raw\n"
    "  digest PATH         a digest of each object's data, without reading them\n"
    "  fsck PATH [--quick] hold the index against the files; --quick reads no data\n"
    "options: --snapshot SEQUENCE looks at that commit point instead of the newest\n";

std::string printable(std::string_view text) {
  std::string shown;
  for (unsigned char c : text)
    shown += c >= 0x20 && c < 0x7f && c != '\\' ? std::string(1, c) : fmt::format("\\x{:02x}", c);
  return shown;
}

struct Arguments {
  std::vector<std::string> words;
  std::map<std::string, std::string> options;
};

Result<> mkfs(const Arguments& a) {
  FilestoreOptions options;
  options.path = a.words[1];
  auto at = [&](const char* name) { return a.options.contains(name) ? a.options.at(name) : std::string(); };
  options.journal = at("journal");
  FilestoreFormat format;
  format.owner = at("owner");
  format.cluster_fsid = at("fsid");
  format.force = a.options.contains("force");
  format.journal_file_bytes = std::strtoull(at("journal-size").c_str(), nullptr, 10);
  if (options.journal.empty() || format.owner.empty() || format.cluster_fsid.empty()) return Errc::invalid;
  return make_filestore(options, format);
}

Result<> info(Inspector& store, const Arguments& a) {
  const CommitPoint& point = store.commit_point();
  fmt::print("store         {}\nowner         {}\ncluster       {}\n", describe(store.superblock().store),
             store.superblock().owner, store.superblock().cluster_fsid);
  fmt::print("snapshots    ");
  for (std::uint64_t each : store.snapshots()) fmt::print(" {}", each);
  fmt::print("\nsequence      {}\njournal       lap {}, offset {}\nobjects       {}\n", point.position.sequence,
             point.position.lap, point.position.offset, point.object_count);
  TRY(auto all, store.collections());
  fmt::print("collections   {}\n", all.size());
  if (a.options.contains("journal")) {
    TRY(std::uint64_t records, store.journal_records(a.options.at("journal")));
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

Result<> dump(Inspector& store, const Arguments& a) {
  if (a.words.size() < 3) return Errc::invalid;
  Result<> result = Errc::not_found;
  TRY(store.objects([&](const Inspector::Entry& entry) {
    if (entry.id.name != a.words[2]) return true;
    result = [&]() -> Result<> {
      if (a.options.contains("data")) {
        TRY(Buffer bytes, store.data(entry));
        std::fwrite(bytes.data(), 1, bytes.size(), stdout);
        return {};
      }
      TRY(std::uint32_t digest, store.digest(entry));
      fmt::print("{} size {} digest {:08x}\n", entry.id.describe(), entry.onode.size, digest);
      for (const auto& [name, value] : entry.onode.attributes)
        fmt::print("  attribute {} = {}\n", printable(name), to_hex(value.view()));
      TRY(auto omap, store.omap(entry));
      for (const auto& [name, value] : omap) fmt::print("  omap {} = {}\n", printable(name), to_hex(value.view()));
      return {};
    }();
    return result.has_value();
  }));
  return result;
}

Result<> digest(Inspector& store) {
  Result<> result;
  TRY(store.objects([&](const Inspector::Entry& entry) {
    auto value = store.digest(entry);
    if (!value) result = value.error();
    if (value) fmt::print("{:08x} {}\n", *value, entry.id.describe());
    return value.has_value();
  }));
  return result;
}

Result<> fsck(Inspector& store, const Arguments& a) {
  TRY(auto problems, store.check(!a.options.contains("quick")));
  for (const std::string& each : problems) fmt::print("{}\n", each);
  fmt::print("{} objects, {} problems\n", store.commit_point().object_count, problems.size());
  if (!problems.empty()) return Errc::io;
  return {};
}

Result<> run(const Arguments& a) {
  const std::string& command = a.words[0];
  if (command == "mkfs") return mkfs(a);
  std::optional<std::uint64_t> sequence;
  if (a.options.contains("snapshot")) sequence = std::strtoull(a.options.at("snapshot").c_str(), nullptr, 10);
  TRY(auto store, Inspector::open(a.words[1], sequence));
  if (command == "info") return info(*store, a);
  if (command == "list") return list(*store);
  if (command == "dump") return dump(*store, a);
  if (command == "digest") return digest(*store);
  if (command == "fsck") return fsck(*store, a);
  return Errc::invalid;
}

}  // namespace
}  // namespace spirula::filestore

int main(int count, char** values) {
  spirula::filestore::Arguments arguments;
  for (int i = 1; i < count; ++i) {
    std::string word = values[i];
    if (!word.starts_with("--")) {
      arguments.words.push_back(std::move(word));
      continue;
    }
    word.erase(0, 2);
    bool flag = word == "force" || word == "quick" || word == "data";
    if (!flag && i + 1 == count) arguments.words.clear();
    arguments.options[word] = flag || i + 1 == count ? "" : values[++i];
  }
  if (arguments.words.size() < 2) {
    std::fputs(spirula::filestore::usage, stderr);
    return 2;
  }
  auto result = spirula::filestore::run(arguments);
  if (result) return 0;
  fmt::print(stderr, "filestore-tool: {}: {}\n", arguments.words[1], result.error().message());
  return 1;
}
