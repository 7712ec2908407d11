// SPDX-License-Identifier: Apache-2.0
#include "memory/save_file_target.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <vector>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/handle.hpp"
#include "memory/record_encoder.hpp"

namespace icecore::memory {

namespace {

using Write = std::function<void(std::uint64_t offset, base::ByteView bytes)>;

// Done when write() returns.
class DirectWriter final : public disk::TargetWriter {
 public:
  explicit DirectWriter(const Write& write) : write_(write) {}
  void write(std::uint64_t offset, base::ByteView bytes, const std::stop_token& stop) override {
    if (stop.stop_requested()) base::fail(base::Fault::cancelled, "writing the memory was interrupted");
    write_(offset, bytes);
  }
  void drain(const std::stop_token&) override {}

 private:
  const Write& write_;
};

class DirectTarget : public disk::DiskTarget {
 public:
  DirectTarget(Write write, unsigned writers) : write_(std::move(write)), writers_(writers, DirectWriter(write_)) {}
  DirectTarget(const DirectTarget&) = delete;
  DirectTarget& operator=(const DirectTarget&) = delete;
  ~DirectTarget() override = default;

  disk::TargetWriter& writer(unsigned index) override { return writers_.at(index); }
  void finish(const std::stop_token&) override {}

 private:
  const Write write_;
  std::vector<DirectWriter> writers_;
};

class NewFile {
 public:
  explicit NewFile(const std::filesystem::path& path)
      : path_(path), file_(base::open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600)) {}

  void write(std::uint64_t offset, base::ByteView bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) base::fail_errno(errno, fmt::format("write '{}' at {}", path_.string(), offset));
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
  }

 private:
  std::filesystem::path path_;
  base::Fd file_;
};

// Holds what DirectTarget's function needs: made before and destroyed after it.
struct SaveFile {
  SaveFile(const std::filesystem::path& path, const MemoryState& state) : encoder(state), file(path) {}
  RecordEncoder encoder;
  NewFile file;

  void write_rest(const MemoryState& state) const {
    file.write(0, encoder.beginning());
    file.write(encoder.end_at(), encoder.ending());
    for (const MemoryBlock& block : state.blocks) write_zero_pages(block);
  }
  void write_pages(std::uint64_t offset, base::ByteView bytes) const {
    base::Bytes records;
    records.reserve(bytes.size() + bytes.size() / 256);
    encoder.encode(offset, bytes, records);
    file.write(encoder.place_of(offset), records);
  }

 private:
  // The repository holds no block that is all zero, so their pages' records are written here.
  void write_zero_pages(const MemoryBlock& block) const {
    constexpr std::uint64_t k_run_max = 16 * 1024;
    base::Bytes records;
    for (std::uint64_t page = 0; page < block.pages.size();) {
      const std::uint64_t begin = page;
      while (page < block.pages.size() && page - begin < k_run_max && block.pages[page] != PageKind::content) ++page;
      if (page == begin) {
        ++page;
        continue;
      }
      records.clear();
      const std::uint64_t offset = block.image_offset + begin * k_page_bytes;
      encoder.encode_empty(offset, (page - begin) * k_page_bytes, records);
      file.write(encoder.place_of(offset), records);
    }
  }
};

}  // namespace

std::unique_ptr<disk::DiskTarget> open_save_file(const std::filesystem::path& path, const MemoryState& state,
                                                 unsigned writers) {
  const auto save_file = std::make_shared<SaveFile>(path, state);
  save_file->write_rest(state);
  return std::make_unique<DirectTarget>(
      [save_file](std::uint64_t offset, base::ByteView bytes) { save_file->write_pages(offset, bytes); }, writers);
}

std::unique_ptr<disk::DiskTarget> open_buffer(base::ByteSpan out, unsigned writers) {
  return std::make_unique<DirectTarget>(
      [out](std::uint64_t offset, base::ByteView bytes) {
        if (offset > out.size() || bytes.size() > out.size() - offset)
          base::fail(base::Fault::corrupt, "an image is longer than it says");
        std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(offset));
      },
      writers);
}

}  // namespace icecore::memory
