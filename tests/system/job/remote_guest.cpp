// SPDX-License-Identifier: Apache-2.0
#include "system/job/remote_guest.hpp"

#include "base/bytes.hpp"

namespace icecore::system_test {

namespace {

constexpr std::uint64_t k_slow_rate = 2 * base::k_mib;
constexpr std::uint64_t k_middle = base::k_mib / 2;

rig::DomainOptions with_file_system() {
  rig::DomainOptions options;
  options.disks = {{.image = {.file_system = true}}};
  return options;
}

}  // namespace

RemoteGuest::RemoteGuest(unsigned noise_mib)
    : server({.service = rig::SftpService::chroot, .configuration = {}}),
      proxy(server.port()),
      subject(with_file_system()),
      guest(subject.domain) {
  server.trust(proxy.port());
  subject.environment = server.environment();
  subject.url = server.url("repository", proxy.port());
  subject.domain.start();
  guest.wait_agent();
  write_noise(noise_mib);
  guest.start_writer();
}

void RemoteGuest::write_noise(unsigned mib) {
  guest.shell(fmt::format("dd if=/dev/urandom of=/mnt/noise-{} bs=65536 count={} && sync", ++files_, mib * 16));
}

rig::IcecoreRun& RemoteGuest::begin_backup(const std::string& failpoint, const std::vector<std::string>& more) {
  std::vector<std::string> words = {"backup", name()};
  words.insert(words.end(), more.begin(), more.end());
  rig::Environment environment = subject.environment;
  environment["ICECORE_FAILPOINTS"] = "backup.fact.thawed=pause," + failpoint;
  backup_.emplace(subject.with_options(std::move(words)), environment);
  backup_->wait_failpoint();
  instant_ = rig::content_hash(subject.domain.disk_path(), "qcow2");
  backup_->go_on();
  backup_->wait_failpoint();
  return *backup_;
}

rig::IcecoreOutcome RemoteGuest::end_backup() {
  backup_->go_on();
  return backup_->wait();
}

void RemoteGuest::go_on_into_the_middle() {
  proxy.set_rate(k_slow_rate);
  const std::uint64_t before = proxy.bytes();
  backup_->go_on();
  EXPECT_TRUE(proxy.wait_bytes(before + k_middle));
  proxy.set_rate(0);
}

void RemoteGuest::wait_on_base() {
  wait_until("the guest is on its base", [&] {
    return subject.domain.live_source() == subject.domain.disk_path() && subject.domain.block_jobs().empty();
  });
}

void RemoteGuest::expect_nothing_lost(const std::string& disk) {
  subject.expect_at_rest();
  guest.stop_writer();
  const rig::ChainState log = guest.check_log();
  EXPECT_TRUE(log.unbroken);
  EXPECT_GT(log.records, 0U);
  std::filesystem::remove_all(subject.state_dir());
  subject.environment.erase("ICECORE_STAGING_DIR");
  subject.must({"verify", "--read-data"});
  EXPECT_EQ(subject.restored_hash("latest"), disk);
}

}  // namespace icecore::system_test
