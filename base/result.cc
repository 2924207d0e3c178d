#include "base/result.h"

#include <array>
#include <cerrno>
#include <string>

namespace spirula {
namespace {

struct Row {
  Errc code;
  int number;
  const char* text;
};

constexpr std::array table{
    Row{Errc::ok, 0, "success"},
    Row{Errc::not_found, ENOENT, "not found"},
    Row{Errc::exists, EEXIST, "already exists"},
    Row{Errc::invalid, EINVAL, "invalid request"},
    Row{Errc::malformed, EBADMSG, "malformed data"},
    Row{Errc::permission, EPERM, "operation not permitted"},
    Row{Errc::access, EACCES, "access denied"},
    Row{Errc::no_space, ENOSPC, "no space left"},
    Row{Errc::quota, EDQUOT, "quota exceeded"},
    Row{Errc::io, EIO, "input/output error"},
    Row{Errc::unsupported, EOPNOTSUPP, "operation not supported"},
    Row{Errc::too_large, E2BIG, "argument too large"},
    Row{Errc::file_too_large, EFBIG, "file too large"},
    Row{Errc::name_too_long, ENAMETOOLONG, "name too long"},
    Row{Errc::range, ERANGE, "out of range"},
    Row{Errc::no_data, ENODATA, "no data available"},
    Row{Errc::not_empty, ENOTEMPTY, "directory not empty"},
    Row{Errc::not_directory, ENOTDIR, "not a directory"},
    Row{Errc::is_directory, EISDIR, "is a directory"},
    Row{Errc::cross_device, EXDEV, "cross-device link"},
    Row{Errc::too_many_links, EMLINK, "too many links"},
    Row{Errc::loop, ELOOP, "too many levels"},
    Row{Errc::stale, ESTALE, "stale handle"},
    Row{Errc::busy, EBUSY, "busy"},
    Row{Errc::again, EAGAIN, "try again"},
    Row{Errc::timed_out, ETIMEDOUT, "timed out"},
    Row{Errc::cancelled, ECANCELED, "cancelled"},
    Row{Errc::closed, ENOTCONN, "connection closed"},
    Row{Errc::refused, ECONNREFUSED, "connection refused"},
    Row{Errc::blocklisted, ESHUTDOWN, "client is blocklisted"},
    Row{Errc::read_only, EROFS, "read-only"},
    Row{Errc::would_deadlock, EDEADLK, "would deadlock"},
    Row{Errc::overflow, EOVERFLOW, "value too large"},
    Row{Errc::stale_epoch, ESTALE, "map epoch is stale"},
    Row{Errc::outcome_unknown, EIO, "outcome unknown"},
};

const Row& row(int code) {
  for (const Row& r : table)
    if (static_cast<int>(r.code) == code) return r;
  static constexpr Row unknown{Errc::io, EIO, "unknown error"};
  return unknown;
}

class Category : public std::error_category {
 public:
  const char* name() const noexcept override { return "spirula"; }
  std::string message(int code) const override { return row(code).text; }
  std::error_condition default_error_condition(int code) const noexcept override {
    return {row(code).number, std::generic_category()};
  }
};

}  // namespace

std::error_code make_error_code(Errc code) {
  static const Category category;
  return {static_cast<int>(code), category};
}

std::error_code last_errno() {
  return from_errno(errno);
}
std::error_code from_errno(int positive_errno) {
  return {positive_errno, std::system_category()};
}

int to_wire(std::error_code error) {
  if (!error) return 0;
  std::error_condition condition = error.default_error_condition();
  return condition.category() == std::generic_category() ? -condition.value() : -EIO;
}

std::error_code from_wire(int negative_errno) {
  if (negative_errno >= 0) return {};
  for (const Row& r : table)
    if (r.number == -negative_errno) return make_error_code(r.code);
  return from_errno(-negative_errno);
}

}  // namespace spirula
