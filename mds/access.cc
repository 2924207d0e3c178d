#include "mds/access.h"

#include <algorithm>
#include <charconv>

namespace spirula::mds {

namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  for (char c : text) {
    if (quote) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == ' ' || c == '\t') {
      if (!word.empty()) words.push_back(std::move(word));
      word.clear();
    } else {
      word += c;
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

}  // namespace

Result<Access> Access::parse(std::string_view caps) {
  Access access;
  while (!caps.empty()) {
    std::size_t end = std::min(caps.find_first_of(",;"), caps.size());
    std::vector<std::string> words = words_of(caps.substr(0, end));
    caps.remove_prefix(std::min(end + 1, caps.size()));
    if (words.empty()) continue;
    if (words[0] != "allow") return Errc::invalid;
    Grant grant;
    for (std::size_t i = 1; i < words.size(); ++i) {
      const std::string& word = words[i];
      auto value = [&](std::string_view key) -> const char* {
        return word.starts_with(key) ? word.c_str() + key.size() : nullptr;
      };
      if (word == "*" || word == "all") {
        grant.read = grant.write = grant.layout = true;
      } else if (const char* path = value("path=")) {
        grant.path = path;
        while (grant.path.ends_with('/')) grant.path.pop_back();
        if (!grant.path.empty() && grant.path[0] != '/') grant.path.insert(0, "/");
      } else if (const char* uid = value("uid=")) {
        auto [rest, error] = std::from_chars(uid, word.data() + word.size(), grant.uid);
        if (error != std::errc{} || *rest) return Errc::invalid;
      } else if (value("gids=")) {
        continue;  // groups only widen what a uid may do
      } else if (word == "root_squash") {
        grant.squash_root = true;
      } else if (value("fsname=")) {
        continue;  // the monitor shows each client only the file systems it may use
      } else if (word.find_first_not_of("rwxps") == std::string::npos) {
        grant.read = word.find('r') != std::string::npos;
        grant.write = word.find('w') != std::string::npos;
        grant.layout = word.find('p') != std::string::npos;
      } else {
        return Errc::invalid;
      }
    }
    access.grants_.push_back(std::move(grant));
  }
  return access;
}

bool Access::everywhere() const {
  return std::ranges::any_of(grants_, [](const Grant& grant) {
    return grant.path.empty() && grant.uid < 0 && !grant.squash_root && grant.read && grant.write && grant.layout;
  });
}

bool Access::allows(std::string_view path, std::uint32_t uid, Right right) const {
  return std::ranges::any_of(grants_, [&](const Grant& grant) {
    if (!grant.path.empty() && path != grant.path && !path.starts_with(grant.path + "/")) return false;
    if (grant.uid >= 0 && static_cast<std::uint64_t>(grant.uid) != uid) return false;
    if (right == Right::read) return grant.read;
    if (grant.squash_root && uid == 0) return false;
    return right == Right::write ? grant.write : grant.layout;
  });
}

}  // namespace spirula::mds
