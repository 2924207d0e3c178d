#include "appliance/document_store.h"

#include <boost/json/serialize.hpp>

#include "appliance/files.h"
#include "appliance/limits.h"

namespace spirula::appliance {
namespace json = boost::json;

Result<DocumentStore> DocumentStore::open(std::string folder, std::string& problem) {
  DocumentStore store(std::move(folder));
  const std::string path = store.folder_ + "/config.json", previous = store.folder_ + "/config.previous.json";
  auto text = read_file(path, limits::document_bytes_max);
  auto before = read_file(previous, limits::document_bytes_max);
  if (!text && text.error() == from_errno(ENOENT) && !before) return store;
  if (text) {
    auto document = parse_document(*text, problem);
    if (document) {
      store.document_ = std::move(*document);
      store.text_ = std::move(*text);
      return store;
    }
    if (document.error() == Errc::unsupported) return document.error();
  } else {
    problem = text.error().message();
  }
  if (!before) return Errc::malformed;
  std::string worse;
  auto document = parse_document(*before, worse);
  if (!document) return Errc::malformed;
  store.notice_ = "The configuration could not be read (" + problem + "). The version before it is in use.";
  store.document_ = std::move(*document);
  store.text_ = std::move(*before);
  problem.clear();
  return store;
}

Result<> DocumentStore::save(Document document) {
  document.revision = document_.revision + 1;
  std::string text = json::serialize(to_json(document)) + "\n", problem;
  // What we could not read again must not be written.
  auto again = parse_document(text, problem);
  if (!again || *again != document) return Errc::malformed;
  if (!text_.empty()) TRY(write_file(folder_ + "/config.previous.json", text_, 0600));
  TRY(write_file(folder_ + "/config.json", text, 0600));
  document_ = std::move(document);
  text_ = std::move(text);
  return {};
}

}  // namespace spirula::appliance
