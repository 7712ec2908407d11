// SPDX-License-Identifier: Apache-2.0
#include "staging/proof.hpp"

#include <map>

#include "base/error.hpp"
#include "repository/envelope.hpp"
#include "repository/frame_table.hpp"
#include "repository/key_ring.hpp"

namespace icecore::staging {

namespace {

// From so many on, listing the folders costs less than asking for each.
constexpr std::size_t k_list_from = 256;

// Of those that are envelopes.
std::optional<repository::ObjectKind> kind_of(ObjectClass kind) {
  if (kind == ObjectClass::index) return repository::ObjectKind::index;
  if (kind == ObjectClass::manifest) return repository::ObjectKind::manifest;
  return std::nullopt;
}

}  // namespace

bool is_intact(storage::Storage& remote, Spool& spool, const QueuedObject& object) {
  const auto bytes = [&]() -> std::optional<base::Bytes> {
    try {
      return remote.get(object.name, object.size);
    } catch (const base::Error& error) {
      if (error.fault() != base::Fault::not_found && error.fault() != base::Fault::corrupt) throw;
      return std::nullopt;
    }
  }();
  if (!bytes) return false;
  if (const auto pack = repository::parse_pack_object(object.name))
    return repository::PackId{repository::piecewise_digest_of(*bytes)} == *pack;
  return spool.objects().get(object.name, object.size) == *bytes;
}

std::optional<base::Bytes> sound_bytes(Spool& spool, repository::Repository& repository, const QueuedObject& object) {
  try {
    base::Bytes bytes = spool.objects().get(object.name, object.size);
    if (bytes.size() != object.size) return std::nullopt;
    const std::optional<repository::PackId> pack = repository::parse_pack_object(object.name);
    if (pack && repository::PackId{repository::piecewise_digest_of(bytes)} != *pack) return std::nullopt;
    if (const auto kind = kind_of(object.kind)) static_cast<void>(open(repository.keys(), *kind, object.name, bytes));
    return bytes;
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::not_found && error.fault() != base::Fault::corrupt) throw;
    return std::nullopt;
  }
}

std::vector<std::optional<std::uint64_t>> sizes_on(storage::Storage& remote, const std::vector<QueuedObject>& sent) {
  std::vector<std::optional<std::uint64_t>> sizes;
  if (sent.size() < k_list_from) {
    for (const QueuedObject& object : sent) sizes.push_back(remote.size_of(object.name));
    return sizes;
  }
  std::map<std::string, std::uint64_t> found;
  for (const char* folder : {"packs", "index"}) {
    for (const storage::ObjectInfo& object : remote.list(folder)) found[object.name] = object.size;
  }
  for (const QueuedObject& object : sent) {
    const auto at = found.find(object.name);
    sizes.push_back(at == found.end() ? std::nullopt : std::optional(at->second));
  }
  return sizes;
}

}  // namespace icecore::staging
