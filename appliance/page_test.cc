#include "appliance/page.h"

#include <gtest/gtest.h>

namespace spirula::appliance {
namespace {

TEST(Page, is_small_and_whole) {
  PageFiles files;
  EXPECT_LT(files.bytes(), 150u << 10);
  HttpResponse page = files.get({.method = "GET", .path = "/"});
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body.find("DIGEST"), std::string::npos);
  int found = 0;
  for (std::size_t at = 0; (at = page.body.find("/assets/", at)) != std::string::npos; ++found) {
    std::string path = page.body.substr(at, page.body.find('"', at) - at);
    HttpResponse file = files.get({.method = "GET", .path = path, .headers = {{"accept-encoding", "gzip, br"}}});
    EXPECT_EQ(file.status, 200) << path;
    EXPECT_EQ(file.body.substr(0, 2), "\x1f\x8b");
    at += path.size();
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    const std::string text = files.get({.method = "GET", .path = path}).body;
    constexpr std::string_view import = "from \"./";
    for (std::size_t from = 0; (from = text.find(import, from)) != std::string::npos;) {
      from += import.size();
      const std::string name = text.substr(from, text.find('"', from) - from);
      EXPECT_EQ(files.get({.method = "GET", .path = folder + name}).status, 200) << path << " takes " << name;
    }
  }
  EXPECT_GE(found, 4);
  for (auto path : {"/assets/", "/assets/../page.cc", "/index.html", "", "/assets/000000000000/app.js"})
    EXPECT_EQ(files.get({.method = "GET", .path = path}).status, 404) << path;
}

}  // namespace
}  // namespace spirula::appliance
