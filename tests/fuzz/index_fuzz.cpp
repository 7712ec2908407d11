// SPDX-License-Identifier: Apache-2.0
#include "fuzz/fuzz.hpp"
#include "repository/index_object.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const icecore::repository::KeyRing keys = icecore::repository::KeyRing::unencrypted();
  const icecore::base::Bytes object =
      icecore::fuzz::object_of(icecore::repository::ObjectKind::index, "index/0", icecore::fuzz::view_of(data, size));
  return icecore::fuzz::judge([&] {
    const auto packs = icecore::repository::decode_index(keys, {}, "0", object);
    // What was read can be written, and reads as the same.
    const icecore::base::Bytes again = icecore::repository::encode_index(keys, "0", packs);
    if (icecore::repository::decode_index(keys, {}, "0", again).size() != packs.size()) std::abort();
  });
}
