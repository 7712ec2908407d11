// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/libvirt_error.hpp"

#include <libvirt/virterror.h>

#include <string_view>

namespace icecore::hypervisor {

namespace {

using base::Fault;

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// libvirt files some situations under its catch-all code; only the text tells them apart.
Fault refined_fault(const LibvirtError& error) {
  if (is_connection_loss(error)) return Fault::unavailable;
  if (contains(error.message, "No space left on device")) return Fault::no_space;
  if (contains(error.message, "Permission denied")) return Fault::denied;
  if (contains(error.message, "cannot acquire state change lock")) return Fault::busy;
  if (contains(error.message, "Is another process using the image")) return Fault::busy;
  // Of a device that QEMU cannot save: trying again helps no one.
  if (contains(error.message, "cannot migrate domain")) return Fault::conflict;
  return fault_of(error.code);
}

}  // namespace

LibvirtError last_libvirt_error() {
  const virError* error = virGetLastError();
  if (error == nullptr || error->code == VIR_ERR_OK) return {VIR_ERR_INTERNAL_ERROR, "libvirt gave no reason"};
  return {error->code, error->message == nullptr ? "libvirt gave no reason" : error->message};
}

std::optional<LibvirtError> refusal(int result) {
  if (result >= 0) return std::nullopt;
  return last_libvirt_error();
}

Fault fault_of(int libvirt_code) noexcept {
  switch (libvirt_code) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_DOMAIN_SNAPSHOT:
    case VIR_ERR_NO_DOMAIN_METADATA:
    case VIR_ERR_NO_STORAGE_POOL:
    case VIR_ERR_NO_STORAGE_VOL: return Fault::not_found;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_OPERATION_DENIED: return Fault::denied;
    case VIR_ERR_RPC:
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_SYSTEM_ERROR:
    case VIR_ERR_AGENT_UNRESPONSIVE:
    case VIR_ERR_AGENT_UNSYNCED:
    case VIR_ERR_OPERATION_ABORTED:
    case VIR_ERR_OPERATION_FAILED: return Fault::unavailable;
    case VIR_ERR_RESOURCE_BUSY:
    case VIR_ERR_OPERATION_TIMEOUT:
    case VIR_ERR_BLOCK_COPY_ACTIVE:
    case VIR_ERR_OPERATION_INVALID: return Fault::busy;
    case VIR_ERR_DOM_EXIST: return Fault::conflict;
    case VIR_ERR_INVALID_ARG:
    case VIR_ERR_XML_ERROR:
    case VIR_ERR_XML_DETAIL:
    case VIR_ERR_XML_INVALID_SCHEMA:
    case VIR_ERR_UNKNOWN_HOST:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
    case VIR_ERR_NO_SUPPORT: return Fault::usage;
    default: return Fault::internal;
  }
}

bool is_connection_loss(const LibvirtError& error) noexcept {
  return error.code == VIR_ERR_RPC || error.code == VIR_ERR_INVALID_CONN || error.code == VIR_ERR_NO_CONNECT ||
         contains(error.message, "client socket is closed") || contains(error.message, "connection closed due to") ||
         contains(error.message, "End of file while reading data");
}

void throw_libvirt_error(const LibvirtError& error, std::string what) {
  base::Error failure(refined_fault(error), error.message);
  failure.add_context(std::move(what));
  throw failure;
}

void silence_libvirt() {
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

}  // namespace icecore::hypervisor
