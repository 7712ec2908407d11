// SPDX-License-Identifier: Apache-2.0
#include "staging/proof.hpp"

#include <set>

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

Sizes sizes_on(storage::Storage& remote, const std::vector<std::string>& names) {
  Sizes sizes;
  std::set<std::string> listed;
  if (names.size() >= k_list_from) {
    for (const char* folder : {"packs", "index"}) {
      for (const storage::ObjectInfo& object : remote.list(folder)) sizes[object.name] = object.size;
      listed.insert(folder);
    }
  }
  std::vector<std::string> asked;
  for (const std::string& name : names) {
    if (!listed.contains(name.substr(0, name.find('/')))) asked.push_back(name);
  }
  const auto found = remote.sizes_of(asked);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (found[i]) sizes[asked[i]] = *found[i];
  }
  return sizes;
}

}  // namespace icecore::staging
