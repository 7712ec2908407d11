// SPDX-License-Identifier: Apache-2.0
#include "job/boot_files.hpp"

#include "base/error.hpp"

namespace icecore::job {

using base::Fault;

namespace {

bool is_about_the_file(Fault fault) {
  return fault == Fault::not_found || fault == Fault::denied || fault == Fault::conflict;
}

}  // namespace

std::vector<BootFile> boot_files(const hypervisor::DomainModel& model) {
  std::vector<BootFile> files;
  for (const BootFile& file :
       {BootFile{"kernel", model.kernel}, BootFile{"initrd", model.initrd}, BootFile{"dtb", model.dtb}}) {
    if (!file.path.empty()) files.push_back(file);
  }
  return files;
}

std::vector<repository::ManifestBlob> store_boot_files(repository::BlockWriter& writer,
                                                       const hypervisor::DomainModel& model, JobNotes& notes,
                                                       const std::function<void()>& keep_going,
                                                       const std::stop_token& stop) {
  std::vector<repository::ManifestBlob> blobs;
  for (const BootFile& file : boot_files(model)) {
    try {
      const auto on_bytes = [&](std::uint64_t) { keep_going(); };
      blobs.push_back(store_file(writer, file.kind, file.path, on_bytes, stop));
    } catch (const base::Error& error) {
      if (!is_about_the_file(error.fault())) throw;
      notes.add(fmt::format("the {} it boots from is not in the backup: {}", file.kind, error.what()));
    }
  }
  return blobs;
}

}  // namespace icecore::job
