// SPDX-License-Identifier: Apache-2.0
#include "disk/chain_fingerprint.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <string_view>

#include "base/error.hpp"
#include "disk/image.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

LayerFingerprint fingerprint(const ImageInfo& layer) {
  struct stat status {};
  if (::stat(layer.path.c_str(), &status) != 0) base::fail_errno(errno, "stat '" + layer.path.string() + "'");
  return {layer.path, layer.format, status.st_ino, layer.virtual_size,
          std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
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
  expect_equal("its inode", recorded, recorded.inode, now.inode);
}

}  // namespace

ChainFingerprint fingerprint_chain(const std::filesystem::path& path, const std::string& format) {
  ChainFingerprint chain;
  for (const ImageInfo& layer : inspect_chain(path, format)) chain.push_back(fingerprint(layer));
  return chain;
}

void expect_same_chain(const ChainFingerprint& recorded, const ChainFingerprint& now) {
  for (std::size_t i = 0; i < std::min(recorded.size(), now.size()); ++i) expect_same_layer(recorded[i], now[i]);
  if (!recorded.empty()) expect_equal("its number of layers", recorded.front(), recorded.size(), now.size());
}

void expect_untouched_chain(const ChainFingerprint& recorded, const ChainFingerprint& now) {
  expect_same_chain(recorded, now);
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    expect_equal("its modification time", recorded[i], recorded[i].modified_ns, now[i].modified_ns);
  }
}

base::Json to_json(const ChainFingerprint& chain) {
  base::Json layers = base::Json::array();
  for (const LayerFingerprint& layer : chain) {
    layers.push_back({{"path", layer.path.string()},
                      {"format", layer.format},
                      {"inode", layer.inode},
                      {"virtual_size", layer.virtual_size},
                      {"modified_ns", layer.modified_ns}});
  }
  return layers;
}

ChainFingerprint chain_from_json(const base::Json& record) {
  const std::string_view what = "recorded chain";
  ChainFingerprint chain;
  for (const base::Json& layer : record) {
    chain.push_back({base::json_field<std::string>(layer, "path", what),
                     base::json_field<std::string>(layer, "format", what),
                     base::json_field<std::uint64_t>(layer, "inode", what),
                     base::json_field<std::uint64_t>(layer, "virtual_size", what),
                     base::json_field<std::int64_t>(layer, "modified_ns", what)});
  }
  return chain;
}

}  // namespace icecore::disk
