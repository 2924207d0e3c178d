#include "appliance/page.h"

#include <zlib.h>

#include <fmt/format.h>

#include <string_view>

#include "appliance/router.h"
#include "appliance/secrets.h"
#include "base/check.h"

#pragma clang diagnostic ignored "-Wc23-extensions"  // #embed

namespace spirula::appliance {
namespace {

constexpr char index_html[] = {
#embed "page/index.html"
};
constexpr char app_css[] = {
#embed "page/app.css"
};
constexpr char app_js[] = {
#embed "page/app.js"
};
constexpr char api_js[] = {
#embed "page/api.js"
};
constexpr char parts_js[] = {
#embed "page/parts.js"
};
constexpr char setup_js[] = {
#embed "page/setup.js"
};
constexpr char accounts_js[] = {
#embed "page/accounts.js"
};
constexpr char home_js[] = {
#embed "page/home.js"
};
constexpr char disks_js[] = {
#embed "page/disks.js"
};
constexpr char settings_js[] = {
#embed "page/settings.js"
};
constexpr char icon_svg[] = {
#embed "page/icon.svg"
};
constexpr char vendor_js[] = {
#embed "page/vendor/vendor.js"
};
constexpr char pico_css[] = {
#embed "page/vendor/pico.css"
};
constexpr char uplot_css[] = {
#embed "page/vendor/uplot.css"
};

constexpr const char* script = "text/javascript; charset=utf-8";
constexpr const char* style = "text/css; charset=utf-8";

struct Embedded {
  const char* name;
  const char* type;
  std::string_view content;
};
constexpr Embedded embedded[] = {
    {"app.css", style, {app_css, sizeof app_css}},
    {"app.js", script, {app_js, sizeof app_js}},
    {"api.js", script, {api_js, sizeof api_js}},
    {"parts.js", script, {parts_js, sizeof parts_js}},
    {"setup.js", script, {setup_js, sizeof setup_js}},
    {"accounts.js", script, {accounts_js, sizeof accounts_js}},
    {"home.js", script, {home_js, sizeof home_js}},
    {"disks.js", script, {disks_js, sizeof disks_js}},
    {"settings.js", script, {settings_js, sizeof settings_js}},
    {"icon.svg", "image/svg+xml", {icon_svg, sizeof icon_svg}},
    {"vendor.js", script, {vendor_js, sizeof vendor_js}},
    {"pico.css", style, {pico_css, sizeof pico_css}},
    {"uplot.css", style, {uplot_css, sizeof uplot_css}},
};

std::string compress(std::string_view plain) {
  z_stream stream{};
  constexpr int gzip_window = 15 + 16, memory = 9;
  CHECK(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, gzip_window, memory, Z_DEFAULT_STRATEGY) == Z_OK,
        "zlib takes these parameters");
  std::string out(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END, "the bound is enough");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

PageFiles::PageFiles() {
  std::string all;
  for (const Embedded& each : embedded) all += sha256_hex(each.content);
  constexpr std::size_t digest_letters = 12;
  prefix_ = "/assets/" + sha256_hex(all).substr(0, digest_letters) + "/";
  for (const Embedded& each : embedded)
    files_[prefix_ + each.name] = {each.type, std::string(each.content), compress(each.content)};
  std::string text(index_html, sizeof index_html);
  for (std::size_t at; (at = text.find("/assets/DIGEST/")) != text.npos;)
    text.replace(at, std::string_view("/assets/DIGEST/").size(), prefix_);
  index_ = {"text/html; charset=utf-8", text, compress(text)};
}

HttpResponse PageFiles::answer(const File& file, const HttpRequest& request) {
  HttpResponse response{.type = file.type};
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (request.header("accept-encoding").find("gzip") != std::string::npos) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = file.compressed;
  } else {
    response.body = file.plain;
  }
  return response;
}

HttpResponse PageFiles::get(const HttpRequest& request) const {
  if (request.path == "/") return answer(index_, request);
  auto at = files_.find(request.path);
  if (at == files_.end()) return fail(404, "not_found", "There is nothing here.");
  HttpResponse response = answer(at->second, request);
  response.headers.emplace_back("Cache-Control", "public, max-age=31536000, immutable");
  return response;
}

std::size_t PageFiles::bytes() const {
  std::size_t sum = index_.compressed.size();
  for (const auto& [name, file] : files_) sum += file.compressed.size();
  return sum;
}

}  // namespace spirula::appliance
