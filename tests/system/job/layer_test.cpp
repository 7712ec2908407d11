// SPDX-License-Identifier: Apache-2.0
// Increments by a kept layer: each point restores to what the disk was at its instant, little more is read than was
// written, and the end of the layers leaves the domain as it was.
#include <gmock/gmock.h>

#include <ostream>

#include "system/job/expect_error.hpp"
#include "system/job/layer_case.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

struct Kind {
  const char* name;
  const char* format;
  rig::DiskKind kind;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class LayerOn : public LayerCase, public testing::WithParamInterface<Kind> {
 protected:
  static rig::DomainOptions options() { return one_disk(GetParam().format, GetParam().kind); }
};

TEST_P(LayerOn, EveryPointReadsWhatWasWrittenSinceTheLast) {
  ProtectedDomain subject(options());
  const std::string defined = subject.definition();
  begin_layers(subject);
  expect_scan(back_up_layer(subject), "a layer is kept from this point on");
  write(subject, 16 * k_mib, 0x22);
  write(subject, 2 * k_mib, 0x33);
  expect_layer(back_up_layer(subject), 2 * k_block);
  expect_layer(back_up_layer(subject), 0);
  write(subject, k_mib, 0, k_mib);  // becomes zero
  expect_layer(back_up_layer(subject), k_mib);
  subject.domain.destroy();
  expect_layer(back_up_layer(subject), 0);
  subject.domain.start_paused();
  write(subject, 8 * k_mib + 512, 0x44, 512);
  expect_layer(back_up_layer(subject), k_block);
  merge_layers(subject);
  EXPECT_EQ(subject.definition(), defined);
  subject.must({"verify", "--read-data"});
}

TEST_P(LayerOn, WhatIsWrittenDuringABackupIsInTheNext) {
  ProtectedDomain subject(options());
  begin_layers(subject);
  back_up_layer(subject);
  rig::Environment paused = subject.environment;
  paused["ICECORE_FAILPOINTS"] = "backup.fact.reading=pause";
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name(), "--change-map=layer"}), paused);
  run.wait_failpoint();
  write(subject, 20 * k_mib, 0x55);
  const std::string meanwhile = subject.domain.hash_disk();
  run.go_on();
  ASSERT_EQ(run.wait().exit_code, 0);
  EXPECT_EQ(subject.domain.hash_disk(), meanwhile);
  expect_layer(back_up_layer(subject), k_block);
}

TEST_P(LayerOn, AnotherMapEndsTheLayerAndALaterOneBeginsAnew) {
  ProtectedDomain subject(options());
  begin_layers(subject);
  const std::string defined = subject.definition();
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x22);
  back_up(subject);
  EXPECT_EQ(subject.definition(), defined);
  EXPECT_TRUE(files(subject, ".layer.qcow2").empty());
  write(subject, 20 * k_mib, 0x23);
  EXPECT_NE(back_up_layer(subject).at("change_map"), "layer");
  write(subject, 24 * k_mib, 0x24);
  expect_layer(back_up_layer(subject), k_block);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LayerOn,
                         testing::Values(Kind{"raw", "raw", rig::DiskKind::file},
                                         Kind{"qcow2", "qcow2", rig::DiskKind::file},
                                         Kind{"device", "raw", rig::DiskKind::block},
                                         Kind{"volume", "qcow2", rig::DiskKind::volume}),
                         [](const auto& kind) { return kind.param.name; });

class Layer : public LayerCase {};

// The bitmap of the point before the layers marks what was merged meanwhile: the line of bitmaps goes on.
TEST_F(Layer, BitmapsGoOnBesideIt) {
  ProtectedDomain subject(one_disk("qcow2"));
  begin_layers(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x22);
  expect_bitmap(back_up_layer(subject), k_block);
  write(subject, 20 * k_mib, 0x23);
  expect_layer(back_up_layer(subject), k_block);
  write(subject, 24 * k_mib, 0x24);
  expect_bitmap(back_up(subject), 3 * k_block);
}

