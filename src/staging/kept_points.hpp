// SPDX-License-Identifier: Apache-2.0
// The newest points of a domain stay whole in the spool: with all packs they need, older ones fetched back, so that
// they can be restored while the remote does not answer.
#pragma once

#include <string>

#include "repository/manifest.hpp"
#include "staging/spooled_storage.hpp"

namespace icecore::staging {

// Keeps the newest `count` points of the domain that this published manifest is of, and lets go of its older ones.
// Interrupted, it is entered again at the next publication. `repository` is over `storage`.
void keep_newest(SpooledStorage& storage, repository::Repository& repository, const std::string& manifest,
                 unsigned count);

}  // namespace icecore::staging
