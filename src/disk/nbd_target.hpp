// SPDX-License-Identifier: Apache-2.0
// Writes a qcow2 image through qemu-nbd: QEMU alone lays out the file. One connection a writer, many
// requests in flight on each, straight from the caller's memory.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "disk/disk_target.hpp"
#include "disk/nbd_connection.hpp"
#include "disk/nbd_server.hpp"

namespace icecore::disk {

class NbdTarget final : public DiskTarget {
 public:
  explicit NbdTarget(const TargetOptions& options);

  TargetWriter& writer(unsigned index) override { return *writers_.at(index); }
  void finish(const std::stop_token& stop) override;

 private:
  class Writer final : public TargetWriter {
   public:
    Writer(NbdConnection connection, const TargetOptions& options);
    void write(std::uint64_t offset, base::ByteView bytes, const std::stop_token& stop) override;
    void drain(const std::stop_token& stop) override;
    void flush(const std::stop_token& stop);
    void disconnect();

   private:
    void write_run(std::uint64_t offset, base::ByteView bytes, const std::stop_token& stop);
    void retire_oldest(const std::stop_token& stop);

    std::string path_;
    std::size_t grain_;
    std::list<Completion> in_flight_;  // oldest first; the connection writes into them
    NbdConnection connection_;
  };

  std::filesystem::path path_;
  NbdServer server_;
  std::vector<std::unique_ptr<Writer>> writers_;
};

}  // namespace icecore::disk