TEST_F(Layer, ABackupThatFailedLeavesTheLayerAsItWas) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  const auto before = files(subject, ".layer.qcow2");
  write(subject, 16 * k_mib, 0x66);
  rig::Environment failing = subject.environment;
  failing["ICECORE_FAILPOINTS"] = "backup.acted.reading=error";
  EXPECT_NE(subject.run({"backup", subject.domain.name(), "--change-map=layer"}, failing).exit_code, 0);
  EXPECT_EQ(files(subject, ".layer.qcow2"), before);
  write(subject, 24 * k_mib, 0x67);
  expect_layer(back_up_layer(subject), 2 * k_block);
}

TEST_F(Layer, ACopyLeavesEverythingAsItIs) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  const auto before = files(subject, ".layer.qcow2");
  write(subject, 16 * k_mib, 0x66);
  const std::string expected = subject.domain.hash_disk();
  for (const char* map : {"--change-map=auto", "--change-map=layer"}) {
    subject.must({"backup", subject.domain.name(), "--mode=copy", map});
    EXPECT_EQ(subject.restored_hash("latest"), expected);
    EXPECT_EQ(files(subject, ".layer.qcow2"), before);
    expect_on_layer(subject);
    EXPECT_EQ(newest(subject).at("source"), subject.domain.disk_path().string());
  }
  expect_layer(back_up_layer(subject), k_block);
}

TEST_F(Layer, AForgottenParentMeansAScan) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  subject.must({"backup", subject.domain.name(), "--mode=copy"});  // or it would be the last one
  subject.must({"forget", subject.points().at(0)});
  write(subject, 16 * k_mib, 0x66);
  expect_scan(back_up_layer(subject), "is not in this repository");
  expect_layer(back_up_layer(subject), 0);
}

TEST_F(Layer, ALostStateFolderLosesNothing) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  std::filesystem::remove_all(subject.state_dir());
  write(subject, 16 * k_mib, 0x66);
  expect_scan(back_up_layer(subject), "not known here when the image below");
  write(subject, 24 * k_mib, 0x67);
  expect_layer(back_up_layer(subject), k_block);
  std::filesystem::remove_all(subject.state_dir());
  merge_layers(subject);
}

TEST_F(Layer, AGrownDiskIsRead) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  EXPECT_EQ(::virDomainBlockResize(subject.domain.handle(), "vda", 80 * k_mib, VIR_DOMAIN_BLOCK_RESIZE_BYTES), 0);
  write(subject, 72 * k_mib, 0x66);
  EXPECT_EQ(back_up_layer(subject).at("change_map"), "layer");
  write(subject, 76 * k_mib, 0x67);
  expect_layer(back_up_layer(subject), k_block);
  merge_layers(subject);
}

TEST_F(Layer, AnExchangedImageMeansAScan) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  subject.domain.destroy();
  const std::filesystem::path path = subject.domain.disk_path();
  std::filesystem::copy_file(path, path.string() + ".other");
  rig::write_pattern(path.string() + ".other", "raw", 30 * k_mib, k_mib, 0x77);
  std::filesystem::rename(path.string() + ".other", path);
  subject.domain.start_paused();
  expect_scan(back_up_layer(subject), "not the same");
}

TEST_F(Layer, ThatDoesNotKnowWhatWasWrittenBelowItIsFoundOut) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x66);
  subject.domain.destroy();
  // As on a device, whose time of writing nobody knows.
  const auto time = std::filesystem::last_write_time(subject.domain.disk_path());
  rig::write_pattern(subject.domain.disk_path(), "raw", k_mib, k_block, 0x77);
  std::filesystem::last_write_time(subject.domain.disk_path(), time);
  subject.domain.start_paused();
  expect_scan(back_up_layer(subject, {"--recheck=1000"}), "the layer cannot be trusted");
  expect_layer(back_up_layer(subject), 0);
}

