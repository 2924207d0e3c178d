#pragma once
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

/// The types that arguments of commands have. A client checks them too, but only the monitor's word counts.
namespace spirula::mon {

/// One argument of a signature: "name=pg_num,type=CephInt,range=0|65536,req=false". Ceph: the descriptor language of
/// src/mon/MonCommands.h.
struct Parameter {
  std::string name, type;
  bool required = true;
  bool many = false;  ///< a list
  std::vector<std::string> choices, range;
  std::string good_characters;  ///< "[A-Za-z0-9-_.]"; anything if empty
  JsonObject description;       ///< as get_command_descriptions shows it

  explicit Parameter(std::string_view words);
};

/// What a request gives for an argument, as text; or why it is none, in the words that the user shall read. A number
/// may come as text, a list of one bare. Else as the stock monitor: no list where one value belongs, no number for
/// text.
std::expected<std::vector<std::string>, std::string> read_values(const Parameter& parameter, const Json& given);

/// Whether `text` has only the characters of a class like "[A-Za-z0-9-_.]".
bool has_only(std::string_view text, std::string_view character_class);

std::vector<std::string> split(std::string_view text, char separator);

}  // namespace spirula::mon
