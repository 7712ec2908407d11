// SPDX-License-Identifier: Apache-2.0
// Merging a layer that lies below the active image into the one under it, while the domain runs and goes on writing to
// the active one. May be called again at any moment of its own life, as commit_overlays().
#pragma once

#include <span>
#include <stop_token>
#include <string>

#include "hypervisor/block_commit.hpp"

namespace icecore::hypervisor {

struct LayerDisk {
  std::string target;       // vda
  std::string active_path;  // what the guest writes to; stays
  std::string layer_path;   // directly below it; merged
  std::string base_path;    // below that: what it is merged into
};

enum class LayerPlace {
  merged,    // the active image lies directly over the base
  on_layer,  // over the layer, and that over the base; a commit may be running, which the XML does not show
  elsewhere,
};

// Of a running domain's XML, which has the chain.
LayerPlace layer_place_of(const DomainModel& model, const LayerDisk& disk);

// `committed`: the live XML shows every disk merged; the persistent one may still name the layer, whose file is still
// there. Progress, waiting and faults as commit_overlays(). On a stop or an error a job that runs is left to run: it
// only brings the merge forward, and the next call joins it.
CommitOutcome commit_layers(Domain& domain, std::span<const LayerDisk> disks, const CommitOptions& options,
                            std::stop_token stop = {}, const CommitProgress& progress = {});

}  // namespace icecore::hypervisor
