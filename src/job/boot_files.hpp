// SPDX-License-Identifier: Apache-2.0
// Files of the host that a domain boots from directly: kernel, initrd, device tree. They are part of a point, because
// another host, or this one after an update, does not have them.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "hypervisor/domain_model.hpp"
#include "job/blob.hpp"
#include "job/job_notes.hpp"

namespace icecore::job {

struct BootFile {
  std::string kind;  // kernel, initrd, dtb: the element's name in the XML too
  std::string path;
};

// Those the domain has.
std::vector<BootFile> boot_files(const hypervisor::DomainModel& model);

// Stores each; one that is not there any more, or cannot be read, gets a note instead. `keep_going` is called now and
// then and may throw.
std::vector<repository::ManifestBlob> store_boot_files(repository::BlockWriter& writer,
                                                       const hypervisor::DomainModel& model, JobNotes& notes,
                                                       const std::function<void()>& keep_going,
                                                       const std::stop_token& stop);

}  // namespace icecore::job
