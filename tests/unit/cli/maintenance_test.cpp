// SPDX-License-Identifier: Apache-2.0
// prune, verify and repair as commands, and what list, show and restore say of a point that lost blocks.
#include <gmock/gmock.h>

#include <fstream>

#include "repository/damage_mark.hpp"
#include "unit/cli/program_case.hpp"

namespace icecore::cli {
namespace {

using testing::HasSubstr;

class MaintenanceProgramTest : public ProgramCase {
 protected:
  void lose_blocks() {
    const auto storage = storage::open_storage(variables_["ICECORE_REPOSITORY"]);
    repository::Repository repository(*storage, repository::KeyFile{variables_["ICECORE_KEY_FILE"]},
                                      folder_ / "state/cache");
    const std::string id = repository::list_manifests(repository).at(0).id;
    store_damage(repository, {id, base::now(), {{"vda", {{3, 2}}}}});
  }
};

TEST_F(MaintenanceProgramTest, ASoundRepository) {
  variables_["ICECORE_KEY_FILE"] = folder_ / "key";
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  publish_point("web1");
  EXPECT_EQ(run({"prune", "--dry-run", "--json"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(record()["points"], 1);
  EXPECT_EQ(run({"prune", "--grace", "0s"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"prune", "--grace", "soon"}), ExitCode::usage);
  EXPECT_EQ(run({"verify", "--read-data", "--json"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(record()["good"], true);
  EXPECT_EQ(run({"stats", "--json"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(record()["domains"][0]["domain"], "web1");
  EXPECT_EQ(run({"repair"}), ExitCode::ok) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("all 1 restore points are whole"));
}

// A point that lost blocks: told by list and show, and not restored without being asked twice.
TEST_F(MaintenanceProgramTest, LostBlocksAreTold) {
  variables_["ICECORE_KEY_FILE"] = folder_ / "key";
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  publish_point("web1");
  lose_blocks();
  EXPECT_EQ(run({"list", "--json"}), ExitCode::ok);
  EXPECT_EQ(record()["lossy"].size(), 1U);
  EXPECT_EQ(run({"show", "web1", "--json"}), ExitCode::ok);
  EXPECT_EQ(record()["lost"][0]["length"], 131072);
  EXPECT_EQ(run({"restore", "web1", "--disks-only", "--to", folder_.string()}), ExitCode::corrupt);
  EXPECT_THAT(err_.str(), HasSubstr("--allow-damaged"));
}

TEST_F(MaintenanceProgramTest, ADomainMayBeCalledLikeAnOption) {
  variables_["ICECORE_KEY_FILE"] = folder_ / "key";
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  publish_point("-web1");
  EXPECT_EQ(run({"list", "--json", "--", "-web1"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(record()["points"].size(), 1U);
  EXPECT_EQ(run({"show", "--", "-web1"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"list", "--", "-web"}), ExitCode::not_found);
  EXPECT_THAT(err_.str(), HasSubstr("try: icecore list -- -web1"));
}

TEST_F(MaintenanceProgramTest, DamageIsNamedWithTheNextCommand) {
  variables_["ICECORE_KEY_FILE"] = folder_ / "key";
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  const std::string index = "index/" + base::random_id(16);
  std::filesystem::create_directory(folder_ / "repository/index");
  std::ofstream(folder_ / "repository" / index) << "rubbish";
  EXPECT_EQ(run({"verify"}), ExitCode::corrupt);
  EXPECT_THAT(err_.str(), HasSubstr(index));
  EXPECT_THAT(err_.str(), HasSubstr("try: icecore repair"));
  EXPECT_EQ(run({"prune"}), ExitCode::corrupt);
  EXPECT_EQ(run({"repair"}), ExitCode::ok);
  EXPECT_EQ(run({"verify"}), ExitCode::ok);
}

}  // namespace
}  // namespace icecore::cli
