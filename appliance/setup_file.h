#pragma once
#include <string>

#include "appliance/document_store.h"

namespace spirula::appliance {

/// What somebody put on the boot disk's `setup` folder before the first start: `{"claim_code": "...", "network":
/// {...}}`, both optional. Read while nothing was decided on this box yet, and not looked at later. The claim code goes
/// where AccessApi finds it. What is wrong with the file, in words for the console; empty when all is well or no file
/// is there.
std::string apply_setup_file(const std::string& path, const std::string& state, DocumentStore& documents);

}  // namespace spirula::appliance
