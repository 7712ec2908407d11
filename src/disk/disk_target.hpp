// SPDX-License-Identifier: Apache-2.0
// Writes a restored disk: a new image file, data only, so that what was a hole stays one; or in place onto a block
// device, whose old content gives way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "base/bytes.hpp"

namespace icecore::disk {

// How a new image is made; taken from the original's ImageInfo.
struct TargetLayout {
  std::string format = "qcow2";  // or "raw"
  std::uint64_t virtual_size = 0;
  std::uint64_t cluster_size = 64 * base::k_kib;  // qcow2 only, like the next two
  std::string compat = "1.1";
  bool extended_l2 = false;
};

// Makes an empty image, readable by its owner only. Throws Fault::conflict when the path exists; a failure
// leaves no file.
void create_image(const std::filesystem::path& path, const TargetLayout& layout);

// One thread's way to write. Owned by the target.
class TargetWriter {
 public:
  virtual ~TargetWriter() = default;
  // Queues bytes at the disk's offset. They must stay as they are until drain(). May wait for earlier
  // writes. Ranges of different writers must not overlap. Large calls are cheap calls.
  virtual void write(std::uint64_t offset, base::ByteView bytes, const std::stop_token& stop) = 0;
  // Waits for what this writer has queued. Throws the first error.
  virtual void drain(const std::stop_token& stop) = 0;
};

struct TargetOptions {
  std::filesystem::path image;  // fresh from create_image(): everything not written reads as zeros
  TargetLayout layout;          // as given to create_image()
  unsigned writers = 2;         // one a thread
  bool device = false;          // a block device instead, raw: claimed while the target lives, and read as zeros only
                                // where zero() or zeros were written
};

// The thread that opens a target must outlive it. Without finish() the image is garbage to be removed.
class DiskTarget {
 public:
  static std::unique_ptr<DiskTarget> open(const TargetOptions& options);
  virtual ~DiskTarget() = default;

  // index < options.writers; each to be used by one thread at a time.
  virtual TargetWriter& writer(unsigned index) = 0;

  // Makes [from, to) read as zeros; to beyond the end means all the rest. Nothing to do in a fresh image. Ranges must
  // not overlap what is written.
  virtual void zero(std::uint64_t from, std::uint64_t to, const std::stop_token& stop);

  // After all writers are drained: closes the image and makes file and name durable.
  virtual void finish(const std::stop_token& stop) = 0;
};

}  // namespace icecore::disk
