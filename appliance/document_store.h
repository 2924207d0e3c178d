#pragma once
#include <string>

#include "appliance/document.h"

namespace spirula::appliance {

/// The document on disk: `folder`/config.json, and config.previous.json, the one before it. One shard.
/// A power cut at any moment leaves the old document or the new one.
class DocumentStore {
 public:
  /// Reads what is there; a blank document if nothing is. When config.json does not read, config.previous.json is taken
  /// and notice() says so. Errc::malformed when neither reads: nothing is overwritten then, problem() says what is
  /// wrong.
  static Result<DocumentStore> open(std::string folder, std::string& problem);

  const Document& current() const { return document_; }
  /// Durable on return, and current; the revision is counted on. Errc::malformed when the document is not valid,
  /// Errc::no_space, Errc::io: the current document stays what it was.
  Result<> save(Document document);
  /// Something the owner should know about how the document was found; or empty.
  const std::string& notice() const { return notice_; }

 private:
  explicit DocumentStore(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
  std::string text_;  ///< of the current document
  Document document_;
  std::string notice_;
};

}  // namespace spirula::appliance
