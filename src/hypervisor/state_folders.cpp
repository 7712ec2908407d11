// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/state_folders.hpp"

#include <cstdlib>

namespace icecore::hypervisor {

namespace {

namespace fs = std::filesystem;

bool is_session(const std::string& uri) { return uri.find("/session") != std::string::npos; }

// "qemu:///system", "qemu+unix:///session?socket=...": a host would stand before the path.
bool is_local(const std::string& uri) { return uri.starts_with("qemu:///") || uri.starts_with("qemu+unix:///"); }

// Of a user's own libvirt.
fs::path session_folder() {
  const char* const config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && *config != '\0') return fs::path(config) / "libvirt/qemu";
  const char* const home = std::getenv("HOME");
  return fs::path(home == nullptr ? "/" : home) / ".config/libvirt/qemu";
}

}  // namespace

fs::path definitions_folder(const std::string& uri) {
  if (!is_local(uri)) return {};
  if (is_session(uri)) return session_folder();
  return uri.find(":///system") != std::string::npos ? fs::path("/etc/libvirt/qemu") : fs::path();
}

fs::path default_nvram_path(const std::string& uri, const std::string& domain_name) {
  const fs::path folder = is_session(uri) ? session_folder() / "nvram" : fs::path("/var/lib/libvirt/qemu/nvram");
  return folder / (domain_name + "_VARS.fd");
}

fs::path tpm_state_folder(const std::string& uri, const std::string& domain_uuid, const TpmModel& tpm) {
  if (tpm.source_type == "dir") return tpm.source;
  const fs::path folder = is_session(uri) ? session_folder() / "swtpm" : fs::path("/var/lib/libvirt/swtpm");
  return folder / domain_uuid / (tpm.version == "1.2" ? "tpm1.2" : "tpm2");
}

}  // namespace icecore::hypervisor
