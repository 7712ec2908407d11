// SPDX-License-Identifier: Apache-2.0
// The file system of staging is small, or others have filled it: a guest never waits for room nobody makes, and what is
// complete comes to be a point when there is room again.
#include <sys/mount.h>

#include <fstream>

#include "base/bytes.hpp"
#include "rig/requirements.hpp"
#include "system/job/remote_guest.hpp"

namespace icecore::system_test {
namespace {

namespace fs = std::filesystem;

class SmallStaging : public testing::Test {
 protected:
  void start(unsigned noise_mib, const std::string& size) {
    ICECORE_NEEDS("root", "libvirt", "guest", "icecore", "program:sshd", "program:ssh-keygen");
    remote_.emplace(noise_mib);
    remote_->subject.init();
    fs::create_directory(staging());
    ASSERT_EQ(::mount("tmpfs", staging().c_str(), "tmpfs", 0, size.c_str()), 0);
    remote_->subject.environment["ICECORE_STAGING_DIR"] = staging();
  }
  fs::path staging() const { return remote_->subject.staging(); }
  // To the last byte, by somebody else.
  void fill() const {
    std::ofstream file(filler(), std::ios::binary);
    const std::string bytes(base::k_mib, 'x');
    while (file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()) continue;
  }
  void empty() const { fs::remove(filler()); }

  std::optional<RemoteGuest> remote_;

 private:
  fs::path filler() const { return staging() / "filler"; }
};

// Whatever the limit says. More than one pack: each has to leave before the next can be written.
TEST_F(SmallStaging, APointLargerThanItGoesThrough) {
  ASSERT_NO_FATAL_FAILURE(start(/*noise_mib=*/40, "size=36m"));
  remote_->begin_backup("upload.pack.sending=pause", {"--staging-limit", "1G"});
  const auto outcome = remote_->end_backup();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  remote_->expect_nothing_lost(remote_->instant());
}

TEST_F(SmallStaging, FilledByOthersBeforeAndAfterThePointIsComplete) {
  ASSERT_NO_FATAL_FAILURE(start(/*noise_mib=*/4, "size=160m"));
  remote_->subject.must({"backup", remote_->name(), "--no-wait"});
  remote_->server.kill();
  remote_->write_noise(2);
  remote_->begin_backup("backup.intent.reading=pause");
  fill();
  const auto given_up = remote_->end_backup();
  EXPECT_EQ(given_up.exit_code, 9) << given_up.error_output;
  empty();
  remote_->server.start();
  remote_->subject.expect_at_rest();

  remote_->begin_backup("backup.fact.sealed=pause");
  fill();
  const auto complete = remote_->end_backup();
  EXPECT_EQ(complete.exit_code, 9) << complete.error_output;
  remote_->wait_on_base();
  empty();
  remote_->subject.must({"recover"});
  remote_->subject.must({"upload"});
  EXPECT_EQ(remote_->subject.points().size(), 2U);
  remote_->expect_nothing_lost(remote_->instant());
}

}  // namespace
}  // namespace icecore::system_test
