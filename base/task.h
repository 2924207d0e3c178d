#pragma once

namespace boost::asio {
class any_io_executor;
class io_context;
template <class T, class Executor>
class awaitable;
}  // namespace boost::asio

namespace spirula {

/// A coroutine. Headers name it; sources that await include "base/coroutine.h".
template <class T = void>
using Task = boost::asio::awaitable<T, boost::asio::any_io_executor>;

}  // namespace spirula
