// SPDX-License-Identifier: Apache-2.0
// Writes one image of a restore point into a disk: each frame is read, decoded and proved once for a window of
// the disk, and runs of blocks are written together.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>

#include "disk/disk_target.hpp"
#include "repository/image_tree.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

// Threads that restore one image; DiskTarget needs as many writers.
unsigned restore_threads();

// What of an image is no hole, in whole blocks. Reads its tree, a two-thousandth of that. Faults as ImageTreeReader,
// and as BlockReader where a node of it is lost.
std::uint64_t data_bytes(repository::Repository& repository, const repository::ImageRoot& image);

// `on_write` is called from worker threads, one at a time, with the bytes written so far. Returns those of the
// whole image. What was written is only durable after target.finish(). Fault::corrupt names what is damaged.
// `lost` blocks are left out: they read as zeroes.
std::uint64_t restore_image(repository::Repository& repository, const repository::ImageRoot& image,
                            const std::vector<repository::BlockRange>& lost, disk::DiskTarget& target,
                            const std::function<void(std::uint64_t)>& on_write, std::stop_token stop);

}  // namespace icecore::job
