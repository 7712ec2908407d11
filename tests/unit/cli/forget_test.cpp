// SPDX-License-Identifier: Apache-2.0
// forget, protect, unprotect and unlock as typed.
#include <gmock/gmock.h>

#include <fstream>

#include "repository/protection.hpp"
#include "repository/repository_lock.hpp"
#include "unit/cli/program_case.hpp"

namespace icecore::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ForgetTest : public ProgramCase {
 protected:
  void SetUp() override {
    variables_["ICECORE_KEY_FILE"] = folder_ / "key";
    ASSERT_EQ(run({"init"}), ExitCode::ok);
  }
  std::string publish_at(const std::string& domain, const std::string& time) {
    return publish_point(domain, base::parse_time(time));
  }
  std::vector<std::string> ids() {
    EXPECT_EQ(run({"list", "--json"}), ExitCode::ok) << err_.str();
    std::vector<std::string> found;
    const base::Json listed = record();
    for (const auto& point : listed["points"]) found.push_back(point["id"]);
    return found;
  }
  // The point's manifest; what was in it.
  std::string write_over(const std::string& point, const std::string& content) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder_ / "repository/manifests")) {
      if (!file.path().string().ends_with(point)) continue;
      std::ifstream before(file.path(), std::ios::binary);
      std::string was{std::istreambuf_iterator<char>(before), {}};
      std::ofstream(file.path(), std::ios::binary) << content;
      return was;
    }
    ADD_FAILURE() << "there is no manifest of " << point;
    return {};
  }
  std::string leave_lock(const std::function<void(repository::LockInfo&)>& change) {
    repository::LockInfo lock = repository::describe_self(repository::LockMode::exclusive, "prune");
    change(lock);
    open([&](repository::Repository& repository) {
      repository.storage().put(repository::lock_object(lock.id), encode_lock(repository.keys(), lock));
    });
    return lock.id;
  }
};

TEST_F(ForgetTest, NoRuleAndNoPointRemovesNothing) {
  publish_at("web1", "2026-01-01");
  EXPECT_EQ(run({"forget"}), ExitCode::usage);
  EXPECT_THAT(err_.str(), HasSubstr("nothing is removed"));
  EXPECT_EQ(run({"forget", "--domain", "web1"}), ExitCode::usage);
  EXPECT_EQ(run({"forget", "--dry-run"}), ExitCode::usage);
  EXPECT_EQ(run({"forget", "--keep-last", "0"}), ExitCode::usage);
  EXPECT_EQ(ids().size(), 1U);
}

TEST_F(ForgetTest, EachDomainByItself) {
  publish_at("web1", "2026-01-01");
  const std::string web = publish_at("web1", "2026-01-02");
  const std::string db = publish_at("db", "2025-01-01");
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::ok) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("forgot 1 restore points, 2 stay"));
  EXPECT_THAT(out_.str(), HasSubstr("icecore prune"));
  EXPECT_THAT(ids(), ElementsAre(db, web));
}

