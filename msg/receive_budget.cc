#include "msg/receive_budget.h"

namespace spirula::msg {

bool ReceiveBudget::try_take(std::size_t bytes) {
  auto amount = static_cast<std::int64_t>(bytes);
  std::int64_t before = used_.fetch_add(amount);
  if (before == 0 || before + amount <= bytes_max_) return true;
  used_.fetch_sub(amount);
  return false;
}

void ReceiveBudget::give(std::size_t bytes) {
  used_.fetch_sub(static_cast<std::int64_t>(bytes));
  if (wanted.load() && wanted.exchange(false)) wake();
}

}  // namespace spirula::msg
