// SPDX-License-Identifier: Apache-2.0
// The one exception type. A Fault answers the three questions a caller may ask (retry? exit code? job
// outcome?) and nothing else; everything a person needs stands in the message and its contexts.
#pragma once

#include <fmt/core.h>

#include <exception>
#include <string>
#include <string_view>

namespace icecore::base {

enum class Fault {
  usage,        // the request itself is wrong; asking again changes nothing
  not_found,    // the named domain, disk, point, object or file does not exist
  busy,         // somebody else holds it; may work later
  unavailable,  // a service, host or device does not answer; may work later
  no_space,     // a file system or quota is full
  denied,       // permission, wrong key or wrong passphrase
  corrupt,      // stored or received bytes are not what was written
  conflict,     // the world differs from what was recorded; a person has to look
  cancelled,    // asked to stop
  internal,     // a bug, or a library failing in a way we do not know
};

// The fault's name as in `--json` output and logs.
std::string_view to_string(Fault fault) noexcept;

class Error : public std::exception {
 public:
  Error(Fault fault, std::string message);

  // Adds what an outer layer knows ("reading disk 'vda' of 'web1'"). Contexts print before the message,
  // outermost first: "outer: inner: message".
  Error& add_context(std::string context);

  // The next command to type, printed on a line of its own by the CLI. The innermost hint wins.
  Error& add_hint(std::string hint);

  Fault fault() const noexcept { return fault_; }
  const std::string& hint() const noexcept { return hint_; }
  // Contexts and message joined with ": ". Owned by the exception.
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  Fault fault_;
  std::string text_;
  std::string hint_;
};

template <typename... Args>
[[noreturn]] void fail(Fault fault, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fault, fmt::format(format, std::forward<Args>(args)...));
}

// Throws with strerror(error_number) appended; ENOSPC, EDQUOT, ENOENT, EACCES, ... choose the fault.
[[noreturn]] void fail_errno(int error_number, std::string_view what);

// The message of any exception, for logs and for walls (worker thread, job step, C callback, main).
std::string describe(const std::exception_ptr& failure);

// Runs action(); an Error leaving it gains the context. The format is only evaluated on failure.
template <typename Action, typename... Args>
decltype(auto) with_context(Action&& action, fmt::format_string<Args...> format, Args&&... args) {
  try {
    return std::forward<Action>(action)();
  } catch (Error& error) {
    error.add_context(fmt::format(format, std::forward<Args>(args)...));
    throw;
  }
}

}  // namespace icecore::base
