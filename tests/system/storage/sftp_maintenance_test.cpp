// SPDX-License-Identifier: Apache-2.0
// Maintenance on a server that has no fsync, no posix-rename and no statvfs.
#include "rig/requirements.hpp"
#include "rig/ssh_server.hpp"
#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

namespace fs = std::filesystem;

class SftpMaintenanceTest : public MaintenanceFixture {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "program:sshd", "program:ssh-keygen");
    MaintenanceFixture::SetUp();
  }
};

TEST_F(SftpMaintenanceTest, ForgetAndPruneOnABareServer) {
  backup("a", range(1, 60));
  backup("b", range(50, 90));
  const rig::SshServer server({.service = rig::SftpService::bare, .configuration = {}});
  server.enter_home();
  const auto remote = storage::open_storage(server.url("repository"), /*create=*/true);
  for (const auto& [name, bytes] : snapshot()) remote->put(name, bytes);
  {
    Repository repository(*remote, key(), folder_ / "remote-cache");
    const repository::RepositoryLock lock(repository, repository::LockMode::shared, "forget");
    remote->remove(repository::manifest_object(points_[0].manifest));
  }
  Repository repository(*remote, key(), folder_ / "remote-cache");
  const PruneReport report = maintenance::prune(repository, {.grace = std::chrono::seconds(0)}, {});
  EXPECT_GT(report.deleted.packs, 0U);
  EXPECT_TRUE(remote->list("locks").empty());
  Repository fresh(*remote, key(), folder_ / "fresh-cache");
  fresh.refresh_index();
  EXPECT_EQ(read_image(fresh, points_[1].manifest.disks[0].image), make_image(points_[1].seeds));
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(server.files())) {
    EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace icecore::maintenance
