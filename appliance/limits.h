#pragma once
#include <chrono>
#include <cstddef>

/// What one appliance daemon takes from the world at most.
namespace spirula::appliance::limits {

inline constexpr std::size_t connections_max = 128;
/// So that one address cannot use up all connections.
inline constexpr std::size_t connections_per_address_max = 32;
inline constexpr std::size_t header_bytes_max = 8 << 10;
inline constexpr std::size_t body_bytes_max = 64 << 10;
inline constexpr std::chrono::seconds handshake_seconds_max{10};
/// From the moment a connection is ready for a request until all of it has come: who sends a byte a second, or nothing,
/// is gone after this.
inline constexpr std::chrono::seconds request_seconds_max{15};
inline constexpr std::chrono::seconds response_seconds_max{30};
/// What is still taken from a client whose request was refused, so that it sees why.
inline constexpr std::size_t drain_bytes_max = 1 << 20;
inline constexpr std::chrono::seconds drain_seconds_max{2};
/// A stream of events says at least a comment so often, which is also how a lost listener is noticed.
inline constexpr std::chrono::seconds event_seconds_max{15};

inline constexpr std::size_t sessions_max = 64;
inline constexpr std::chrono::minutes session_idle_max{30};
inline constexpr std::chrono::hours session_age_max{24};
inline constexpr std::size_t accounts_max = 32;
inline constexpr std::size_t recovery_codes = 10;
inline constexpr std::size_t password_bytes_min = 10, password_bytes_max = 256;
/// Wrong passwords: the first costs a second, each further one twice as much, up to this.
inline constexpr std::chrono::seconds guess_delay_max{300};
/// The same over all addresses together: enough to make guessing from many addresses hopeless, little enough that
/// nobody can keep the owner out.
inline constexpr std::chrono::seconds guess_delay_any_address_max{10};
inline constexpr std::size_t guessing_addresses_max = 4096, trusted_addresses_max = 256;

/// How long a new address or certificate is tried out before all is as it was.
inline constexpr std::chrono::seconds trial_seconds{60};
/// For the answer to who asked, and for the page to load what it then shows: where the new address is.
inline constexpr std::chrono::seconds address_changes_after{2};

inline constexpr std::size_t jobs_kept_max = 50;
inline constexpr std::size_t document_bytes_max = 4 << 20;
inline constexpr std::size_t shares_max = 500;
inline constexpr std::size_t disks_max = 64;
inline constexpr unsigned copies_max = 3;
inline constexpr std::size_t tool_output_bytes_max = 1 << 20;

}  // namespace spirula::appliance::limits
