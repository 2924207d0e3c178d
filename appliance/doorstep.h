#pragma once
#include <functional>
#include <string>

#include "appliance/http.h"

namespace spirula::appliance {

/// The one page of port 80: what this is, the certificate's fingerprint, and the way to the page itself. It takes
/// nothing and sets nothing. There is no redirect and no HSTS: the certificate is not one that browsers trust.
class Doorstep : public HttpHandler {
 public:
  /// `fingerprint`: of the certificate in use.
  Doorstep(std::string page, std::function<std::string()> fingerprint)
      : page_(std::move(page)), fingerprint_(std::move(fingerprint)) {}
  Task<HttpResponse> handle(HttpRequest request) override;

 private:
  std::string page_;
  std::function<std::string()> fingerprint_;
};

}  // namespace spirula::appliance
