// SPDX-License-Identifier: Apache-2.0
#include "fuzz/fuzz.hpp"
#include "repository/manifest.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using icecore::repository::ObjectKind;
  const icecore::repository::KeyRing keys = icecore::repository::KeyRing::unencrypted();
  const icecore::base::Bytes object =
      icecore::fuzz::object_of(ObjectKind::manifest, "manifests/0", icecore::fuzz::view_of(data, size));
  return icecore::fuzz::judge([&] {
    const icecore::base::Bytes payload = icecore::repository::open(keys, ObjectKind::manifest, "manifests/0", object);
    const icecore::repository::Manifest manifest = icecore::repository::decode_manifest(payload, "manifest");
    // What was read can be written, and reads as the same.
    const icecore::base::Bytes again = icecore::repository::encode_manifest(manifest);
    if (icecore::repository::encode_manifest(icecore::repository::decode_manifest(again, "manifest")) != again)
      std::abort();
  });
}
