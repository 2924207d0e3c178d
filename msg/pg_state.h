#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spirula::msg {

/// "active+clean": the bits of a PG's state (pg_state) as Ceph writes them; "unknown" for none.
std::string describe_pg_state(std::uint64_t state);
/// The bit of one name ("clean"); nothing if there is none of that name.
std::optional<std::uint64_t> pg_state_by_name(std::string_view name);

}  // namespace spirula::msg
