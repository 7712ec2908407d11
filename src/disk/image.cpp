// SPDX-License-Identifier: Apache-2.0
#include "disk/image.hpp"

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/process.hpp"
#include "base/shell_word.hpp"
#include "disk/qemu_img.hpp"

namespace icecore::disk {

namespace {

using base::Fault;
using base::Json;

std::filesystem::path backing_path(const Json& record, const std::filesystem::path& image) {
  if (record.contains("full-backing-filename")) return record["full-backing-filename"].get<std::string>();
  return image.parent_path() / record["backing-filename"].get<std::string>();
}

ImageBitmap parse_bitmap(const Json& record) {
  ImageBitmap bitmap{.name = record.value("name", ""), .granularity = record.value("granularity", std::uint64_t{0})};
  for (const Json& flag : record.value("flags", Json::array())) {
    bitmap.recording = bitmap.recording || flag == "auto";
    bitmap.in_use = bitmap.in_use || flag == "in-use";
  }
  return bitmap;
}

void read_format_specific(const Json& data, ImageInfo& info) {
  info.compat = data.value("compat", "");
  info.extended_l2 = data.value("extended-l2", false);
  info.corrupt = data.value("corrupt", false);
  info.external_data = data.contains("data-file");
  for (const Json& bitmap : data.value("bitmaps", Json::array())) info.bitmaps.push_back(parse_bitmap(bitmap));
}

ImageInfo parse_layer(const Json& record) {
  const std::string what = "output of qemu-img info";
  ImageInfo info;
  info.path = base::json_field<std::string>(record, "filename", what);
  info.format = base::json_field<std::string>(record, "format", what);
  info.virtual_size = base::json_field<std::uint64_t>(record, "virtual-size", what);
  info.actual_size = record.value("actual-size", std::uint64_t{0});
  info.cluster_size = info.format == "raw" ? 0 : record.value("cluster-size", std::uint64_t{0});
  info.encrypted = record.value("encrypted", false);
  info.dirty = record.value("dirty-flag", false);
  if (record.contains("backing-filename")) info.backing = backing_path(record, info.path);
  info.backing_format = record.value("backing-filename-format", "");
  for (const Json& snapshot : record.value("snapshots", Json::array())) {
    info.internal_snapshots.push_back(snapshot.value("name", ""));
  }
  if (record.contains("format-specific")) {
    read_format_specific(record["format-specific"].value("data", Json::object()), info);
  }
  return info;
}

}  // namespace

ImageInfo inspect_image(const std::filesystem::path& path, const std::string& format) {
  require_readable(path, format);
  const std::string out = qemu_img({"info", "-U", "--output=json", "-f", format, qemu_path(path)},
                                   fmt::format("inspect image '{}' as {}", path.string(), format));
  return parse_layer(base::parse_json(out, "output of qemu-img info"));
}

// Layer by layer rather than with --backing-chain, which probes where a format is missing.
std::vector<ImageInfo> inspect_chain(const std::filesystem::path& path, const std::string& format) {
  constexpr std::size_t k_depth_max = 200;  // libvirt's limit
  std::vector<ImageInfo> chain = {inspect_image(path, format)};
  while (chain.back().backing) {
    const ImageInfo& top = chain.back();
    if (top.backing_format.empty()) {
      base::Error error(Fault::conflict, fmt::format("image '{}' names its backing file '{}' without a format",
                                                     top.path.string(), top.backing->string()));
      throw error.add_hint(fmt::format("qemu-img rebase -u -F FORMAT -b {} {} (with the domain shut off)",
                                       base::shell_word(top.backing->string()), base::shell_word(top.path.string())));
    }
    if (chain.size() == k_depth_max) {
      base::fail(Fault::conflict, "image '{}' has more than {} layers", path.string(), k_depth_max);
    }
    chain.push_back(base::with_context([&] { return inspect_image(*top.backing, top.backing_format); },
                                       "backing file of '{}'", top.path.string()));
  }
  return chain;
}

void expect_readable(const ImageInfo& layer, bool may_be_encrypted) {
  if (layer.encrypted && !may_be_encrypted)
    base::fail(Fault::usage, "image '{}' is encrypted and cannot be read", layer.path.string());
  if (!layer.corrupt) return;
  base::Error error(Fault::corrupt, fmt::format("image '{}' is marked corrupt by QEMU", layer.path.string()));
  throw error.add_hint(
      fmt::format("qemu-img check -r all {} (with the domain shut off)", base::shell_word(layer.path.string())));
}

bool same_content(const std::filesystem::path& one, const std::string& one_format, const std::filesystem::path& other,
                  const std::string& other_format) {
  require_readable(one, one_format);
  require_readable(other, other_format);
  const base::Outcome outcome = base::run({.arguments = {"qemu-img", "compare", "-U", "-f", one_format, "-F",
                                                         other_format, qemu_path(one), qemu_path(other)}},
                                          std::chrono::hours(12));
  if (outcome.exit_code > 1) fail_as_qemu_said(outcome.error_output, fmt::format("compare '{}'", one.string()));
  return outcome.exit_code == 0;
}

}  // namespace icecore::disk
