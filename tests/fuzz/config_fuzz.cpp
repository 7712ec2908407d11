// SPDX-License-Identifier: Apache-2.0
#include "fuzz/fuzz.hpp"
#include "repository/config.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const icecore::base::Bytes object =
      icecore::fuzz::object_of(icecore::repository::ObjectKind::config, "config", icecore::fuzz::view_of(data, size));
  return icecore::fuzz::judge([&] { icecore::repository::decode_config(object); });
}
