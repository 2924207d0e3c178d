#pragma once
#include <fmt/format.h>

#include <string>

#include "crush/tree.h"
#include "mon/command_arguments.h"
#include "mon/osd_edit.h"

/// What the commands about the CRUSH map share.
namespace spirula::mon {

inline const crush::CrushMap& crush_of(const CommandCall& call) {
  return *call.state.osd().map().crush;
}

/// What both trees, of CRUSH and of OSDs, say of a node; its children come behind.
JsonObject dump_tree_node(const crush::TreeNode& node);

/// Ends an edit: refuses in words, or drafts the edited map.
template <class T>
CommandResult finish(const CommandCall& call, Draft& draft, const Result<T>& edited, const crush::CrushMap& map,
                     std::string said, std::string refused) {
  if (!edited) return CommandResult::fail(edited.error(), fmt::format("{}: {}", refused, edited.error().message()));
  auto drafted = draft_crush(draft, map, call.around.now);
  if (!drafted) return CommandResult::fail(drafted.error(), drafted.error().message());
  return CommandResult::say(std::move(said));
}

}  // namespace spirula::mon
