// SPDX-License-Identifier: Apache-2.0
// The door to nlohmann-json. Parsing and field access on bytes we did not just write go through these,
// so that damage is Fault::corrupt with the object's name and never a library exception.
#pragma once

#include <nlohmann/json.hpp>

#include <string_view>

#include "base/error.hpp"

namespace icecore::base {

using Json = nlohmann::json;

// Throws Fault::corrupt naming `what` unless text is one JSON object or array.
Json parse_json(std::string_view text, std::string_view what);

// The field `key` of a record as T; missing or of another type is Fault::corrupt naming `what`.
template <typename T>
T json_field(const Json& record, std::string_view key, std::string_view what) {
  try {
    return record.at(std::string(key)).get<T>();
  } catch (const Json::exception& error) {
    fail(Fault::corrupt, "{}: field '{}': {}", what, key, error.what());
  }
}

}  // namespace icecore::base
