// SPDX-License-Identifier: Apache-2.0
// Reads a disk through qemu-nbd (or any NBD server): block status first, then many reads in flight.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "disk/disk_source.hpp"
#include "disk/nbd_connection.hpp"
#include "disk/nbd_server.hpp"
#include "disk/window_planner.hpp"

namespace icecore::disk {

// A connection and, unless options name a URI, the server behind it. One thread at a time.
class NbdReader {
 public:
  explicit NbdReader(const SourceOptions& options);

  NbdConnection& connection() noexcept { return connection_; }
  // One read, waited for.
  void read(std::uint64_t offset, base::ByteSpan out, const std::stop_token& stop);

 private:
  NbdConnection connect();

  const SourceOptions& options_;
  std::optional<NbdServer> server_;
  NbdConnection connection_;
};

class NbdSource final : public DiskSource {
 public:
  explicit NbdSource(const SourceOptions& options);
  ~NbdSource() override;

  std::unique_ptr<ExtentStream> extents() override;
  void start(std::span<const Extent> wanted) override;
  std::optional<Chunk> next(const std::stop_token& stop) override;

 private:
  // A window whose pieces are being read into its chunk.
  struct Request {
    Window window;
    Chunk chunk;
    std::vector<Completion> completions;  // one a piece; never resized once queued
    bool done() const;
  };

  bool fill_up(const std::stop_token& stop);
  void begin(Window window, flow::Buffer buffer);
  Chunk finish_oldest(const std::stop_token& stop);

  SourceOptions options_;
  std::mutex mutex_;              // guards all below: whoever calls next() drives the connection
  std::deque<Request> requests_;  // oldest first; declared before the connection, which writes into them
  NbdReader reader_;
  std::unique_ptr<WindowPlanner> planner_;
  bool planned_all_ = true;
  std::optional<Window> waiting_;  // planned, no buffer yet
  std::uint64_t next_index_ = 0;
};

}  // namespace icecore::disk
