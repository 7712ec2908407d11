// SPDX-License-Identifier: Apache-2.0
// One libnbd handle: commands are queued, completions come in while we poll. libnbd stays in this room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"

struct nbd_handle;

namespace icecore::disk {

// How a queued command went. The owner keeps it in place until `done`.
struct Completion {
  bool done = false;
  int error = 0;  // errno
};

// A range of the export and whether base:allocation says it reads as zeros without being read.
struct BlockStatus {
  std::uint64_t length = 0;
  bool zero = false;
};

// A range of the export and whether a bitmap marks it.
struct BitmapStatus {
  std::uint64_t length = 0;
  bool dirty = false;
};

// One thread at a time.
class NbdConnection {
 public:
  // Connect, with the base:allocation context. Throws Fault::unavailable or cancelled.
  static NbdConnection to_socket(const std::filesystem::path& socket, const std::stop_token& stop = {});
  static NbdConnection to_uri(const std::string& uri, const std::stop_token& stop = {});
  // The same to a server with a bitmap of that name, to ask for bitmap_status().
  static NbdConnection to_bitmap(const std::filesystem::path& socket, const std::string& bitmap,
                                 const std::stop_token& stop = {});

  std::uint64_t size() const;
  // Whether the server can tell holes from data; without, everything counts as data.
  bool knows_block_status() const;

  // Queue a command; memory and completion stay valid until it is done (or this object is gone).
  void start_read(base::ByteSpan out, std::uint64_t offset, Completion& completion);
  void start_write(base::ByteView bytes, std::uint64_t offset, Completion& completion);

  // Waits for something to happen, at most 100 ms. Throws Fault::cancelled on stop, unavailable when the
  // server has gone or has not answered anything for `silence_max` while commands were out.
  void poll(const std::stop_token& stop);
  // Polls until done, then throws the command's error: "cannot {what}: ...".
  void wait(const Completion& completion, std::string_view what, const std::stop_token& stop);

  // Consecutive ranges from `offset`, together at most `length` and at least one.
  std::vector<BlockStatus> block_status(std::uint64_t offset, std::uint64_t length, const std::stop_token& stop);
  // The same of the bitmap given to to_bitmap(). Throws Fault::unavailable when the server does not know it.
  std::vector<BitmapStatus> bitmap_status(std::uint64_t offset, std::uint64_t length, const std::stop_token& stop);
  void flush(const std::stop_token& stop);
  // Says goodbye; the server may close. No command may be out.
  void disconnect();

 private:
  struct Closer {
    void operator()(nbd_handle* handle) const noexcept;
  };
  explicit NbdConnection(std::unique_ptr<nbd_handle, Closer> handle) : handle_(std::move(handle)) {}
  static NbdConnection create(const std::string& context);
  // Consecutive ranges as a meta context tells them: length, flags, length, flags ...
  std::vector<std::uint32_t> ask_context(const std::string& context, std::uint64_t offset, std::uint64_t length,
                                         const std::stop_token& stop);
  void finish_connecting(const std::string& what, const std::stop_token& stop);

  std::unique_ptr<nbd_handle, Closer> handle_;
  std::string bitmap_context_;
  base::Stopwatch since_event_;
};

// Throws `completion`'s error as "cannot {what}: ...".
void expect_ok(const Completion& completion, std::string_view what);

}  // namespace icecore::disk