// The owner took the image between the layer and a template out of the chain: the template is not ours to write to.
TEST_F(Layer, ThatWasPutOverATemplateIsNotMergedIntoIt) {
  const rig::TestFolder shared;
  const auto golden = shared.path() / "golden.qcow2";
  rig::make_image(golden, {});
  rig::write_pattern(golden, "qcow2", 3 * k_mib, k_mib, 0x41);
  rig::DomainOptions options;
  options.disks = {{.image = {.backing = golden}}};
  ProtectedDomain subject(options);
  begin_layers(subject);
  back_up_layer(subject);
  subject.domain.destroy();
  const std::filesystem::path layer = subject.domain.inactive_source();
  tool({"qemu-img", "rebase", "-f", "qcow2", "-F", "qcow2", "-b", golden, layer});
  subject.domain.start_paused();
  write(subject, 16 * k_mib, 0x66);
  const std::string now = subject.domain.hash_disk();
  const std::string template_hash = rig::content_hash(golden, "qcow2");

  const auto refused = subject.run({"backup", subject.domain.name(), "--change-map=layer"});
  EXPECT_EQ(refused.exit_code, 10) << refused.output;
  EXPECT_THAT(refused.error_output, testing::HasSubstr("which is not ours to write to"));
  EXPECT_EQ(subject.run({"explain", subject.domain.name(), "--change-map=layer"}).exit_code, 10);
  EXPECT_THAT(subject.must({"explain", subject.domain.name()}).output, HasSubstr("it stays on it: its layer was put"));
  std::filesystem::remove_all(subject.state_dir());  // then another domain's definition tells
  const rig::TestDomain other({.disks = {{.image = {.backing = golden}}}});
  for (const char* map : {"--change-map=auto", "--change-map=layer"}) {
    const auto outcome = subject.run({"backup", subject.domain.name(), map});
    EXPECT_EQ(outcome.exit_code, std::string(map) == "--change-map=auto" ? 0 : 10) << outcome.error_output;
  }
  subject.must({"recover", subject.domain.name(), "--merge-layers"});
  EXPECT_EQ(subject.restored_hash("latest"), now);
  EXPECT_EQ(subject.domain.live_source(), layer);
  EXPECT_EQ(subject.domain.hash_disk(), now);
  EXPECT_EQ(rig::content_hash(golden, "qcow2"), template_hash);
}

TEST_F(Layer, OneKeptForAnotherUuidIsAnImageLikeAnyOther) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x66);
  subject.domain.destroy();
  define_with_another_uuid(subject);
  subject.domain.start_paused();
  const std::string expected = subject.domain.hash_disk();
  const std::string layer = files(subject, ".layer.qcow2").at(0);
  EXPECT_NE(subject.run({"doctor"}).output.find(layer + "' that backups kept for the UUID"), std::string::npos);
  subject.must({"backup", subject.domain.name(), "--quiesce=off"});
  EXPECT_EQ(subject.domain.live_source(), layer);
  EXPECT_EQ(subject.domain.hash_disk(), expected);
  const std::filesystem::path restored = subject.domain.folder() / "restored";
  subject.must({"restore", "latest", "--disks-only", "--to", restored.string()});
  EXPECT_EQ(rig::content_hash(restored / "vda.qcow2", "qcow2"), expected);
  tool({"virsh", "-q", "-c", subject.domain.uri(), "blockcommit", subject.domain.name(), "vda", "--active", "--shallow",
        "--pivot", "--wait"});
  std::filesystem::remove(layer);
  EXPECT_EQ(subject.domain.hash_disk(), expected);
  subject.expect_at_rest();
}

TEST_F(Layer, OneThatWasMergedByHandBeginsAnew) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  const auto old = files(subject, ".layer.qcow2").at(0);
  tool({"virsh", "-q", "-c", subject.domain.uri(), "blockcommit", subject.domain.name(), "vda", "--active", "--pivot",
        "--wait"});
  std::filesystem::remove(old);
  write(subject, 16 * k_mib, 0x66);
  expect_scan(back_up_layer(subject), "a layer is kept from this point on");
  merge_layers(subject);
}

// qemu-img commit leaves the layer where it is and empties it: nothing in it tells of what was written before.
TEST_F(Layer, OneThatWasEmptiedByHandTellsNothing) {
  ProtectedDomain subject(one_disk("qcow2"));
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x66);
  expect_layer(back_up_layer(subject), k_mib);
  write(subject, 24 * k_mib, 0x67);
  subject.domain.destroy();
  tool({"qemu-img", "commit", "-q", files(subject, ".layer.qcow2").at(0)});
  subject.domain.start_paused();
  expect_scan(back_up_layer(subject), "the image below the layer was written to since point");
}

