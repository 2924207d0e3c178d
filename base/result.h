#pragma once
#include <expected>
#include <system_error>
#include <utility>

namespace spirula {

/// Every error our own code tells a caller to act on. One table in result.cc gives each its text and its errno.
enum class Errc {
  ok = 0,
  not_found,        ///< ENOENT
  exists,           ///< EEXIST
  invalid,          ///< EINVAL: the request makes no sense
  malformed,        ///< EBADMSG: bytes that do not decode
  permission,       ///< EPERM
  access,           ///< EACCES: credentials refused
  no_space,         ///< ENOSPC
  quota,            ///< EDQUOT
  io,               ///< EIO: the medium failed or data did not verify
  unsupported,      ///< EOPNOTSUPP: deliberately not offered
  too_large,        ///< E2BIG
  file_too_large,   ///< EFBIG
  name_too_long,    ///< ENAMETOOLONG
  range,            ///< ERANGE: buffer or comparison out of range
  no_data,          ///< ENODATA: no such attribute
  not_empty,        ///< ENOTEMPTY
  not_directory,    ///< ENOTDIR
  is_directory,     ///< EISDIR
  cross_device,     ///< EXDEV
  too_many_links,   ///< EMLINK
  loop,             ///< ELOOP
  stale,            ///< ESTALE
  busy,             ///< EBUSY
  again,            ///< EAGAIN: the same request may succeed later
  timed_out,        ///< ETIMEDOUT
  cancelled,        ///< ECANCELED: the task or service is stopping
  closed,           ///< ENOTCONN: the peer or connection is gone
  refused,          ///< ECONNREFUSED
  blocklisted,      ///< EBLOCKLISTED as Ceph has it: ESHUTDOWN
  read_only,        ///< EROFS
  would_deadlock,   ///< EDEADLK
  overflow,         ///< EOVERFLOW
  stale_epoch,      ///< ESTALE: fetch a newer map, then resend
  outcome_unknown,  ///< EIO: it may have happened; resend by the same id
};

std::error_code make_error_code(Errc code);

}  // namespace spirula

template <>
struct std::is_error_code_enum<spirula::Errc> : std::true_type {};

namespace spirula {

/// A value, or why there is none.
template <class T = void>
class [[nodiscard]] Result : public std::expected<T, std::error_code> {
  using Base = std::expected<T, std::error_code>;

 public:
  using Base::Base;
  Result(Errc code) : Base(std::unexpect, make_error_code(code)) {}
  Result(std::error_code code) : Base(std::unexpect, code) {}
};

template <>
class [[nodiscard]] Result<void> : public std::expected<void, std::error_code> {
  using Base = std::expected<void, std::error_code>;

 public:
  using Base::Base;
  Result(Errc code) : Base(std::unexpect, make_error_code(code)) {}
  Result(std::error_code code) : Base(std::unexpect, code) {}
};

/// The error a failed system call left behind.
std::error_code last_errno();
std::error_code from_errno(int positive_errno);

/// The negative errno a Ceph peer sees for this error; 0 for success.
int to_wire(std::error_code error);
/// And back: the Errc whose errno a peer sent (the first in the table), or that errno itself.
std::error_code from_wire(int negative_errno);

}  // namespace spirula

/// TRY(expression): returns the error to our caller, or goes on.
/// TRY(auto name, expression): the same, and binds the value. CO_TRY is the same inside a coroutine.
#define SPIRULA_CONCAT_(a, b) a##b
#define SPIRULA_CONCAT(a, b) SPIRULA_CONCAT_(a, b)
#define SPIRULA_PICK_(_1, _2, name, ...) name
#define SPIRULA_TRY1_(ret, tmp, expression)           \
  do {                                                \
    if (auto&& tmp = (expression); !tmp) [[unlikely]] \
      ret tmp.error();                                \
  } while (false)
#define SPIRULA_TRY2_(ret, tmp, declaration, expression) \
  auto&& tmp = (expression);                             \
  if (!tmp) [[unlikely]]                                 \
    ret tmp.error();                                     \
  declaration = *std::move(tmp)
#define SPIRULA_TRY1(expression) SPIRULA_TRY1_(return, SPIRULA_CONCAT(try_, __LINE__), expression)
#define SPIRULA_TRY2(declaration, expression) \
  SPIRULA_TRY2_(return, SPIRULA_CONCAT(try_, __LINE__), declaration, expression)
#define SPIRULA_CO_TRY1(expression) SPIRULA_TRY1_(co_return, SPIRULA_CONCAT(try_, __LINE__), expression)
#define SPIRULA_CO_TRY2(declaration, expression) \
  SPIRULA_TRY2_(co_return, SPIRULA_CONCAT(try_, __LINE__), declaration, expression)
#define TRY(...) SPIRULA_PICK_(__VA_ARGS__, SPIRULA_TRY2, SPIRULA_TRY1)(__VA_ARGS__)
#define CO_TRY(...) SPIRULA_PICK_(__VA_ARGS__, SPIRULA_CO_TRY2, SPIRULA_CO_TRY1)(__VA_ARGS__)
