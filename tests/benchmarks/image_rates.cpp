// SPDX-License-Identifier: Apache-2.0
// A backup, a second backup of the unchanged disk, and a restore, without libvirt around them: what the transfer
// itself costs. Usage: image_rates IMAGE FORMAT EMPTY-FOLDER [LEVEL] [qcow2|raw]
#include <fmt/core.h>
#include <sys/resource.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "disk/image.hpp"
#include "job/capture.hpp"
#include "job/restore_image.hpp"
#include "storage/storage.hpp"

namespace {

namespace base = icecore::base;
namespace disk = icecore::disk;
namespace job = icecore::job;
namespace repository = icecore::repository;

struct Setting {
  std::filesystem::path image;
  std::string format;
  std::filesystem::path folder;
  int level = repository::k_compression_level_default;
  std::string target_format;
};

rusage usage_of(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  return usage;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

double cpu_seconds() {
  const rusage self = usage_of(RUSAGE_SELF);
  const rusage children = usage_of(RUSAGE_CHILDREN);
  return seconds(self.ru_utime) + seconds(self.ru_stime) + seconds(children.ru_utime) + seconds(children.ru_stime);
}

// Runs the step, which returns the bytes it moved, and prints what it cost, children that ended included.
void measure(const std::string& name, const std::function<std::uint64_t()>& step) {
  const base::Stopwatch watch;
  const double cpu_before = cpu_seconds();
  const std::uint64_t bytes = step();
  const double wall = static_cast<double>(watch.elapsed().count()) / 1000;
  fmt::print("{:8} {:6.2f} s wall {:6.2f} s CPU {:6.0f} MiB/s  peak {} MiB\n", name, wall, cpu_seconds() - cpu_before,
             static_cast<double>(bytes) / static_cast<double>(base::k_mib) / wall,
             usage_of(RUSAGE_SELF).ru_maxrss / 1024);
}

repository::ImageRoot back_up(repository::Repository& target, const Setting& setting, std::uint64_t& bytes) {
  const auto source = disk::DiskSource::open({.image = setting.image, .format = setting.format});
  repository::BlockWriter writer(target, setting.level);
  const job::Captured captured = job::capture_disk(*source, writer, [](std::uint64_t) {}, {});
  const repository::WriteStats stats = writer.finish();
  fmt::print("{} read, {} new, {} stored\n", base::format_size(captured.bytes_read), base::format_size(stats.new_bytes),
             base::format_size(stats.stored_bytes));
  bytes = captured.bytes_read;
  return captured.root;
}

std::uint64_t restore(repository::Repository& source, const repository::ImageRoot& image, const Setting& setting) {
  const disk::ImageInfo original = disk::inspect_image(setting.image, setting.format);
  disk::TargetLayout layout{.format = setting.target_format, .virtual_size = image.disk_size};
  if (setting.format == "qcow2") layout.cluster_size = original.cluster_size;
  const std::filesystem::path path = setting.folder / ("restored." + layout.format);
  disk::create_image(path, layout);
  auto target = disk::DiskTarget::open({.image = path, .layout = layout, .writers = job::restore_threads()});
  const std::uint64_t bytes = job::restore_image(source, image, {}, *target, [](std::uint64_t) {}, {});
  target->finish({});
  target.reset();
  fmt::print("allocated {}, originally {}\n", base::format_size(disk::inspect_image(path, layout.format).actual_size),
             base::format_size(original.actual_size));
  return bytes;
}

void run(const Setting& setting) {
  const auto storage = icecore::storage::open_storage((setting.folder / "repository").string(), true);
  const repository::Credential credential = repository::KeyFile{setting.folder / "key"};
  repository::create_key_file(setting.folder / "key");
  repository::Repository::create(*storage, {}, credential);
  repository::Repository opened(*storage, credential, setting.folder / "cache");
  repository::ImageRoot image;
  for (const char* name : {"first", "second"}) {
    measure(name, [&] {
      std::uint64_t bytes = 0;
      image = back_up(opened, setting, bytes);
      return bytes;
    });
    opened.refresh_index();
  }
  measure("restore", [&] { return restore(opened, image, setting); });
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() < 3) {
    fmt::print(stderr, "usage: image_rates IMAGE FORMAT EMPTY-FOLDER [LEVEL] [qcow2|raw]\n");
    return 2;
  }
  try {
    Setting setting{.image = words[0], .format = words[1], .folder = words[2], .target_format = words[1]};
    if (words.size() > 3) setting.level = std::atoi(words[3].c_str());
    if (words.size() > 4) setting.target_format = words[4];
    run(setting);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
