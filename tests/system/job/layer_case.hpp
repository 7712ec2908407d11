// SPDX-License-Identifier: Apache-2.0
// What the tests of kept layers start from: a domain whose disk is raw, qcow2 or a block device.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "system/job/change_map_case.hpp"

namespace icecore::system_test {

inline const std::vector<std::string> k_layer_words = {"--change-map=layer"};

inline rig::DomainOptions one_disk(const std::string& format, rig::DiskKind kind = rig::DiskKind::file) {
  rig::DomainOptions options;
  options.disks = {{.target = "vda", .image = {.format = format}, .kind = kind}};
  return options;
}

class LayerCase : public ChangeMapCase {
 protected:
  // Running, with some data, and where it may keep layers.
  static void begin_layers(ProtectedDomain& subject) {
    const std::filesystem::path folder = subject.domain.folder() / "layers";
    std::filesystem::create_directory(folder);
    std::filesystem::permissions(folder, std::filesystem::perms(0777));
    subject.environment["ICECORE_DEVICE_OVERLAY_DIR"] = folder.string();
    begin(subject);
  }

  // What is there of ours.
  static std::vector<std::filesystem::path> files(const ProtectedDomain& subject, const std::string& suffix) {
    std::vector<std::filesystem::path> found;
    for (const auto& file : std::filesystem::recursive_directory_iterator(subject.domain.folder())) {
      if (file.path().string().ends_with(suffix)) found.push_back(file.path());
    }
    return found;
  }

  static std::filesystem::path image_below(const std::filesystem::path& image) {
    const std::string out = base::run_checked(
        {.arguments = {"qemu-img", "info", "-U", "--output=json", image.string()}}, std::chrono::minutes(1));
    return base::parse_json(out, "qemu-img info").value("full-backing-filename", "");
  }

  // On one kept layer directly over its own image, live and persistent, with nothing else left.
  static void expect_on_layer(const ProtectedDomain& subject) {
    const auto layers = files(subject, ".layer.qcow2");
    ASSERT_EQ(layers.size(), 1U);
    EXPECT_EQ(subject.domain.inactive_source(), layers[0]);
    EXPECT_EQ(image_below(layers[0]), subject.domain.disk_path());
    EXPECT_TRUE(files(subject, ".ovl.qcow2").empty());
    if (subject.domain.is_running()) {
      EXPECT_EQ(subject.domain.live_source(), layers[0]);
      EXPECT_TRUE(subject.domain.block_jobs().empty());
    }
    const base::Json findings = subject.run({"doctor", "--json"}).json().at("findings");
    for (const base::Json& finding : findings) {
      const bool of_ours =
          finding.dump().find(subject.domain.name()) != std::string::npos || finding.at("subject") == "journal";
      EXPECT_FALSE(of_ours && finding.at("severity") == "problem") << finding.dump();
    }
  }

  // A new point with a layer, which restores to what the disk is now.
  static base::Json back_up_layer(ProtectedDomain& subject, std::vector<std::string> more = {}) {
    const std::string expected = subject.domain.hash_disk();
    std::vector<std::string> arguments = {"backup", subject.domain.name(), "--quiesce=off", "--change-map=layer"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    subject.must(arguments);
    EXPECT_EQ(subject.restored_hash("latest"), expected);
    EXPECT_EQ(subject.domain.hash_disk(), expected);
    expect_on_layer(subject);
    return newest(subject);
  }

  static void expect_layer(const base::Json& disk, std::uint64_t changed) {
    EXPECT_EQ(disk.at("change_map"), "layer") << disk.dump();
    EXPECT_LE(disk.at("bytes_read").get<std::uint64_t>(), changed + k_recheck_max) << disk.dump();
  }

  // Ends the layers: the domain is on its own image, as it was.
  static void merge_layers(ProtectedDomain& subject) {
    const std::string expected = subject.domain.hash_disk();
    subject.must({"recover", subject.domain.name(), "--merge-layers"});
    EXPECT_EQ(subject.domain.hash_disk(), expected);
    EXPECT_TRUE(files(subject, ".layer.qcow2").empty());
    subject.expect_at_rest();
  }
};

}  // namespace icecore::system_test
