// SPDX-License-Identifier: Apache-2.0
#include "disk/nbd_connection.hpp"

#include <libnbd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "base/error.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

// A server that has said nothing for so long with commands out is taken for dead.
constexpr base::Milliseconds k_silence_max = std::chrono::minutes(5);
constexpr base::Milliseconds k_connect_max = std::chrono::seconds(60);
constexpr int k_poll_milliseconds = 100;
constexpr std::uint32_t k_dirty = 1;  // in a qemu:dirty-bitmap context

[[noreturn]] void fail_as_nbd_said(std::string_view what) {
  const char* said = ::nbd_get_error();
  base::fail(Fault::unavailable, "cannot {}: {}", what, said != nullptr ? said : "unknown error");
}

template <typename Result>
Result check(Result result, std::string_view what) {
  if (result == Result{-1}) fail_as_nbd_said(what);
  return result;
}

// C callback: records and returns 1, which retires the command.
int on_completion(void* user_data, int* error) {
  auto* completion = static_cast<Completion*>(user_data);
  completion->error = *error;
  completion->done = true;
  return 1;
}

nbd_completion_callback report_to(Completion& completion) {
  completion = {};
  return {.callback = &on_completion, .user_data = &completion, .free = nullptr};
}

// What one meta context told.
struct ContextAnswer {
  std::string_view context;
  std::vector<std::uint32_t> entries;
};

int on_extents(void* user_data, const char* context, std::uint64_t, std::uint32_t* entries, std::size_t count, int*) {
  auto* answer = static_cast<ContextAnswer*>(user_data);
  if (context == answer->context) answer->entries.insert(answer->entries.end(), entries, entries + count);
  return 0;
}

}  // namespace

void NbdConnection::Closer::operator()(nbd_handle* handle) const noexcept { ::nbd_close(handle); }

NbdConnection NbdConnection::create(const std::string& context) {
  NbdConnection connection{std::unique_ptr<nbd_handle, Closer>(::nbd_create())};
  nbd_handle* const handle = connection.handle_.get();
  if (handle == nullptr) fail_as_nbd_said("create an NBD handle");
  check(::nbd_add_meta_context(handle, context.c_str()), "ask for block status");
  // Zero-filling every buffer before a read costs more than the read; failed reads throw here.
  check(::nbd_set_pread_initialize(handle, false), "set up an NBD handle");
  return connection;
}

NbdConnection NbdConnection::to_socket(const std::filesystem::path& socket, const std::stop_token& stop) {
  NbdConnection connection = create(LIBNBD_CONTEXT_BASE_ALLOCATION);
  check(::nbd_aio_connect_unix(connection.handle_.get(), socket.c_str()), "connect to qemu-nbd");
  connection.finish_connecting("connect to qemu-nbd", stop);
  return connection;
}

NbdConnection NbdConnection::to_bitmap(const std::filesystem::path& socket, const std::string& bitmap,
                                       const std::stop_token& stop) {
  const std::string context = "qemu:dirty-bitmap:" + bitmap;
  NbdConnection connection = create(context);
  connection.bitmap_context_ = context;
  check(::nbd_aio_connect_unix(connection.handle_.get(), socket.c_str()), "connect to qemu-nbd");
  connection.finish_connecting("connect to qemu-nbd", stop);
  return connection;
}

NbdConnection NbdConnection::to_uri(const std::string& uri, const std::stop_token& stop) {
  NbdConnection connection = create(LIBNBD_CONTEXT_BASE_ALLOCATION);
  const std::string what = fmt::format("connect to '{}'", uri);
  check(::nbd_aio_connect_uri(connection.handle_.get(), uri.c_str()), what);
  connection.finish_connecting(what, stop);
  return connection;
}

void NbdConnection::finish_connecting(const std::string& what, const std::stop_token& stop) {
  const base::Stopwatch watch;
  while (::nbd_aio_is_connecting(handle_.get()) == 1) {
    if (stop.stop_requested()) base::fail(Fault::cancelled, "{}: interrupted", what);
    if (watch.elapsed() > k_connect_max) base::fail(Fault::unavailable, "cannot {}: no answer", what);
    check(::nbd_poll(handle_.get(), k_poll_milliseconds), what);
  }
  if (::nbd_aio_is_ready(handle_.get()) != 1) fail_as_nbd_said(what);
}

std::uint64_t NbdConnection::size() const {
  return static_cast<std::uint64_t>(check(::nbd_get_size(handle_.get()), "ask for the disk's size"));
}

