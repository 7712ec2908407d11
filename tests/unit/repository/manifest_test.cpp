// SPDX-License-Identifier: Apache-2.0
#include "repository/manifest.hpp"

#include "base/json.hpp"
#include "repository/envelope.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

class ManifestTest : public RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }
  static Manifest sample() {
    Manifest manifest;
    manifest.id = base::random_id(16);
    manifest.domain_name = "web1";
    manifest.domain_uuid = "0f5b8a7e-6a9b-4b57-9d0a-0a8f6f1d2c3b";
    manifest.host = "host";
    manifest.time = base::parse_time("2026-11-21T09:30:00.123Z");
    manifest.consistency = Consistency::filesystem;
    manifest.freeze_ms = 41;
    manifest.tags = {"nightly"};
    manifest.disks.push_back(
        {.target = "vda", .format = "qcow2", .virtual_size = 8192, .image = {{}, 1, 8192}, .change_map = "scan"});
    manifest.disks.push_back({.target = "vdb",
                              .format = "raw",
                              .virtual_size = 8192,
                              .image = {{}, 1, 8192},
                              .change_map = "layer",
                              .layer = "/images/x.layer.qcow2",
                              .lineage = "0123"});
    manifest.skipped.push_back({"sda", "cdrom"});
    manifest.blobs.push_back({.kind = "nvram",
                              .path = "/var/lib/x",
                              .size = 100,
                              .image = {{}, 1, 100},
                              .mode = 0600,
                              .owner = "root",
                              .group = "kvm",
                              .details = {{"format", "raw"}}});
    manifest.group = {"0123", 7, "try", {{"web1", manifest.domain_uuid, manifest.id}, {"db1", "uuid", "point"}}};
    manifest.live_xml = "<domain/>";
    manifest.inactive_xml = "<domain type='x'/>";
    return manifest;
  }
};

TEST_F(ManifestTest, RoundTrip) {
  const Manifest manifest = sample();
  const std::string object = publish(*repository_, manifest);
  EXPECT_EQ(object, "manifests/0f5b8a7e-6a9b-4b57-9d0a-0a8f6f1d2c3b/20261121T093000123Z-" + manifest.id);
  const Manifest loaded = load_manifest(*repository_, object);
  EXPECT_EQ(encode_manifest(loaded), encode_manifest(manifest));
  EXPECT_EQ(loaded.live_xml, "<domain/>");
  EXPECT_EQ(loaded.disks.at(0).target, "vda");
  EXPECT_EQ(loaded.disks[0].layer + loaded.disks[0].lineage, "");
  EXPECT_EQ(loaded.disks.at(1).layer, "/images/x.layer.qcow2");
  EXPECT_EQ(loaded.disks[1].lineage, "0123");
  EXPECT_EQ(loaded.blobs.at(0).mode, 0600U);
  EXPECT_EQ(loaded.blobs.at(0).owner + ":" + loaded.blobs.at(0).group, "root:kvm");
  EXPECT_EQ(loaded.blobs.at(0).details.at("format"), "raw");
}

TEST_F(ManifestTest, ListsOldestFirstAndNamesTheDamaged) {
  std::vector<std::string> objects;
  for (int i = 3; i > 0; --i) {
    Manifest manifest = sample();
    manifest.time += std::chrono::hours(i);
    objects.push_back(publish(*repository_, manifest));
  }
  EXPECT_LT(list_manifests(*repository_).at(0).time, list_manifests(*repository_).at(1).time);
  base::Bytes bytes = storage_.get(objects[1], 1 << 20);
  bytes[50] ^= std::byte{1};
  storage_.replace(objects[1], bytes);
  expect_fault(Fault::corrupt, objects[1], [&] { list_manifests(*repository_); });
  std::vector<DamagedManifest> damaged;
  EXPECT_EQ(list_manifests(*repository_, sample().domain_uuid, &damaged).size(), 2U);
  EXPECT_EQ(damaged.at(0).object, objects[1]);
  EXPECT_TRUE(list_manifests(*repository_, "00000000-0000-0000-0000-000000000000").empty());
}

TEST_F(ManifestTest, UnknownFieldsAreIgnoredAndNewerVersionsRefused) {
  const Manifest manifest = sample();
  const auto change = [&](std::string_view key, const base::Json& value) {
    const base::Bytes payload = encode_manifest(manifest);
    base::ByteReader reader(payload, "test");
    base::Json json = base::parse_json(base::to_string(reader.raw(reader.u32())), "test");
    json[std::string(key)] = value;
    base::ByteWriter writer;
    writer.u32(static_cast<std::uint32_t>(json.dump().size()));
    writer.raw(base::as_bytes(json.dump()));
    writer.raw(reader.raw(reader.remaining()));
    return writer.take();
  };
  EXPECT_EQ(decode_manifest(change("colour", "blue"), "it").id, manifest.id);
  expect_fault(Fault::usage, "format version 3, newer than the 2",
               [&] { decode_manifest(change("format_version", 3), "it"); });
  expect_fault(Fault::corrupt, "freeze_ms", [&] { decode_manifest(change("freeze_ms", "long"), "it"); });
}

// An older reader would write the file's bytes as if the guest had written them: it must not get that far.
TEST_F(ManifestTest, APointWithADisksFileIsOfVersionTwoAndOthersStayOfOne) {
  const auto version = [](const Manifest& manifest) {
    const base::Bytes payload = encode_manifest(manifest);
    base::ByteReader reader(payload, "test");
    const base::Json json = base::parse_json(base::to_string(reader.raw(reader.u32())), "test");
    return json.at("format_version").get<int>();
  };
  Manifest manifest = sample();
  EXPECT_EQ(version(manifest), 1);
  EXPECT_EQ(decode_manifest(encode_manifest(manifest), "it").disks.at(0).content, DiskContent::guest);
  manifest.disks.at(0).content = DiskContent::file;
  EXPECT_EQ(version(manifest), 2);
  EXPECT_EQ(decode_manifest(encode_manifest(manifest), "it").disks.at(0).content, DiskContent::file);
}

TEST_F(ManifestTest, MovedManifestIsRefused) {
  const Manifest manifest = sample();
  const std::string object = publish(*repository_, manifest);
  const std::string other = "manifests/0f5b8a7e-6a9b-4b57-9d0a-0a8f6f1d2c3c/20261121T093000123Z-" + manifest.id;
  storage_.put(other, storage_.get(object, 1 << 20));
  expect_fault(Fault::corrupt, other, [&] { load_manifest(*repository_, other); });
}

TEST_F(ManifestTest, IdentityMustBeSafeToBeAName) {
  Manifest manifest = sample();
  manifest.domain_uuid = "../../../../../../../../../etc/passwd";
  expect_fault(Fault::usage, "UUID", [&] { publish(*repository_, manifest); });
}

}  // namespace
}  // namespace icecore::repository
