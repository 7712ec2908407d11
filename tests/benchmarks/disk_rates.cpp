// SPDX-License-Identifier: Apache-2.0
// What reading and writing a disk cost without the rest of a backup: wall and CPU seconds, children included.
//   disk_rates read IMAGE FORMAT direct|nbd THREADS
//   disk_rates copy IMAGE FORMAT TARGET qcow2|raw THREADS
#include <fmt/core.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "disk/disk_source.hpp"
#include "disk/disk_target.hpp"
#include "disk/image.hpp"
#include "flow/stage_group.hpp"

namespace icecore::disk {
namespace {

double cpu_seconds() {
  double seconds = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (const timeval& part : {usage.ru_utime, usage.ru_stime}) {
      seconds += static_cast<double>(part.tv_sec) + static_cast<double>(part.tv_usec) * 1e-6;
    }
  }
  return seconds;
}

// One run of consecutive data blocks at a time: large writes are cheap writes.
void write_chunk(TargetWriter& writer, const Chunk& chunk) {
  for (std::size_t block = 0; block < chunk.block_count(); ++block) {
    if (!chunk.has_data(block)) continue;
    std::size_t end = block + 1;
    while (end < chunk.block_count() && chunk.has_data(end)) ++end;
    const std::size_t from = block * chunk.block_size;
    const std::size_t to = std::min(end * chunk.block_size, chunk.length);
    writer.write(chunk.offset + from, chunk.buffer.first(to).subspan(from), {});
    block = end;
  }
  writer.drain({});
}

std::uint64_t read(DiskSource& source, unsigned threads, DiskTarget* target) {
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<unsigned> next_writer = 0;
  source.start();
  flow::StageGroup group;
  group.watch(source);
  group.run("work", threads, [&](const std::stop_token& stop) {
    TargetWriter* writer = target != nullptr ? &target->writer(next_writer++) : nullptr;
    while (const auto chunk = source.next(stop)) {
      bytes += chunk->data_bytes();
      if (writer != nullptr) write_chunk(*writer, *chunk);
    }
  });
  group.join();
  return bytes;
}

void report(std::uint64_t bytes, const base::Stopwatch& watch) {
  const double seconds = static_cast<double>(watch.elapsed().count()) / 1000;
  fmt::print("{} in {:.2f} s wall, {:.2f} s CPU, {:.0f} MiB/s\n", base::format_size(bytes), seconds, cpu_seconds(),
             static_cast<double>(bytes) / static_cast<double>(base::k_mib) / seconds);
}

int usage() {
  fmt::print(stderr,
             "disk_rates read IMAGE FORMAT direct|nbd THREADS\n"
             "disk_rates copy IMAGE FORMAT TARGET qcow2|raw THREADS\n");
  return 2;
}

int run(const std::vector<std::string>& words) {
  const base::Stopwatch watch;
  std::uint64_t bytes = 0;
  if (words.size() == 5 && words[0] == "read") {
    const auto strategy = words[3] == "nbd" ? ReadStrategy::nbd : ReadStrategy::direct;
    auto source = DiskSource::open({.image = words[1], .format = words[2], .strategy = strategy});
    bytes = read(*source, static_cast<unsigned>(std::stoul(words[4])), nullptr);
    source.reset();
  } else if (words.size() == 6 && words[0] == "copy") {
    const auto threads = static_cast<unsigned>(std::stoul(words[5]));
    auto source = DiskSource::open({.image = words[1], .format = words[2]});
    const TargetLayout layout{.format = words[4], .virtual_size = source->size()};
    create_image(words[3], layout);
    auto target = DiskTarget::open({.image = words[3], .layout = layout, .writers = threads});
    bytes = read(*source, threads, target.get());
    target->finish({});
    target.reset();
  } else {
    return usage();
  }
  report(bytes, watch);
  return 0;
}

}  // namespace
}  // namespace icecore::disk

int main(int count, char** arguments) {
  try {
    return icecore::disk::run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
