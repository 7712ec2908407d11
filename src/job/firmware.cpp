// SPDX-License-Identifier: Apache-2.0
#include "job/firmware.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <tuple>

#include "base/error.hpp"
#include "base/process.hpp"
#include "hypervisor/state_folders.hpp"

namespace icecore::job {

namespace {

using repository::ManifestBlob;

constexpr base::Milliseconds k_pause_after_change(5);
constexpr base::Milliseconds k_version_deadline = std::chrono::seconds(5);

std::filesystem::path nvram_of(const hypervisor::DomainModel& model, const std::string& uri) {
  if (!model.nvram.empty()) return model.nvram;
  // Chosen at each start: the persistent XML does not name it, nor is it there before the first.
  const bool chosen = model.firmware_chosen && model.nvram_type.empty();
  return chosen ? hypervisor::default_nvram_path(uri, model.name) : std::filesystem::path();
}

FirmwareCopy copy_once(const FirmwareFiles& files) {
  FirmwareCopy copy;
  std::error_code ignored;
  if (!files.nvram.empty() && std::filesystem::exists(files.nvram, ignored)) copy.nvram = copy_file(files.nvram);
  if (!files.tpm_folder.empty()) copy.tpm = copy_folder(files.tpm_folder);
  return copy;
}

bool same(const FirmwareCopy& a, const FirmwareCopy& b) { return std::tie(a.nvram, a.tpm) == std::tie(b.nvram, b.tpm); }

// "TPM emulator version 0.7.1, Copyright ..." -> "0.7.1"; empty when this host has no swtpm.
std::string swtpm_version() {
  try {
    const std::string said = base::run({.arguments = {"swtpm", "--version"}}, k_version_deadline).output;
    const std::size_t from = said.find_first_of("0123456789");
    return from == std::string::npos ? "" : said.substr(from, said.find_first_not_of("0123456789.", from) - from);
  } catch (const base::Error&) {
    return {};
  }
}

ManifestBlob store_nvram(repository::BlockWriter& writer, const hypervisor::DomainModel& model, const FileCopy& file) {
  ManifestBlob blob = store_blob(writer, k_nvram_blob, file);
  blob.details["format"] = model.nvram_format.empty() ? "raw" : model.nvram_format;
  if (!model.nvram_template.empty()) blob.details["template"] = model.nvram_template;
  return blob;
}

}  // namespace

FirmwareFiles firmware_files(const hypervisor::DomainModel& model, const std::string& uri) {
  FirmwareFiles files;
  files.nvram = nvram_of(model, uri);
  if (!model.nvram_type.empty()) {
    files.notes.push_back(fmt::format("the firmware's variables (NVRAM) are not in the backup: they lie on a {} source",
                                      model.nvram_type));
  }
  if (!model.tpm) return files;
  if (model.tpm->source_type == "file") {
    files.notes.push_back("the state of the TPM is not in the backup: it lies in the single file '" +
                          model.tpm->source + "'");
    return files;
  }
  files.tpm_folder = hypervisor::tpm_state_folder(uri, model.uuid, *model.tpm);
  if (!model.tpm->secret.empty()) {
    files.notes.push_back("the state of the TPM is encrypted with the libvirt secret " + model.tpm->secret +
                          ", which is not in the backup: another host needs it too");
  }
  return files;
}

FirmwareCopy copy_firmware(const FirmwareFiles& files, base::Milliseconds patience) {
  return copy_until_settled([&] { return copy_once(files); }, patience);
}

FirmwareCopy copy_until_settled(const std::function<FirmwareCopy()>& copy_once, base::Milliseconds patience) {
  const base::Stopwatch watch;
  FirmwareCopy before = copy_once();
  while (true) {
    FirmwareCopy now = copy_once();
    now.settled = same(before, now);
    if (now.settled || watch.elapsed() >= patience) return now;
    before = std::move(now);
    std::this_thread::sleep_for(k_pause_after_change);
  }
}

std::vector<std::string> notes_on(const FirmwareFiles& files, const FirmwareCopy& copy, bool running) {
  std::vector<std::string> notes;
  if (!copy.settled)
    notes.push_back("the firmware's variables or the TPM's state kept changing while they were copied");
  if (running && !files.nvram.empty() && !copy.nvram) {
    notes.push_back("the firmware's variables (NVRAM) are not in the backup: there is no '" + files.nvram.string() +
                    "'");
  }
  if (running && !files.tpm_folder.empty() && copy.tpm.empty()) {
    notes.push_back("the state of the TPM is not in the backup: nothing is in '" + files.tpm_folder.string() + "'");
  }
  return notes;
}

std::vector<ManifestBlob> store_firmware(repository::BlockWriter& writer, const hypervisor::DomainModel& model,
                                         const FirmwareCopy& copy) {
  std::vector<ManifestBlob> blobs;
  if (copy.nvram) blobs.push_back(store_nvram(writer, model, *copy.nvram));
  const std::string version = copy.tpm.empty() ? "" : swtpm_version();
  for (const FileCopy& file : copy.tpm) {
    ManifestBlob blob = store_blob(writer, k_tpm_blob, file);
    blob.details["layout"] = file.path.parent_path().filename();
    if (!version.empty()) blob.details["swtpm"] = version;
    if (model.tpm && !model.tpm->secret.empty()) blob.details["secret"] = model.tpm->secret;
    blobs.push_back(std::move(blob));
  }
  return blobs;
}

}  // namespace icecore::job