bool NbdConnection::knows_block_status() const {
  return ::nbd_can_meta_context(handle_.get(), LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
}

void NbdConnection::start_read(base::ByteSpan out, std::uint64_t offset, Completion& completion) {
  if (::nbd_aio_in_flight(handle_.get()) == 0) since_event_ = {};
  check(::nbd_aio_pread(handle_.get(), out.data(), out.size(), offset, report_to(completion), 0), "read over NBD");
}

void NbdConnection::start_write(base::ByteView bytes, std::uint64_t offset, Completion& completion) {
  if (::nbd_aio_in_flight(handle_.get()) == 0) since_event_ = {};
  check(::nbd_aio_pwrite(handle_.get(), bytes.data(), bytes.size(), offset, report_to(completion), 0),
        "write over NBD");
}

void NbdConnection::poll(const std::stop_token& stop) {
  if (stop.stop_requested()) base::fail(Fault::cancelled, "stopped on request");
  const int events = check(::nbd_poll(handle_.get(), k_poll_milliseconds), "talk to the NBD server");
  if (events > 0) since_event_ = {};
  if (::nbd_aio_is_dead(handle_.get()) == 1 || ::nbd_aio_is_closed(handle_.get()) == 1) {
    base::fail(Fault::unavailable, "the NBD server has gone");
  }
  if (since_event_.elapsed() > k_silence_max) base::fail(Fault::unavailable, "the NBD server no longer answers");
}

void NbdConnection::wait(const Completion& completion, std::string_view what, const std::stop_token& stop) {
  while (!completion.done) poll(stop);
  expect_ok(completion, what);
}

std::vector<std::uint32_t> NbdConnection::ask_context(const std::string& context, std::uint64_t offset,
                                                      std::uint64_t length, const std::stop_token& stop) {
  if (::nbd_aio_in_flight(handle_.get()) == 0) since_event_ = {};
  ContextAnswer answer{context, {}};
  Completion completion;
  const nbd_extent_callback extents{.callback = &on_extents, .user_data = &answer, .free = nullptr};
  const std::string what = fmt::format("ask for {} at {}", context, offset);
  check(::nbd_aio_block_status(handle_.get(), length, offset, extents, report_to(completion), 0), what);
  wait(completion, what, stop);
  if (answer.entries.size() < 2)
    base::fail(Fault::unavailable, "the NBD server tells nothing of {} at {}", context, offset);
  return std::move(answer.entries);
}

std::vector<BlockStatus> NbdConnection::block_status(std::uint64_t offset, std::uint64_t length,
                                                     const std::stop_token& stop) {
  if (!knows_block_status()) return {{length, false}};
  const std::vector<std::uint32_t> entries = ask_context(LIBNBD_CONTEXT_BASE_ALLOCATION, offset, length, stop);
  std::vector<BlockStatus> found;
  for (std::size_t i = 0; i + 1 < entries.size(); i += 2)
    found.push_back({entries[i], (entries[i + 1] & LIBNBD_STATE_ZERO) != 0});
  return found;
}

std::vector<BitmapStatus> NbdConnection::bitmap_status(std::uint64_t offset, std::uint64_t length,
                                                       const std::stop_token& stop) {
  if (bitmap_context_.empty() || ::nbd_can_meta_context(handle_.get(), bitmap_context_.c_str()) != 1)
    base::fail(Fault::unavailable, "the NBD server does not tell about {}", bitmap_context_);
  const std::vector<std::uint32_t> entries = ask_context(bitmap_context_, offset, length, stop);
  std::vector<BitmapStatus> found;
  for (std::size_t i = 0; i + 1 < entries.size(); i += 2)
    found.push_back({entries[i], (entries[i + 1] & k_dirty) != 0});
  return found;
}

void NbdConnection::flush(const std::stop_token& stop) {
  if (::nbd_can_flush(handle_.get()) != 1) return;
  Completion completion;
  since_event_ = {};
  check(::nbd_aio_flush(handle_.get(), report_to(completion), 0), "flush over NBD");
  wait(completion, "flush the disk", stop);
}

void NbdConnection::disconnect() { check(::nbd_shutdown(handle_.get(), 0), "disconnect from the NBD server"); }

void expect_ok(const Completion& completion, std::string_view what) {
  assert(completion.done);
  if (completion.error != 0) base::fail_errno(completion.error, what);
}

}  // namespace icecore::disk
