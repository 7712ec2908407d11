// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/storage_pool.hpp"

#include <fmt/ranges.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

using PoolHandle = std::unique_ptr<virStoragePool, base::FreeWith<&virStoragePoolFree>>;
using TextHandle = std::unique_ptr<char, base::FreeWith<&std::free>>;

std::vector<std::string> pool_names(Connection& connection) {
  virStoragePoolPtr* list = nullptr;
  const int count = check(virConnectListAllStoragePools(connection.raw(), &list, 0), "listing the storage pools");
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    names.emplace_back(virStoragePoolGetName(list[i]));
    virStoragePoolFree(list[i]);
  }
  std::free(list);
  return names;
}

// Null when there is none.
PoolHandle look_up(Connection& connection, const std::string& name) {
  PoolHandle pool(virStoragePoolLookupByName(connection.raw(), name.c_str()));
  if (pool) return pool;
  const LibvirtError error = last_libvirt_error();
  if (error.code != VIR_ERR_NO_STORAGE_POOL) throw_libvirt_error(error, "looking for storage pool '" + name + "'");
  return nullptr;
}

PoolHandle need(Connection& connection, const std::string& name) {
  PoolHandle pool = look_up(connection, name);
  if (pool) return pool;
  base::Error error(Fault::not_found, fmt::format("there is no storage pool '{}'", name));
  const std::vector<std::string> known = pool_names(connection);
  throw error.add_hint(known.empty() ? "libvirt knows no pool: virsh pool-define-as"
                                     : fmt::format("there are: {}", fmt::join(known, ", ")));
}

}  // namespace

StoragePool find_pool(Connection& connection, const std::string& name) {
  const PoolHandle pool = need(connection, name);
  const TextHandle text(check(virStoragePoolGetXMLDesc(pool.get(), 0), "reading storage pool '{}'", name));
  const XmlDocument document = XmlDocument::parse(text.get(), "the XML of storage pool '" + name + "'");
  return {.name = name,
          .type = document.root().attribute("type"),
          .active = check(virStoragePoolIsActive(pool.get()), "asking whether pool '{}' is started", name) == 1,
          .path = document.root().path("target", "path").text()};
}

void refresh_pool(Connection& connection, const std::string& name) {
  const PoolHandle pool = need(connection, name);
  check(virStoragePoolRefresh(pool.get(), 0), "refreshing storage pool '{}'", name);
}

}  // namespace icecore::hypervisor
