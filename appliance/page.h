#pragma once
#include <map>
#include <string>

#include "appliance/http.h"

namespace spirula::appliance {

/// The files of page/, which are part of the program, compressed once at the start. Their addresses carry a digest of
/// all of them, so that browsers may keep them for ever.
class PageFiles {
 public:
  PageFiles();
  /// The page for "/", a file for "/assets/DIGEST/NAME", 404 for all else.
  HttpResponse get(const HttpRequest& request) const;
  /// Of everything one visit loads, compressed.
  std::size_t bytes() const;

 private:
  struct File {
    std::string type, plain, compressed;
  };
  static HttpResponse answer(const File& file, const HttpRequest& request);
  std::string prefix_;
  File index_;
  std::map<std::string, File> files_;
};

}  // namespace spirula::appliance
