// SPDX-License-Identifier: Apache-2.0
// Where a backup's CPU goes in the repository: stores the blocks of a file from one thread, reads them
// back, and prints CPU seconds by step. Usage: repository_rates FILE EMPTY-FOLDER [LEVEL] [plain|encrypted] [FRAME-KIB]
#include <fmt/core.h>
#include <sys/resource.h>
#include <time.h>

#include <cstdlib>
#include <map>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "repository/block_reader.hpp"
#include "repository/frame_builder.hpp"
#include "repository/image_tree_reader.hpp"
#include "repository/image_tree_writer.hpp"
#include "storage/storage.hpp"

namespace {

namespace base = icecore::base;
namespace repository = icecore::repository;

double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

class Meter {
 public:
  void step(const std::string& name) {
    const double now = cpu_seconds();
    seconds_[last_] += now - since_;
    since_ = now;
    last_ = name;
  }
  void print() {
    step("");
    for (const auto& [name, seconds] : seconds_) {
      if (!name.empty()) fmt::print("  {:10} {:6.2f} CPU s\n", name, seconds);
    }
  }

 private:
  std::map<std::string, double> seconds_;
  std::string last_;
  double since_ = cpu_seconds();
};

repository::ImageRoot store(repository::Repository& target, const std::string& file, int level) {
  Meter meter;
  repository::BlockWriter writer(target, level);
  repository::FrameBuilder builder(writer, repository::FrameKind::data);
  const std::uint64_t size = std::filesystem::file_size(file);
  const std::uint32_t block_bytes = target.config().block_bytes;
  const std::uint64_t chunk_bytes = target.config().frame_bytes;
  repository::ImageTreeWriter tree(writer, size);
  for (std::uint64_t at = 0; at < size; at += chunk_bytes) {
    meter.step("read");
    const base::Bytes chunk = base::read_file_range(file, at, std::min<std::uint64_t>(chunk_bytes, size - at));
    meter.step("name");
    std::vector<base::ByteView> blocks;
    for (std::size_t i = 0; i < chunk.size(); i += block_bytes) {
      blocks.push_back(base::ByteView(chunk).subspan(i, std::min<std::size_t>(block_bytes, chunk.size() - i)));
    }
    std::vector<repository::BlockName> names(blocks.size());
    writer.names_of(blocks, names);
    meter.step("claim");
    std::vector<std::size_t> fresh;
    for (std::size_t i = 0; i < names.size(); ++i) {
      tree.set(at / block_bytes + i, names[i]);
      if (writer.claim(names[i])) fresh.push_back(i);
    }
    meter.step("frame");
    std::vector<repository::SealedFrame> frames;
    if (fresh.size() == names.size()) {
      frames.push_back(builder.seal(names, chunk, block_bytes));
    } else {
      for (const std::size_t i : fresh) {
        if (auto frame = builder.add(names[i], blocks[i])) frames.push_back(std::move(*frame));
      }
    }
    meter.step("pack");
    for (repository::SealedFrame& frame : frames) writer.add(std::move(frame));
  }
  meter.step("finish");
  if (auto frame = builder.flush()) writer.add(std::move(*frame));
  const repository::ImageRoot root = tree.finish();
  const repository::WriteStats stats = writer.finish();
  meter.print();
  fmt::print("  stored {:.1f} MiB of {:.1f} MiB new in {} blocks\n",
             static_cast<double>(stats.stored_bytes) / base::k_mib, static_cast<double>(stats.new_bytes) / base::k_mib,
             stats.new_blocks);
  return root;
}

void read_back(repository::Repository& source, const repository::ImageRoot& image) {
  Meter meter;
  meter.step("restore");
  repository::BlockReader reader(source);
  repository::ImageTreeReader tree(reader, source.config(), image);
  tree.for_each_leaf([&](std::uint64_t, std::span<const repository::BlockName> names) {
    std::map<repository::FrameLocation, std::vector<repository::WantedBlock>> frames;
    for (const repository::BlockName& name : names) {
      if (name.is_zero()) continue;
      const repository::BlockLocation at = reader.locate_or_fail(name);
      frames[at.frame].push_back({name, at.offset, at.length});
    }
    for (const auto& [frame, wanted] : frames) reader.read_frame(frame, wanted);
  });
  meter.print();
}

void measure(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3)
    base::fail(base::Fault::usage, "usage: repository_rates FILE EMPTY-FOLDER [LEVEL] [plain|encrypted] [FRAME-KIB]");
  const std::filesystem::path folder = arguments[2];
  const int level = arguments.size() > 3 ? std::atoi(arguments[3].c_str()) : repository::k_compression_level_default;
  const bool encrypt = arguments.size() < 5 || arguments[4] != "plain";
  const std::uint32_t frame_bytes = arguments.size() < 6
                                        ? repository::InitOptions().frame_bytes
                                        : static_cast<std::uint32_t>(std::atoi(arguments[5].c_str()) * 1024);
  const auto storage = icecore::storage::open_storage((folder / "repository").string(), true);
  if (encrypt) repository::create_key_file(folder / "key");
  const repository::Credential credential =
      encrypt ? repository::Credential(repository::KeyFile{folder / "key"}) : repository::Credential();
  repository::Repository::create(*storage, {.encrypt = encrypt, .frame_bytes = frame_bytes}, credential);
  repository::Repository opened(*storage, credential, folder / "cache");
  fmt::print("first backup\n");
  const repository::ImageRoot image = store(opened, arguments[1], level);
  fmt::print("second backup of the same\n");
  store(opened, arguments[1], level);
  fmt::print("restore\n");
  read_back(opened, image);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  fmt::print("peak resident {:.0f} MiB\n", static_cast<double>(usage.ru_maxrss) / 1024);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    measure({arguments, arguments + count});
    return EXIT_SUCCESS;
  } catch (const base::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
}
