// SPDX-License-Identifier: Apache-2.0
// libvirt's errors as ours. Internal to this room: libvirt keeps its last error per thread until the next call, one
// that only frees a handle too, so it is copied in the same expression as the call that failed.
#pragma once

#include <optional>
#include <string>

#include "base/error.hpp"

namespace icecore::hypervisor {

// What libvirt said about the last failed call of this thread.
struct LibvirtError {
  int code = 0;  // VIR_ERR_*
  std::string message;
};
LibvirtError last_libvirt_error();
// Of a call that returned `result`; nothing when it did not fail.
std::optional<LibvirtError> refusal(int result);

base::Fault fault_of(int libvirt_code) noexcept;

// True when the error means that the connection, not the call, failed: a new connection may do better.
bool is_connection_loss(const LibvirtError& error) noexcept;

[[noreturn]] void throw_libvirt_error(const LibvirtError& error, std::string what);

// Nothing of libvirt's goes to standard error from now on; call once per process before the first connection.
void silence_libvirt();

// For calls that return a pointer or a count: null and -1 are failures.
template <typename T, typename... Args>
T* check(T* result, fmt::format_string<Args...> what, Args&&... args) {
  if (result == nullptr) throw_libvirt_error(last_libvirt_error(), fmt::format(what, std::forward<Args>(args)...));
  return result;
}
template <typename... Args>
int check(int result, fmt::format_string<Args...> what, Args&&... args) {
  if (result < 0) throw_libvirt_error(last_libvirt_error(), fmt::format(what, std::forward<Args>(args)...));
  return result;
}

}  // namespace icecore::hypervisor
