#include "filestore/transaction.h"

namespace spirula::filestore {

std::size_t Transaction::payload_bytes() const {
  std::size_t total = 0;
  for (const Operation& operation : operations_)
    if (const auto* on = std::get_if<OnObject>(&operation))
      if (const auto* write = std::get_if<Write>(&on->operation)) total += write->data.size();
  return total;
}

}  // namespace spirula::filestore
