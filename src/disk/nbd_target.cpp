// SPDX-License-Identifier: Apache-2.0
#include "disk/nbd_target.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "disk/zero_runs.hpp"

namespace icecore::disk {

namespace {

constexpr std::size_t k_in_flight_max = 16;         // requests a writer
constexpr std::size_t k_request_max = base::k_mib;  // bytes
// Closing writes what QEMU still has cached of the image's tables.
constexpr base::Milliseconds k_close_max = std::chrono::minutes(10);

// The smallest run of zeros whose leaving out saves space: what the format allocates at a time, at least a
// page. Coarser zeros were left out before they came here.
std::size_t zero_grain(const TargetLayout& layout) {
  constexpr std::uint64_t k_subclusters = 32;
  const std::uint64_t unit = layout.extended_l2 ? layout.cluster_size / k_subclusters : layout.cluster_size;
  return static_cast<std::size_t>(std::clamp(unit, 4 * base::k_kib, base::k_mib));
}

}  // namespace

NbdTarget::NbdTarget(const TargetOptions& options)
    : path_(options.image),
      server_({.image = options.image,
               .format = options.layout.format,
               .writable = true,
               .connections = options.writers,
               .table_bytes = std::min(options.layout.cluster_size, 64 * base::k_kib)}) {
  try {
    for (unsigned i = 0; i < options.writers; ++i) {
      writers_.push_back(std::make_unique<Writer>(NbdConnection::to_socket(server_.socket()), options));
    }
  } catch (const base::Error&) {
    server_.explain_failure();
    throw;
  }
  server_.forget_socket();
}

// qemu-nbd ends by itself when the last client says goodbye, closing the image, and with success whatever became of the
// tables it still had cached: only a flush tells. It does not reach the device: our fsync of the closed file is the one
// that counts.
void NbdTarget::finish(const std::stop_token& stop) {
  for (const auto& each : writers_) each->drain(stop);
  if (!writers_.empty()) writers_.front()->flush(stop);
  for (const auto& each : writers_) each->disconnect();
  writers_.clear();
  server_.expect_clean_end(k_close_max);
  const base::Fd file = base::open_file(path_, O_RDONLY);
  if (::fsync(file.get()) != 0) base::fail_errno(errno, "fsync '" + path_.string() + "'");
  base::sync_folder(path_.parent_path());
}

NbdTarget::Writer::Writer(NbdConnection connection, const TargetOptions& options)
    : path_(options.image.string()), grain_(zero_grain(options.layout)), connection_(std::move(connection)) {}

void NbdTarget::Writer::write(std::uint64_t offset, base::ByteView bytes, const std::stop_token& stop) {
  for_each_nonzero_run(offset, bytes, grain_, [&](std::uint64_t at, base::ByteView run) { write_run(at, run, stop); });
}

void NbdTarget::Writer::write_run(std::uint64_t offset, base::ByteView bytes, const std::stop_token& stop) {
  while (!bytes.empty()) {
    const std::size_t length = std::min(bytes.size(), k_request_max);
    while (in_flight_.size() >= k_in_flight_max) retire_oldest(stop);
    connection_.start_write(bytes.first(length), offset, in_flight_.emplace_back());
    bytes = bytes.subspan(length);
    offset += length;
  }
}

void NbdTarget::Writer::drain(const std::stop_token& stop) {
  while (!in_flight_.empty()) retire_oldest(stop);
}

void NbdTarget::Writer::retire_oldest(const std::stop_token& stop) {
  connection_.wait(in_flight_.front(), fmt::format("write '{}'", path_), stop);
  in_flight_.pop_front();
}

void NbdTarget::Writer::flush(const std::stop_token& stop) {
  base::with_context([&] { connection_.flush(stop); }, "write '{}'", path_);
}

void NbdTarget::Writer::disconnect() { connection_.disconnect(); }

}  // namespace icecore::disk
