#pragma once
#include <functional>
#include <map>
#include <optional>

#include "base/result.h"
#include "filestore/object_id.h"
#include "filestore/transaction.h"

/// What every store refuses, decided by plain functions before anything happens.
namespace spirula::filestore {

/// Names, sizes and offsets are within filestore/limits.h: Errc::name_too_long, too_large, file_too_large.
Result<> check_limits(const Transaction& transaction);

/// Collections that a transaction makes (their bits) or removes (nothing).
using CollectionChanges = std::map<CollectionId, std::optional<unsigned>>;
/// Objects lie in the transaction's collection; collections are made, split, merged and removed as the table allows.
/// Errc::not_found, exists, invalid. `bits_of` answers from the table before the transaction.
Result<CollectionChanges> check_collections(const CollectionId& collection, const Transaction& transaction,
                                            const std::function<std::optional<unsigned>(const CollectionId&)>& bits_of);

/// The source of a copying operation (Clone, CloneRange, Rename), or null.
const ObjectId* source_of(const Transaction::ObjectOperation& operation);
/// True if the object exists after the operation whether it did before or not.
bool makes_object(const Transaction::ObjectOperation& operation);

}  // namespace spirula::filestore
