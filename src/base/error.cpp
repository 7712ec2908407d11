// SPDX-License-Identifier: Apache-2.0
#include "base/error.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

namespace icecore::base {

namespace {

Fault fault_of(int error_number) noexcept {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT: return Fault::no_space;
    case ENOENT:
    case ENOTDIR: return Fault::not_found;
    case EACCES:
    case EPERM:
    case EROFS: return Fault::denied;
    case EBUSY:
    case EAGAIN:
    case ETXTBSY: return Fault::busy;
    default: return Fault::unavailable;
  }
}

}  // namespace

std::string_view to_string(Fault fault) noexcept {
  switch (fault) {
    case Fault::usage: return "usage";
    case Fault::not_found: return "not_found";
    case Fault::busy: return "busy";
    case Fault::unavailable: return "unavailable";
    case Fault::no_space: return "no_space";
    case Fault::denied: return "denied";
    case Fault::corrupt: return "corrupt";
    case Fault::conflict: return "conflict";
    case Fault::cancelled: return "cancelled";
    case Fault::internal: return "internal";
  }
  return "internal";
}

Error::Error(Fault fault, std::string message) : fault_(fault), text_(std::move(message)) {}

Error& Error::add_context(std::string context) {
  text_ = std::move(context) + ": " + text_;
  return *this;
}

Error& Error::add_hint(std::string hint) {
  if (hint_.empty()) hint_ = std::move(hint);
  return *this;
}

void fail_errno(int error_number, std::string_view what) {
  throw Error(fault_of(error_number), fmt::format("{}: {}", what, std::generic_category().message(error_number)));
}

std::string describe(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace icecore::base
