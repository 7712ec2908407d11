// SPDX-License-Identifier: Apache-2.0
// Owners of foreign resources. These and the scope guard are the only hand-written destructors of the
// program: everything else follows the rule of zero.
#pragma once

#include <unistd.h>

#include <type_traits>
#include <utility>

namespace icecore::base {

// Deleter for unique_ptr over a C library's free function:
//   using DomainHandle = std::unique_ptr<virDomain, FreeWith<&virDomainFree>>;
template <auto free_function>
struct FreeWith {
  template <typename T>
  void operator()(T* pointer) const noexcept {
    static_cast<void>(free_function(pointer));
  }
};

// A file descriptor. Closes on destruction; -1 owns nothing.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// Runs action on scope exit unless dismissed. The action must not throw.
template <typename Action>
class [[nodiscard]] ScopeExit {
 public:
  explicit ScopeExit(Action action) : action_(std::move(action)) {}
  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;
  ~ScopeExit() {
    if (armed_) action_();
  }
  void dismiss() noexcept { armed_ = false; }

 private:
  Action action_;
  bool armed_ = true;
};

}  // namespace icecore::base
