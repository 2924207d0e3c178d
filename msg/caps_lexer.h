#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// What the three capability grammars have in common: clauses separated by ';' or ',', words, and words in quotes.
namespace spirula::msg::caps {

/// One clause, read word by word. '=' stands between a name and its value like a blank does, as Ceph allows both.
class Clause {
 public:
  struct Word {
    std::string text;
    bool quoted = false;
    bool after_equals = false;
  };
  explicit Clause(std::vector<Word> words) : words_(std::move(words)) {}

  bool at_end() const { return at_ == words_.size(); }
  const Word* peek() const { return at_end() ? nullptr : &words_[at_]; }
  bool next_is(std::string_view word) const { return !at_end() && !words_[at_].quoted && words_[at_].text == word; }
  /// Goes past `word` if it is next.
  bool skip(std::string_view word) {
    if (!next_is(word)) return false;
    ++at_;
    return true;
  }
  /// The next word, whatever it is. Errc::invalid at the end.
  Result<std::string> take() {
    if (at_end()) return Errc::invalid;
    return words_[at_++].text;
  }

 private:
  std::vector<Word> words_;
  std::size_t at_ = 0;
};

/// Errc::invalid: an open quote, an empty clause, or too long a text.
Result<std::vector<Clause>> split_clauses(std::string_view text);

/// "1.2.3.0/24" or "fd00::/8", as in `network 1.2.3.0/24`.
struct Network {
  bool ipv6 = false;
  std::array<std::uint8_t, 16> address{};
  unsigned prefix = 0;
  static Result<Network> parse(std::string_view text);
  bool contains(bool is_ipv6, const std::array<std::uint8_t, 16>& other) const;
};

}  // namespace spirula::msg::caps
