#include "appliance/doorstep.h"

#include <fmt/format.h>

#include "base/coroutine.h"

namespace spirula::appliance {

Task<HttpResponse> Doorstep::handle(HttpRequest request) {
  if (request.method != "GET" && request.method != "HEAD") co_return HttpResponse{.status = 405, .type = "text/plain"};
  co_return HttpResponse{.type = "text/html; charset=utf-8",
                         .body = fmt::format(R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Spirula</title></head><body><main>
<h1>A Spirula storage box</h1>
<p>Its page is at <a href="{0}">{0}</a>.</p>
<p>Your browser will warn you there, because the box made its certificate by itself. Go on if the certificate's SHA-256
fingerprint is the one that the box's screen shows:</p>
<p><code>{1}</code></p>
</main></body></html>
)",
                                             page_, fingerprint_())};
}

}  // namespace spirula::appliance
