#include "appliance/setup_file.h"

#include <boost/json/parse.hpp>

#include "appliance/access_api.h"
#include "appliance/files.h"
#include "appliance/secrets.h"

namespace spirula::appliance {
namespace json = boost::json;

std::string apply_setup_file(const std::string& path, const std::string& state, DocumentStore& documents) {
  constexpr std::size_t bytes_max = 64 << 10;
  auto text = read_file(path, bytes_max);
  if (!text || documents.current().revision != 0) return {};
  boost::system::error_code error;
  json::value parsed = json::parse(*text, error);
  if (error || !parsed.is_object()) return "setup/settings.json was not used: it is not a JSON object.";
  Document document = documents.current();
  std::string problem, code;
  for (const auto& [name, value] : parsed.get_object()) {
    if (name == "claim_code" && value.is_string())
      code = std::string(value.get_string());
    else if (name == "network" && value.is_object())
      document.network = parse_network(value.get_object(), problem);
    else
      problem = "it may have a \"claim_code\" and a \"network\", nothing else.";
    if (!problem.empty()) return "setup/settings.json was not used: " + problem;
  }
  const std::string letters = normalize_claim_code(code);
  if (!code.empty() && (letters.size() < claim_code_letters_min || code.find('\n') != code.npos || code.size() > 60))
    return "setup/settings.json was not used: the claim code needs at least 8 letters or digits.";
  // The code first: once the document is there, the file is not looked at again.
  if (!code.empty() && !write_file(state + "/claim-code", code + "\n", 0600)) return "setup/settings.json: no room.";
  if (!documents.save(std::move(document))) return "setup/settings.json: no room.";
  return {};
}

}  // namespace spirula::appliance
