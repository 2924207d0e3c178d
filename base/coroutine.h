#pragma once
// The heavy half of base/task.h: for sources with coroutines in them, never for headers.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/result.h"
#include "base/task.h"
