// SPDX-License-Identifier: Apache-2.0
// Kept layers and encrypted disks where more than one domain, a staging folder or a server takes part.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "rig/ssh_server.hpp"
#include "system/job/layer_case.hpp"

namespace icecore::system_test {
namespace {

constexpr unsigned char k_pattern = 0x5a;

rig::DomainOptions encrypted_disk() {
  rig::DomainOptions options;
  options.disks = {{.target = "vda", .image = {.size = 16 * k_mib, .passphrase = "correct horse"}}};
  return options;
}

class DiskMixes : public LayerCase {
 protected:
  static void use_repository_of(const ProtectedDomain& first, ProtectedDomain& second) {
    second.url = first.repository();
    std::filesystem::copy_file(first.key_file(), second.key_file());
    second.domain.start_paused();
  }
  // The disk of the member's newest point.
  static std::string restored(const ProtectedDomain& subject, const ProtectedDomain& member) {
    const std::filesystem::path folder = member.domain.folder() / "restored";
    std::filesystem::remove_all(folder);
    subject.must({"restore", member.domain.name(), "--disks-only", "--to", folder});
    return rig::content_hash(folder / "vda.qcow2", "qcow2", member.domain.passphrase());
  }
};

TEST_F(DiskMixes, EachMemberOfAGroupGoesItsOwnWay) {
  ProtectedDomain layered(one_disk("qcow2"));
  ProtectedDomain secret(encrypted_disk());
  begin_layers(layered);
  use_repository_of(layered, secret);
  for (unsigned char round = 1; round <= 3; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    write(layered, round * k_mib, round);
    write(secret, round * k_mib, k_pattern);
    const std::string layered_then = layered.domain.hash_disk();
    const std::string secret_then = secret.domain.hash_disk();
    layered.must(
        {"backup", "--group", layered.domain.name(), secret.domain.name(), "--quiesce=off", "--change-map=layer"});
    EXPECT_EQ(restored(layered, layered), layered_then);
    EXPECT_EQ(restored(layered, secret), secret_then);
    expect_on_layer(layered);
    EXPECT_EQ(secret.domain.live_source(), secret.domain.disk_path());
  }
  merge_layers(layered);
  secret.expect_at_rest();
}

TEST_F(DiskMixes, AKilledGroupIsPutBackEachItsOwnWay) {
  ProtectedDomain layered(one_disk("qcow2"));
  ProtectedDomain secret(encrypted_disk());
  begin_layers(layered);
  use_repository_of(layered, secret);
  const std::vector<std::string> words = {
      "backup", "--group", layered.domain.name(), secret.domain.name(), "--quiesce=off", "--change-map=layer"};
  layered.must(words);
  for (const std::string at : {"backup.acted.snapshotted=kill", "backup.acted.snapshotted=kill:2",
                               "backup.fact.sealed=kill:2", "layer.before_unlink=kill", "commit.ready=kill"}) {
    SCOPED_TRACE(at);
    rig::Environment killed = layered.environment;
    killed["ICECORE_FAILPOINTS"] = at;
    EXPECT_EQ(layered.run(words, killed).exit_code, 137);
    write(layered, 3 * k_mib, 0x33);
    write(secret, 3 * k_mib, 0x33);
    const std::string layered_then = layered.domain.hash_disk();
    const std::string secret_then = secret.domain.hash_disk();
    layered.must({"recover"});
    EXPECT_EQ(layered.domain.hash_disk(), layered_then);
    EXPECT_EQ(secret.domain.hash_disk(), secret_then);
    expect_on_layer(layered);
    EXPECT_EQ(secret.domain.live_source(), secret.domain.disk_path());
  }
}

TEST_F(DiskMixes, ALayerGoesOnFromAPointThatIsStillStaged) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  subject.environment["ICECORE_STAGING_DIR"] = subject.staging();
  back_up_layer(subject);
  const std::filesystem::path away = subject.domain.folder() / "away";
  std::filesystem::rename(subject.repository(), away);
  write(subject, 16 * k_mib, 0x22);
  const std::string second = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name(), "--quiesce=off", "--change-map=layer", "--no-wait"});
  expect_on_layer(subject);
  write(subject, 20 * k_mib, 0x23);
  const std::string third = subject.domain.hash_disk();
  rig::Environment killed = subject.environment;
  killed["ICECORE_FAILPOINTS"] = "layer.before_unlink=kill";
  EXPECT_EQ(subject.run({"backup", subject.domain.name(), "--quiesce=off", "--change-map=layer", "--no-wait"}, killed)
                .exit_code,
            137);
  subject.run({"recover"});
  expect_on_layer(subject);
  std::filesystem::rename(away, subject.repository());
  subject.must({"upload"});
  ASSERT_EQ(subject.points().size(), 3U);
  EXPECT_EQ(subject.restored_hash(subject.points()[1]), second);
  EXPECT_EQ(subject.restored_hash("latest"), third);
  expect_layer(newest(subject), k_block);
  expect_layer(back_up_layer(subject), 0);
}

TEST_F(DiskMixes, ALayerGoesOnOverSsh) {
  ICECORE_NEEDS("program:sshd");
  rig::SshServer server;
  ProtectedDomain subject(one_disk("raw"));
  subject.environment = server.environment();
  subject.url = server.url("repository");
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x22);
  expect_layer(back_up_layer(subject), k_block);
  merge_layers(subject);
}

TEST_F(DiskMixes, AnEncryptedDiskGoesOverSshAndBack) {
  ICECORE_NEEDS("program:sshd");
  rig::SshServer server;
  rig::DomainOptions options = encrypted_disk();
  options.transient = true;
  ProtectedDomain subject(options);
  subject.environment = server.environment();
  subject.url = server.url("repository");
  subject.environment["ICECORE_STAGING_DIR"] = subject.staging();
  subject.init();
  subject.domain.start_paused();
  write(subject, 3 * k_mib, k_pattern);
  const std::string then = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  subject.expect_at_rest();
  EXPECT_EQ(subject.restored_hash("latest"), then);
  subject.must({"verify", "--read-data=100"});
}

}  // namespace
}  // namespace icecore::system_test
