// SPDX-License-Identifier: Apache-2.0
#include "job/restore_image.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <thread>
#include <vector>

#include "base/guarded.hpp"
#include "flow/byte_queue.hpp"
#include "flow/stage_group.hpp"
#include "repository/block_reader.hpp"
#include "repository/image_tree_reader.hpp"

namespace icecore::job {

using repository::BlockReader;
using repository::FrameLocation;
using repository::WantedBlock;

namespace {

// Leaves looked at together. A frame whose blocks lie in two windows is read twice: larger windows read less,
// and cost 64 bytes of memory a block.
constexpr std::size_t k_window_leaves = 4;
constexpr std::size_t k_task_queue_bytes = 4 * base::k_mib;
// Frames whose writes may be under way together, for each thread.
constexpr std::size_t k_frames_in_flight = 6;

struct Placement {
  WantedBlock block;
  std::uint64_t disk_block = 0;
};

// All that one frame gives to the window.
struct FrameTask {
  FrameLocation frame;
  std::vector<Placement> placements;  // by offset in the frame, then on the disk
};

struct Shared {
  repository::Repository& repository;
  disk::DiskTarget& target;
  std::uint64_t block_bytes;
  flow::ByteQueue<FrameTask> tasks{k_task_queue_bytes};
  base::Guarded<std::uint64_t> bytes_written{0U};
  base::Guarded<unsigned> next_writer{0U};
  const std::function<void(std::uint64_t)>& on_write;
};

using Window = std::map<FrameLocation, std::vector<Placement>>;

bool push_window(Shared& shared, Window& window) {
  for (auto& [frame, placements] : window) {
    std::sort(placements.begin(), placements.end(), [](const Placement& a, const Placement& b) {
      return std::pair(a.block.offset, a.disk_block) < std::pair(b.block.offset, b.disk_block);
    });
    const std::size_t cost = placements.size() * sizeof(Placement);
    if (!shared.tasks.push({frame, std::move(placements)}, cost)) return false;
  }
  window.clear();
  return true;
}

void plan_frames(Shared& shared, const repository::ImageRoot& image, const std::vector<repository::BlockRange>& lost,
                 const std::stop_token& stop) {
  BlockReader reader(shared.repository);
  repository::ImageTreeReader tree(reader, shared.repository.config(), image, lost);
  Window window;
  std::size_t leaves = 0;
  std::uint64_t end_of_data = 0;
  while (const auto leaf = tree.next()) {
    for (std::size_t i = 0; i < leaf->names.size(); ++i) {
      if (leaf->names[i].is_zero()) continue;
      const std::uint64_t from = (leaf->first_block + i) * shared.block_bytes;
      shared.target.zero(end_of_data, from, stop);
      end_of_data = std::min(from + shared.block_bytes, image.disk_size);
      const repository::BlockLocation at = reader.locate_or_fail(leaf->names[i]);
      window[at.frame].push_back({{leaf->names[i], at.offset, at.length}, leaf->first_block + i});
    }
    if (++leaves % k_window_leaves == 0 && !push_window(shared, window)) return;
  }
  shared.target.zero(end_of_data, std::numeric_limits<std::uint64_t>::max(), stop);
  push_window(shared, window);
}

// One worker's tools.
class FrameWriter {
 public:
  explicit FrameWriter(Shared& shared)
      : shared_(shared),
        reader_(shared.repository),
        writer_(shared.target.writer(shared.next_writer.with([](unsigned& next) { return next++; }))) {}

  void write(const FrameTask& task, const std::stop_token& stop) {
    if (in_flight_.size() == k_frames_in_flight) drain(stop);
    wanted_.clear();
    for (const Placement& placement : task.placements) wanted_.push_back(placement.block);
    in_flight_.push_back(reader_.read_frame(task.frame, wanted_));
    const std::uint64_t bytes = write_runs(task, in_flight_.back().view(), stop);
    shared_.bytes_written.with([&](std::uint64_t& total) { shared_.on_write(total += bytes); });
  }

  void drain(const std::stop_token& stop) {
    writer_.drain(stop);
    in_flight_.clear();
  }

 private:
  // Placements that follow each other in the frame and on the disk go out as one write.
  std::uint64_t write_runs(const FrameTask& task, base::ByteView frame, const std::stop_token& stop) {
    std::uint64_t bytes = 0;
    for (std::size_t from = 0; from < task.placements.size();) {
      const Placement& first = task.placements[from];
      std::size_t length = first.block.length;
      std::size_t to = from + 1;
      while (to < task.placements.size() && follows(task.placements[to - 1], task.placements[to])) {
        length += task.placements[to++].block.length;
      }
      writer_.write(first.disk_block * shared_.block_bytes, frame.subspan(first.block.offset, length), stop);
      bytes += length;
      from = to;
    }
    return bytes;
  }

  static bool follows(const Placement& before, const Placement& after) {
    return after.block.offset == before.block.offset + before.block.length && after.disk_block == before.disk_block + 1;
  }

  Shared& shared_;
  BlockReader reader_;
  disk::TargetWriter& writer_;
  std::vector<base::Buffer> in_flight_;
  std::vector<WantedBlock> wanted_;
};

void write_frames(Shared& shared, const std::stop_token& stop) {
  FrameWriter writer(shared);
  while (const auto task = shared.tasks.pop()) writer.write(*task, stop);
  writer.drain(stop);
}

}  // namespace

unsigned restore_threads() { return std::max(1U, std::thread::hardware_concurrency()); }

std::uint64_t data_bytes(repository::Repository& repository, const repository::ImageRoot& image) {
  BlockReader reader(repository);
  repository::ImageTreeReader tree(reader, repository.config(), image);
  std::uint64_t blocks = 0;
  while (const auto leaf = tree.next()) {
    blocks += static_cast<std::uint64_t>(
        std::count_if(leaf->names.begin(), leaf->names.end(), [](const auto& name) { return !name.is_zero(); }));
  }
  return blocks * repository.config().block_bytes;
}

std::uint64_t restore_image(repository::Repository& repository, const repository::ImageRoot& image,
                            const std::vector<repository::BlockRange>& lost, disk::DiskTarget& target,
                            const std::function<void(std::uint64_t)>& on_write, std::stop_token stop) {
  Shared shared{
      .repository = repository, .target = target, .block_bytes = repository.config().block_bytes, .on_write = on_write};
  flow::StageGroup stages(std::move(stop));
  stages.watch(shared.tasks);
  stages.run(
      "plan", 1, [&](std::stop_token inner) { plan_frames(shared, image, lost, inner); },
      [&] { shared.tasks.close(); });
  stages.run("write", restore_threads(), [&](std::stop_token inner) { write_frames(shared, inner); });
  stages.join();
  return shared.bytes_written.with([](std::uint64_t total) { return total; });
}

}  // namespace icecore::job