TEST_F(Layer, AnImageOverTheLayerIsReadInFullAndLeftAlone) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  const std::string above = (subject.domain.folder() / "above.qcow2").string();
  tool({"virsh", "-q", "-c", subject.domain.uri(), "snapshot-create-as", subject.domain.name(), "one", "--disk-only",
        "--no-metadata", "--diskspec", "vda,file=" + above});
  write(subject, 16 * k_mib, 0x66);
  const std::string expected = subject.domain.hash_disk();
  const auto outcome = subject.must({"backup", subject.domain.name(), "--quiesce=off", "--change-map=layer"});
  EXPECT_NE(outcome.error_output.find("over the layer"), std::string::npos) << outcome.error_output;
  const std::filesystem::path restored = subject.domain.folder() / "restored";
  subject.must({"restore", "latest", "--disks-only", "--to", restored.string()});
  EXPECT_EQ(rig::content_hash(restored / "vda.qcow2", "qcow2"), expected);
  EXPECT_EQ(subject.domain.live_source(), above);
  EXPECT_EQ(newest(subject).at("change_map"), "scan");
}

TEST_F(Layer, ATransientDomainIsGivenNone) {
  rig::DomainOptions options = one_disk("raw");
  options.transient = true;
  ProtectedDomain subject(options);
  begin_layers(subject);
  const std::string expected = subject.domain.hash_disk();
  const auto outcome = subject.must({"backup", subject.domain.name(), "--quiesce=off", "--change-map=layer"});
  EXPECT_NE(outcome.error_output.find("transient"), std::string::npos) << outcome.error_output;
  EXPECT_EQ(subject.restored_hash("latest"), expected);
  EXPECT_EQ(subject.domain.live_source(), subject.domain.disk_path());
  EXPECT_TRUE(files(subject, ".layer.qcow2").empty());
}

TEST_F(Layer, ARestoreInPlaceEndsIt) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  const std::string defined = subject.definition();
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x66);
  back_up_layer(subject);
  const std::string expected = subject.domain.hash_disk();
  write(subject, 20 * k_mib, 0x67);
  subject.domain.destroy();
  subject.must({"restore", "latest", "--replace"});
  EXPECT_EQ(subject.domain.hash_disk(), expected);
  EXPECT_EQ(subject.definition(), defined);
  EXPECT_TRUE(files(subject, ".layer.qcow2").empty());
  subject.expect_at_rest();
}

TEST_F(Layer, DoctorAndExplainTellOfIt) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  const std::string layer = files(subject, ".layer.qcow2").at(0);
  EXPECT_NE(subject.run({"doctor"}).output.find("recover " + subject.domain.name() + " --merge-layers"),
            std::string::npos);
  const base::Json disk =
      subject.must({"explain", subject.domain.name(), "--change-map=layer", "--json"}).json().at("disks").at(0);
  EXPECT_EQ(disk.at("change_map"), "layer");
  EXPECT_NE(disk.dump().find(layer), std::string::npos) << disk.dump();
  EXPECT_NE(subject.must({"recover", subject.domain.name(), "--merge-layers", "--dry-run"}).output.find("would be"),
            std::string::npos);
  expect_on_layer(subject);
  expect_error(subject.run({"recover", "--merge-layers"}), 2, "needs the domain");
}

TEST_F(Layer, ExplainTellsWhatABackupLeavesOnItsLayer) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  subject.domain.destroy();
  const std::string layer = files(subject, ".layer.qcow2").at(0);
  EXPECT_THAT(subject.must({"explain", subject.domain.name()}).output, HasSubstr("would merge it first"));
  tool({"qemu-img", "snapshot", "-c", "theirs", layer});
  EXPECT_THAT(subject.must({"explain", subject.domain.name()}).output, HasSubstr("it stays on it: '" + layer));
  const base::Json disk = subject.must({"explain", subject.domain.name(), "--json"}).json().at("disks").at(0);
  EXPECT_EQ(disk.at("change_map"), "scan");
  EXPECT_THAT(disk.at("change_map_reason").get<std::string>(), HasSubstr("it stays on a kept layer"));
  subject.must({"backup", subject.domain.name(), "--quiesce=off"});
  EXPECT_EQ(subject.domain.inactive_source(), layer);
}

}  // namespace
}  // namespace icecore::system_test
