// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/volume.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "base/handle.hpp"
#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

using Pool = std::unique_ptr<virStoragePool, base::FreeWith<&virStoragePoolFree>>;
using Volume = std::unique_ptr<virStorageVol, base::FreeWith<&virStorageVolFree>>;
struct FreeText {
  void operator()(char* text) const noexcept { std::free(text); }
};
using Text = std::unique_ptr<char, FreeText>;

// In these a volume is always <target path of the pool>/<name of the volume>.
constexpr std::array k_local_pools = {"dir", "fs", "netfs", "logical"};

// Asked again over a new connection when the present one turns out to be dead.
Pool find_pool(Connection& connection, const std::string& name) {
  Pool pool(virStoragePoolLookupByName(connection.raw(), name.c_str()));
  if (!pool && is_connection_loss(last_libvirt_error()))
    pool.reset(virStoragePoolLookupByName(connection.raw(), name.c_str()));
  if (pool) return pool;
  const LibvirtError error = last_libvirt_error();
  if (error.code != VIR_ERR_NO_STORAGE_POOL) throw_libvirt_error(error, "looking up storage pool '" + name + "'");
  return pool;
}

// What libvirt itself says, where the pool is started and knows the volume.
std::string path_by_libvirt(virStoragePool* pool, const std::string& name) {
  const Volume volume(virStorageVolLookupByName(pool, name.c_str()));
  const Text path(volume ? virStorageVolGetPath(volume.get()) : nullptr);
  return path ? path.get() : std::string();
}

void resolve(Connection& connection, ImageSource& image) {
  const Pool pool = find_pool(connection, image.pool);
  if (!pool) {
    image.unresolved = fmt::format("libvirt knows no storage pool '{}'", image.pool);
    return;
  }
  const std::string what = fmt::format("the XML of storage pool '{}'", image.pool);
  const Text text(check(virStoragePoolGetXMLDesc(pool.get(), 0), "reading {}", what));
  const XmlDocument document = XmlDocument::parse(text.get(), what);
  const std::string type = document.root().attribute("type");
  if (std::find(k_local_pools.begin(), k_local_pools.end(), type) == k_local_pools.end()) {
    image.unresolved = fmt::format(
        "volumes of storage pool '{}', which is of type '{}', cannot be read by this version", image.pool, type);
    return;
  }
  image.path = path_by_libvirt(pool.get(), image.volume);
  if (image.path.empty()) image.path = document.root().path("target", "path").text() + "/" + image.volume;
}

}  // namespace

void resolve_volumes(Connection& connection, DomainModel& model) {
  const auto if_volume = [&](ImageSource& image) {
    if (image.kind == SourceKind::volume) resolve(connection, image);
  };
  for (DiskModel& disk : model.disks) {
    if_volume(disk.source);
    for (ImageSource& image : disk.backing) if_volume(image);
    if (disk.mirror) if_volume(disk.mirror->image);
  }
}

}  // namespace icecore::hypervisor
