// SPDX-License-Identifier: Apache-2.0
// What all fuzz targets share: how an input becomes an object, and which exceptions are an answer.
//
// Sealed objects carry a checksum no fuzzer guesses. So an input's first byte decides: even, the rest is the
// object as it is; odd, the rest is the payload of an object sealed here.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"
#include "repository/envelope.hpp"

namespace icecore::fuzz {

inline base::Bytes object_of(repository::ObjectKind kind, std::string_view name, base::ByteView input) {
  if (input.empty()) return {};
  const base::ByteView rest = input.subspan(1);
  const bool sealed = (std::to_integer<unsigned>(input[0]) & 1) != 0;
  if (sealed && !rest.empty() && rest.size() <= repository::size_max(kind)) {
    return repository::seal(repository::KeyRing::unencrypted(), kind, name, rest);
  }
  return {rest.begin(), rest.end()};
}

// Runs a parser. Bytes that are no good must be answered with corrupt or, when they claim a newer version,
// usage; any other exception, like any signal, is a finding.
template <typename Parse>
int judge(Parse&& parse) {
  try {
    parse();
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::corrupt && error.fault() != base::Fault::usage) std::abort();
  }
  return 0;
}

inline base::ByteView view_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

}  // namespace icecore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
