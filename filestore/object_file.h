#pragma once
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "filestore/inspector.h"
#include "filestore/object_store.h"

/// One object as a file: all that a store knows about it, to be looked at elsewhere or put back. The file is a magic
/// number and sections (kind, length, crc32c, body): a head, pieces of data (holes are left out), omap entries, an end.
namespace spirula::filestore {

/// Writes the object to `fd`. Errc::io if a part of it does not verify: then the file is of no use.
Result<> export_object(Inspector& store, const Inspector::Entry& entry, int fd);

/// Puts the object of the file `fd` into the store, whole or not at all. Its name. Errc::malformed: not such a file, or
/// damaged; Errc::not_found: no collection for it; Errc::exists unless `replace`; and what submit() answers.
Task<Result<ObjectId>> import_object(ObjectStore& store, int fd, bool replace);

}  // namespace spirula::filestore
