// SPDX-License-Identifier: Apache-2.0
// The objects protections/<point id>: restore points that no retention rule and no `forget` removes until a
// person takes the protection away. Written in FORMAT.md, "Protection".
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "repository/manifest.hpp"

namespace icecore::repository {

struct Protection {
  std::string point;   // id of the restore point, 32 hex digits
  std::string reason;  // in the words of whoever protected it; may be empty
  base::Timestamp created{};
  std::string host;  // where that was
};

// By id of the point.
using Protections = std::map<std::string, Protection>;

std::string protection_object(const std::string& point);
base::Bytes encode_protection(const KeyRing& keys, const Protection& protection);
// Fault::corrupt, also when the object is of another point.
Protection decode_protection(const KeyRing& keys, const std::string& point, base::ByteView object);

// Stores it durably. False: the point was protected already, and its first reason stays.
bool protect(Repository& repository, const Protection& protection);
// False: it was not protected.
bool unprotect(Repository& repository, const std::string& point);
bool is_protected(Repository& repository, const std::string& point);

// All of them. One that cannot be read protects nevertheless; its reason then says what is wrong with it.
Protections list_protections(Repository& repository);

// Removes the point's manifest, which is what makes it exist; its blocks stay until a prune. False: somebody has
// protected it meanwhile, and it is left alone. Removing one that is gone is no error. Every other point stays whole
// whenever this is interrupted.
bool remove_point(Repository& repository, const Manifest& point);

// The same for a manifest that cannot be read. What it was is not known any more: blocks only it needed go with the
// next prune.
bool remove_unreadable(Repository& repository, const DamagedManifest& point);

// For who has removed points of a domain and left it `others`: somebody else may have removed those meanwhile, counting
// on the ones that went here. When none of them is there any more `point`, the best of what went, is published again.
// False then.
bool leaves_one(Repository& repository, const std::vector<const Manifest*>& others, const Manifest& point);

}  // namespace icecore::repository
