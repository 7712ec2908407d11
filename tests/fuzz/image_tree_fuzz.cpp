// SPDX-License-Identifier: Apache-2.0
#include "fuzz/fuzz.hpp"
#include "repository/image_tree.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return icecore::fuzz::judge([&] {
    const icecore::base::ByteView bytes = icecore::fuzz::view_of(data, size);
    const auto names = icecore::repository::decode_node({}, bytes, 1024);
    const icecore::base::Bytes again = icecore::repository::encode_node(names);
    if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
  });
}
