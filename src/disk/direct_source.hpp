// SPDX-License-Identifier: Apache-2.0
// Reads a frozen chain straight from its files, at the places `qemu-img map` names. Pieces without a place
// (compressed clusters) come from a qemu-nbd, started only when the map has such pieces.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/handle.hpp"
#include "disk/disk_source.hpp"
#include "disk/image.hpp"
#include "disk/window_planner.hpp"

namespace icecore::disk {

class NbdReader;

class DirectSource final : public DiskSource {
 public:
  // `chain` top first, without encrypted layers or external data files. `known`: the whole map if it is small,
  // else nothing and each pass asks QEMU. `has_encoded`: the map has pieces that only QEMU can read.
  DirectSource(const SourceOptions& options, std::vector<ImageInfo> chain, std::vector<DataExtent> known,
               bool has_encoded);
  ~DirectSource() override;

  std::unique_ptr<ExtentStream> extents() override;
  void start(std::span<const Extent> wanted) override;
  std::optional<Chunk> next(const std::stop_token& stop) override;

 private:
  struct Layer {
    std::filesystem::path path;
    base::Fd file;
    base::Fd uncached;  // the same with O_DIRECT; none where the file system cannot
  };

  // A window and whether the page cache did not have it before we came.
  struct PlannedWindow {
    Window window;
    bool cold;
  };

  std::optional<PlannedWindow> plan(std::uint64_t& index, const std::stop_token& stop);
  bool is_cold(const Window& window) const;
  void read_piece(const DataExtent& piece, bool cold, base::ByteSpan out, const std::stop_token& stop);
  void read_encoded(const DataExtent& piece, base::ByteSpan out, const std::stop_token& stop);

  SourceOptions options_;
  const std::vector<DataExtent> known_extents_;
  std::vector<Layer> layers_;
  std::mutex plan_mutex_;  // guards the pass: planner, windows ahead, index
  std::unique_ptr<WindowPlanner> planner_;
  std::vector<PlannedWindow> ahead_;
  std::size_t ahead_at_ = 0;
  std::uint64_t next_index_ = 0;
  std::mutex nbd_mutex_;  // guards nbd_
  std::unique_ptr<NbdReader> nbd_;
};

}  // namespace icecore::disk
