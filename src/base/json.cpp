// SPDX-License-Identifier: Apache-2.0
#include "base/json.hpp"

namespace icecore::base {

Json parse_json(std::string_view text, std::string_view what) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_structured()) fail(Fault::corrupt, "{} is not valid JSON", what);
  return value;
}

}  // namespace icecore::base
