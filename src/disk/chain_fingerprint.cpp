// SPDX-License-Identifier: Apache-2.0
#include "disk/chain_fingerprint.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <string_view>

#include "base/error.hpp"
#include "base/file_time.hpp"
#include "disk/device_identity.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

LayerFingerprint fingerprint(const ImageInfo& layer) {
  struct stat status {};
  if (::stat(layer.path.c_str(), &status) != 0) base::fail_errno(errno, "stat '" + layer.path.string() + "'");
  const bool is_device = S_ISBLK(status.st_mode);
  return {.path = layer.path,
          .format = layer.format,
          .inode = is_device ? 0 : status.st_ino,
          .virtual_size = layer.virtual_size,
          .modified_ns = base::to_ns(status.st_mtim),
          .device = device_identity(layer.path)};
}

template <typename T>
void expect_equal(std::string_view what, const LayerFingerprint& recorded, const T& was, const T& is) {
  if (was == is) return;
  base::Error error(Fault::conflict, fmt::format("image '{}' has changed since the backup began: {} was {}, is now {}",
                                                 recorded.path.string(), what, was, is));
  throw error.add_hint("find out who changed it; nothing was written to it from here");
}

void expect_same_layer(const LayerFingerprint& recorded, const LayerFingerprint& now) {
  expect_equal("its path", recorded, recorded.path.string(), now.path.string());
  expect_equal("its format", recorded, recorded.format, now.format);
  expect_equal("its size", recorded, recorded.virtual_size, now.virtual_size);
  // Jobs of earlier versions recorded the inode of a device's node, and no identity.
  if (now.inode != 0) expect_equal("its inode", recorded, recorded.inode, now.inode);
  if (!recorded.device.empty()) expect_equal("the device", recorded, recorded.device, now.device);
}

}  // namespace

ChainFingerprint fingerprint_of(const std::vector<ImageInfo>& chain) {
  ChainFingerprint fingerprints;
  for (const ImageInfo& layer : chain) fingerprints.push_back(fingerprint(layer));
  return fingerprints;
}

ChainFingerprint fingerprint_chain(const std::filesystem::path& path, const std::string& format) {
  return fingerprint_of(inspect_chain(path, format));
}

void expect_same_chain(const ChainFingerprint& recorded, const ChainFingerprint& now) {
  for (std::size_t i = 0; i < std::min(recorded.size(), now.size()); ++i) expect_same_layer(recorded[i], now[i]);
  if (!recorded.empty()) expect_equal("its number of layers", recorded.front(), recorded.size(), now.size());
}

base::Json to_json(const ChainFingerprint& chain) {
  base::Json layers = base::Json::array();
  for (const LayerFingerprint& layer : chain) {
    layers.push_back({{"path", layer.path.string()},
                      {"format", layer.format},
                      {"inode", layer.inode},
                      {"virtual_size", layer.virtual_size},
                      {"modified_ns", layer.modified_ns},
                      {"device", layer.device}});
  }
  return layers;
}

ChainFingerprint chain_from_json(const base::Json& record) {
  const std::string_view what = "recorded chain";
  ChainFingerprint chain;
  for (const base::Json& layer : record) {
    chain.push_back({.path = base::json_field<std::string>(layer, "path", what),
                     .format = base::json_field<std::string>(layer, "format", what),
                     .inode = base::json_field<std::uint64_t>(layer, "inode", what),
                     .virtual_size = base::json_field<std::uint64_t>(layer, "virtual_size", what),
                     .modified_ns = base::json_field<std::int64_t>(layer, "modified_ns", what),
                     .device = layer.value("device", "")});  // older ones have none
  }
  return chain;
}

}  // namespace icecore::disk
