// SPDX-License-Identifier: Apache-2.0
#include "disk/disk_source.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

#include "base/error.hpp"
#include "disk/direct_source.hpp"
#include "disk/image.hpp"
#include "disk/image_map.hpp"
#include "disk/nbd_source.hpp"
#include "disk/window_planner.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

void validate(const SourceOptions& options) {
  const std::size_t block = options.block_size;
  if (!std::has_single_bit(block) || block < k_window_bytes / 64 || block > k_window_bytes) {
    base::fail(Fault::usage, "block size {} is not a power of two from 32 KiB to 2 MiB", block);
  }
  if (options.chunks_max == 0) base::fail(Fault::usage, "a disk cannot be read with no buffer");
}

// More extents than this are asked for anew in each pass rather than kept: 64 bytes each.
constexpr std::size_t k_known_extents_max = 64 * 1024;

struct MapSummary {
  std::uint64_t plain = 0;
  std::uint64_t encoded = 0;        // compressed: only QEMU can read it
  std::vector<DataExtent> extents;  // all of them, or none when there are too many
};

MapSummary summarise_map(const SourceOptions& options) {
  ImageMap map(options.image, options.format);
  MapSummary summary;
  bool keep = true;
  while (const auto extent = map.next({})) {
    (extent->layer == DataExtent::k_not_plain ? summary.encoded : summary.plain) += extent->length;
    keep = keep && summary.extents.size() < k_known_extents_max;
    if (keep) summary.extents.push_back(*extent);
  }
  if (!keep) summary.extents = {};
  return summary;
}

std::unique_ptr<DiskSource> open_image(const SourceOptions& options) {
  std::vector<ImageInfo> chain = inspect_chain(options.image, options.format);
  for (const ImageInfo& layer : chain) expect_readable(layer);
  const bool external =
      std::any_of(chain.begin(), chain.end(), [](const ImageInfo& layer) { return layer.external_data; });
  if (options.strategy == ReadStrategy::nbd || external) return std::make_unique<NbdSource>(options);
  MapSummary map = summarise_map(options);
  // Direct reads encoded pieces one at a time, so it does not pay when there are many.
  const bool mostly_plain = map.encoded <= map.plain / 16;
  if (options.strategy == ReadStrategy::automatic && !mostly_plain) return std::make_unique<NbdSource>(options);
  return std::make_unique<DirectSource>(options, std::move(chain), std::move(map.extents), map.encoded > 0);
}

}  // namespace

base::ByteView Chunk::block(std::size_t block) const noexcept {
  const std::size_t from = block * block_size;
  return buffer.first(length).subspan(from, std::min(block_size, length - from));
}

std::uint64_t Chunk::data_bytes() const noexcept {
  const auto blocks = static_cast<std::size_t>(std::popcount(data_mask));
  const bool short_tail = length % block_size != 0 && has_data(block_count() - 1);
  return blocks * block_size - (short_tail ? block_size - length % block_size : 0);
}

DiskSource::DiskSource(std::uint64_t size, const SourceOptions& options)
    : size_(size), block_size_(options.block_size), pool_(k_window_bytes, options.chunks_max) {}

std::unique_ptr<DiskSource> DiskSource::open(const SourceOptions& options) {
  validate(options);
  if (!options.nbd_uri.empty()) return std::make_unique<NbdSource>(options);
  return open_image(options);
}

std::uint64_t DiskSource::data_bytes(std::span<const Extent> wanted, const std::stop_token& stop) {
  WindowPlanner planner(extents(), size_, wanted);
  std::uint64_t total = 0;
  while (const auto window = planner.next(stop)) {
    const Chunk shape{
        .length = window->length, .block_size = block_size_, .data_mask = data_mask_of(*window, block_size_)};
    total += shape.data_bytes();
  }
  return total;
}

void DiskSource::read(std::span<const Extent> wanted, const std::function<void(Chunk)>& deliver,
                      const std::stop_token& stop) {
  start(wanted);
  while (auto chunk = next(stop)) deliver(std::move(*chunk));
}

}  // namespace icecore::disk
