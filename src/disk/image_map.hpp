// SPDX-License-Identifier: Apache-2.0
// `qemu-img map` as a stream. QEMU tells which ranges hold data and where in the files they lie; we never
// read a format's own tables.
#pragma once

#include <filesystem>
#include <string>

#include "base/process.hpp"
#include "disk/extent.hpp"

namespace icecore::disk {

// One range of the disk, with or without data.
struct MapEntry {
  DataExtent extent;  // its layer and file_offset only where bytes lie plain in a file
  int depth = 0;      // of the layer that decides what the guest reads there: 0 = top
  bool has_data = false;
};

// Owns a qemu-img child, which is held back by its pipe: memory does not grow with the map.
class ImageMap final : public ExtentStream {
 public:
  ImageMap(const std::filesystem::path& path, const std::string& format);

  std::optional<DataExtent> next(const std::stop_token& stop) override;
  // The same with the ranges that read as zero; the two take from one stream.
  std::optional<MapEntry> next_entry(const std::stop_token& stop);

 private:
  struct Start;
  ImageMap(const std::filesystem::path& path, Start start);
  std::optional<std::string> next_line(const std::stop_token& stop);
  void read_more(const std::stop_token& stop);
  void expect_success();

  std::string path_;
  base::Fd output_;
  std::string text_;    // read, not yet parsed
  std::size_t at_ = 0;  // of the next line in text_
  bool ended_ = false;
  base::Child child_;
};

}  // namespace icecore::disk