TEST_F(ForgetTest, DryRunSaysWhyAndRemovesNothing) {
  publish_at("web1", "2026-01-01T01:00");
  publish_at("web1", "2026-01-01T02:00");
  EXPECT_EQ(run({"forget", "--keep-daily", "1", "--dry-run"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("keep    daily"));
  EXPECT_THAT(out_.str(), HasSubstr("would forget 1 restore points"));
  EXPECT_EQ(run({"forget", "--keep-daily", "1", "--dry-run", "--json"}), ExitCode::ok);
  const base::Json shown = record();
  const base::Json& points = shown["domains"][0]["points"];
  EXPECT_EQ(points[0]["action"], "forget");
  EXPECT_EQ(points[1]["reasons"], base::Json::array({"daily"}));
  EXPECT_EQ(ids().size(), 2U);
}

TEST_F(ForgetTest, OnlyTheDomainsNamed) {
  publish_at("web1", "2026-01-01");
  publish_at("web1", "2026-01-02");
  publish_at("db", "2026-01-01");
  publish_at("db", "2026-01-02");
  EXPECT_EQ(run({"forget", "--keep-last", "1", "--domain", "w*"}), ExitCode::ok);
  EXPECT_EQ(ids().size(), 3U);
  EXPECT_EQ(run({"forget", "--keep-last", "1", "--domain", uuids_["db"]}), ExitCode::ok);
  EXPECT_EQ(ids().size(), 2U);
}

TEST_F(ForgetTest, NamedPoints) {
  const std::string old = publish_at("web1", "2026-01-01");
  const std::string last = publish_at("web1", "2026-01-02");
  EXPECT_EQ(run({"forget", "web1"}), ExitCode::usage) << "a domain's name is no point";
  EXPECT_EQ(run({"forget", "feedbeef"}), ExitCode::not_found);
  EXPECT_EQ(run({"forget", old, "--keep-last", "1"}), ExitCode::usage);
  EXPECT_EQ(run({"forget", old, last}), ExitCode::conflict) << "all of the domain";
  EXPECT_EQ(ids().size(), 2U) << "refused as a whole";
  EXPECT_EQ(run({"forget", old.substr(0, 8)}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"forget", last}), ExitCode::conflict);
  EXPECT_THAT(err_.str(), HasSubstr("without a whole restore point"));
  EXPECT_EQ(run({"forget", last, "--even-last"}), ExitCode::ok);
  EXPECT_TRUE(ids().empty());
}

TEST_F(ForgetTest, APointOfTheFutureIsWarnedOfAndPushesOutNothing) {
  const std::string real = publish_at("web1", "2026-01-02");
  const std::string forged = publish_at("web1", "2199-01-01");
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::ok);
  EXPECT_THAT(err_.str(), HasSubstr("later than now"));
  EXPECT_THAT(ids(), ElementsAre(real, forged));
  EXPECT_EQ(run({"forget", real}), ExitCode::conflict) << "a forged point is no good one";
}

TEST_F(ForgetTest, WhereAllPointsAreOfTheFutureTheyCount) {
  const std::string first = publish_at("web1", "2199-01-01");
  const std::string second = publish_at("web1", "2199-01-02");
  EXPECT_EQ(run({"forget", first, second}), ExitCode::conflict);
  EXPECT_THAT(err_.str(), HasSubstr("without a whole restore point"));
  EXPECT_EQ(run({"forget", first}), ExitCode::ok) << err_.str();
  EXPECT_THAT(ids(), ElementsAre(second));
  EXPECT_EQ(run({"forget", second}), ExitCode::conflict);
}

TEST_F(ForgetTest, APointThatLostBlocksIsNotTheLastGoodOne) {
  const std::string whole = publish_at("web1", "2026-01-01");
  const std::string damaged = publish_at("web1", "2026-01-02");
  open([&](repository::Repository& repository) {
    repository.storage().put("damage/" + damaged, base::as_bytes("a mark"));
  });
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::ok);
  EXPECT_THAT(ids(), ElementsAre(whole, damaged));
  EXPECT_EQ(run({"forget", whole}), ExitCode::conflict);
}

