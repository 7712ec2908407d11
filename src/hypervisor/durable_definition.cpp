// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/durable_definition.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "hypervisor/state_folders.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

void sync_if_there(const std::filesystem::path& path, int flags) {
  try {
    const base::Fd fd = base::open_file(path, O_RDONLY | flags);
    if (::fsync(fd.get()) != 0) base::fail_errno(errno, "fsync '" + path.string() + "'");
  } catch (const base::Error& error) {
    if (error.fault() != Fault::not_found) throw;
  }
}

// Empty: it is gone.
std::string name_of(Connection& connection, const std::string& domain_uuid) {
  for (const DomainSummary& domain : connection.domains()) {
    if (domain.uuid == domain_uuid) return domain.name;
  }
  return {};
}

}  // namespace

void sync_definition(const std::filesystem::path& folder, const std::string& domain_name) {
  if (!domain_name.empty()) sync_if_there(folder / (domain_name + ".xml"), 0);
  sync_if_there(folder, O_DIRECTORY);
}

void make_definition_durable(Connection& connection, const std::string& domain_uuid) noexcept {
  try {
    const std::filesystem::path folder = definitions_folder(connection.uri());
    if (!folder.empty()) sync_definition(folder, name_of(connection, domain_uuid));
  } catch (const base::Error& error) {
    // Who may not look into libvirt's folder can do nothing about it.
    const auto level = error.fault() == Fault::denied ? base::LogLevel::verbose : base::LogLevel::normal;
    base::log_line(level, level == base::LogLevel::normal ? "warning" : "info",
                   fmt::format("domain {}: a power loss may bring its definition of before back, since this one could "
                               "not be made durable: {}",
                               domain_uuid, error.what()));
  } catch (const std::exception& error) {
    base::log_warning("domain {}: its definition could not be made durable: {}", domain_uuid, error.what());
  }
}

}  // namespace icecore::hypervisor