// What it needs nobody knows, so it stops every prune until a person gives it up.
TEST_F(ForgetTest, AnUnreadablePointIsGivenUpByName) {
  const std::string whole = publish_at("web1", "2026-01-01");
  const std::string damaged = publish_at("web1", "2026-01-02");
  write_over(damaged, "rubbish");
  const std::string way_out = "icecore forget " + damaged.substr(0, 8) + " --even-unreadable";
  for (const std::vector<std::string>& line : {std::vector<std::string>{"prune"}, {"forget", damaged}}) {
    EXPECT_EQ(run(line), ExitCode::corrupt);
    EXPECT_THAT(err_.str(), HasSubstr(way_out)) << line[0];
  }
  EXPECT_EQ(run({"verify"}), ExitCode::corrupt);
  EXPECT_THAT(err_.str(), testing::AllOf(HasSubstr(way_out), Not(HasSubstr("icecore repair"))));
  EXPECT_EQ(run({"repair"}), ExitCode::corrupt);
  EXPECT_THAT(err_.str(), HasSubstr(way_out));

  EXPECT_EQ(run({"forget", "--keep-last", "1", "--even-unreadable"}), ExitCode::usage);
  EXPECT_EQ(run({"forget", damaged, "--even-unreadable", "--dry-run"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"list"}), ExitCode::corrupt) << "nothing was removed";
  open([&](repository::Repository& repository) { repository::protect(repository, {.point = damaged}); });
  EXPECT_EQ(run({"forget", damaged, "--even-unreadable"}), ExitCode::conflict);
  open([&](repository::Repository& repository) { repository::unprotect(repository, damaged); });
  EXPECT_EQ(run({"forget", damaged.substr(0, 8), "--even-unreadable", "--json"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(record()["unreadable"][0]["action"], "forget");
  EXPECT_THAT(ids(), ElementsAre(whole));
  EXPECT_EQ(run({"prune"}), ExitCode::ok) << err_.str();
}

// By somebody's hand.
TEST_F(ForgetTest, WhatIsNoManifestAmongThemIsGivenUpByItsName) {
  open([](repository::Repository& repository) { repository.storage().put("manifests/junk", base::as_bytes("x")); });
  EXPECT_EQ(run({"prune"}), ExitCode::corrupt);
  EXPECT_THAT(err_.str(), HasSubstr("icecore forget manifests/junk --even-unreadable"));
  EXPECT_EQ(run({"forget", "manifests/junk", "--even-unreadable"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"prune"}), ExitCode::ok) << err_.str();
}

TEST_F(ForgetTest, APointOfANewerVersionIsNotGivenUp) {
  const std::string newer = publish_at("web1", "2026-01-01");
  std::string object = write_over(newer, "");
  constexpr std::size_t k_version_at = 9;
  object.at(k_version_at) = 2;
  write_over(newer, object);
  EXPECT_EQ(run({"forget", newer, "--even-unreadable"}), ExitCode::usage);
  EXPECT_THAT(err_.str(), HasSubstr("the icecore that made it"));
  EXPECT_EQ(run({"prune"}), ExitCode::usage);
}

TEST_F(ForgetTest, ByAPolicy) {
  const std::string file = folder_ / "p.xml";
  const auto write = [&](const std::string& retention) {
    std::ofstream(file) << "<policy name='p'><domains><include name='web*'/></domains><repository url='"
                        << (folder_ / "repository").string() << "'/>" << retention << "</policy>";
  };
  publish_at("web1", "2026-01-01");
  publish_at("web1", "2026-01-02");
  publish_at("db", "2026-01-01");
  publish_at("db", "2026-01-02");
  write("");
  EXPECT_EQ(run({"forget", "--policy", file}), ExitCode::usage);
  write("<retention keep-last='1' keep-within='6h'/>");
  EXPECT_EQ(run({"forget", "--policy", file, "--keep-last", "2"}), ExitCode::usage);
  EXPECT_EQ(run({"forget", "--policy", file}), ExitCode::ok) << err_.str();
  EXPECT_EQ(ids().size(), 3U);
  write("<retention keep-within='soon'/>");
  EXPECT_EQ(run({"forget", "--policy", file}), ExitCode::usage);
}

TEST_F(ForgetTest, WaitsForNobodyAndIsRefusedBesideAnExclusiveLock) {
  publish_at("web1", "2026-01-01");
  leave_lock([](repository::LockInfo& lock) { lock.host = "elsewhere"; });
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::busy);
}

TEST_F(ForgetTest, ProtectionIsShownAndHonoured) {
  const std::string old = publish_at("web1", "2026-01-01");
  publish_at("web1", "2026-01-02");
  EXPECT_EQ(run({"protect", "web1@2026-01-01", "--reason", "before the upgrade"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"protect", old}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("was protected already"));
  EXPECT_EQ(run({"list"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("PROTECTED"));
  EXPECT_EQ(run({"show", old}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("before the upgrade"));
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::ok);
  EXPECT_EQ(run({"forget", old}), ExitCode::conflict);
  EXPECT_THAT(err_.str(), HasSubstr("try: icecore unprotect " + old.substr(0, 8)));
  EXPECT_EQ(ids().size(), 2U);
  EXPECT_EQ(run({"unprotect", old, "--json"}), ExitCode::ok);
  EXPECT_EQ(record()["changed"], true);
  EXPECT_EQ(run({"protect", "--remove", old}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("was not protected"));
  EXPECT_EQ(run({"forget", old}), ExitCode::ok);
}

TEST_F(ForgetTest, UnlockRemovesOnlyTheDead) {
  EXPECT_EQ(run({"unlock"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("no locks"));
  leave_lock([](repository::LockInfo& lock) { lock.process_start = "1"; });
  const std::string alive = leave_lock([](repository::LockInfo& lock) { lock.host = "elsewhere"; });
  EXPECT_EQ(run({"unlock"}), ExitCode::ok);
  for (const char* word : {"dead", "alive", "its process is gone", "1 locks stay"}) {
    EXPECT_THAT(out_.str(), HasSubstr(word));
  }
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::busy);
  EXPECT_EQ(run({"unlock", alive.substr(0, 8)}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("SEEMS ALIVE"));
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::ok);
}

// To a host whose clock is ahead every other host seems silent.
TEST_F(ForgetTest, UnlockRemovesASilentHostsLockOnlyByName) {
  const std::string silent = leave_lock([](repository::LockInfo& lock) {
    lock.host = "elsewhere";
    lock.heartbeat -= std::chrono::hours(1);
  });
  EXPECT_EQ(run({"unlock"}), ExitCode::ok);
  EXPECT_THAT(out_.str(),
              testing::AllOf(HasSubstr("silent"), HasSubstr("icecore unlock ID"), Not(HasSubstr("removed"))));
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::busy);
  EXPECT_THAT(err_.str(), HasSubstr("icecore unlock " + silent.substr(0, 8)));
  EXPECT_EQ(run({"unlock", silent.substr(0, 8)}), ExitCode::ok);
  EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::ok);
}

// After a power loss, or by somebody's hand.
TEST_F(ForgetTest, WhatCannotBeReadAsALockIsNamedAndRemovedByName) {
  for (const std::string id : {"0123456789abcdef0123456789abcdef", "x", "notes/of mine"}) {
    open([&](repository::Repository& repository) { repository.storage().put("locks/" + id, base::ByteView{}); });
    EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::corrupt);
    EXPECT_THAT(err_.str(), HasSubstr("icecore unlock "));
    EXPECT_THAT(err_.str(), HasSubstr(id));
    EXPECT_EQ(run({"unlock"}), ExitCode::ok);
    EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::corrupt) << "only by name";
    EXPECT_EQ(run({"unlock", id}), ExitCode::ok) << err_.str();
    EXPECT_EQ(run({"forget", "--keep-last", "1"}), ExitCode::ok) << err_.str();
  }
}

TEST_F(ForgetTest, UnlockWithForceRemovesAllAndDamagedToo) {
  leave_lock([](repository::LockInfo& lock) { lock.host = "elsewhere"; });
  open([](repository::Repository& repository) {
    repository.storage().put("locks/0123abcd", base::as_bytes("rubbish"));
  });
  EXPECT_EQ(run({"unlock", "--json"}), ExitCode::ok);
  base::Json shown = record();
  for (const auto& lock : shown["locks"]) EXPECT_EQ(lock["removed"], false);
  EXPECT_EQ(run({"unlock", "feedbeef"}), ExitCode::not_found);
  EXPECT_EQ(run({"unlock", "--force", "--json"}), ExitCode::ok);
  shown = record();
  ASSERT_EQ(shown["locks"].size(), 2U);
  for (const auto& lock : shown["locks"]) EXPECT_EQ(lock["removed"], true);
  EXPECT_EQ(run({"unlock"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("no locks"));
}

}  // namespace
}  // namespace icecore::cli
