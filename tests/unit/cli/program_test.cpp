// SPDX-License-Identifier: Apache-2.0
// Whole commands in this process, on repositories in a folder of their own.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "unit/cli/program_case.hpp"

namespace icecore::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ProgramTest : public ProgramCase {};

TEST_F(ProgramTest, InitMakesARepositoryAndItsKey) {
  const std::filesystem::path key = folder_ / "key";
  EXPECT_EQ(run({"init", "--key-file", key.string()}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("created key file " + key.string()));
  EXPECT_THAT(out_.str(), HasSubstr("keep a copy"));
  struct stat info {};
  ASSERT_EQ(::stat(key.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(ProgramTest, ASecondInitIsAConflictAndLeavesNoKey) {
  EXPECT_EQ(run({"init", "--encryption", "none"}), ExitCode::ok);
  EXPECT_EQ(run({"init", "--key-file", (folder_ / "key").string()}), ExitCode::conflict);
  EXPECT_THAT(err_.str(), StartsWith("icecore: "));
  EXPECT_THAT(err_.str(), HasSubstr("\n  try: icecore list"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "key"));
}

TEST_F(ProgramTest, ListShowsWhatWasPublished) {
  variables_["ICECORE_KEY_FILE"] = folder_ / "key";
  ASSERT_EQ(run({"init", "--json"}), ExitCode::ok);
  EXPECT_TRUE(record()["encrypted"]);
  EXPECT_EQ(run({"list"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("no restore points"));
  publish_point("web1");
  publish_point("db");
  EXPECT_EQ(run({"list", "web1", "--json"}), ExitCode::ok);
  ASSERT_EQ(record()["points"].size(), 1U);
  EXPECT_EQ(record()["points"][0]["domain"], "web1");
  EXPECT_EQ(run({"list", "web2"}), ExitCode::not_found);
  EXPECT_THAT(err_.str(), HasSubstr("try: icecore list web1"));
}

TEST_F(ProgramTest, PassphraseFromACommand) {
  variables_["ICECORE_PASSPHRASE_COMMAND"] = "echo sesame";
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  EXPECT_EQ(run({"list"}), ExitCode::ok);
  variables_["ICECORE_PASSPHRASE_COMMAND"] = "echo wrong";
  EXPECT_EQ(run({"list"}), ExitCode::denied);
}

TEST_F(ProgramTest, WrongKeyIsDenied) {
  ASSERT_EQ(run({"init", "--key-file", (folder_ / "key").string()}), ExitCode::ok);
  variables_["ICECORE_REPOSITORY"] = folder_ / "other";
  ASSERT_EQ(run({"init", "--key-file", (folder_ / "other-key").string()}), ExitCode::ok);
  EXPECT_EQ(run({"list", "--key-file", (folder_ / "key").string()}), ExitCode::denied);
}

TEST_F(ProgramTest, NoRepositoryThere) {
  EXPECT_EQ(run({"list"}), ExitCode::not_found);
  std::filesystem::create_directory(folder_ / "repository");
  EXPECT_EQ(run({"list"}), ExitCode::not_found);
  EXPECT_THAT(err_.str(), HasSubstr("try: icecore init -r "));
  variables_.erase("ICECORE_REPOSITORY");
  EXPECT_EQ(run({"list"}), ExitCode::usage);
  EXPECT_THAT(err_.str(), HasSubstr("ICECORE_REPOSITORY"));
}

TEST_F(ProgramTest, ShowFindsPointsByName) {
  variables_["ICECORE_KEY_FILE"] = folder_ / "key";
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  publish_point("web1");
  EXPECT_EQ(run({"show", "web1"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("web1 ("));
  EXPECT_EQ(run({"show", "latest", "--json"}), ExitCode::ok);
  const std::string id = record()["id"];
  EXPECT_EQ(run({"show", id.substr(0, 6), "--json"}), ExitCode::ok);
  EXPECT_EQ(record()["id"], id);
  EXPECT_EQ(run({"show", "nothing"}), ExitCode::not_found);
}

// What list prints is what may be typed: a time with whole seconds means the whole second.
TEST_F(ProgramTest, ShowTakesTheTimeThatListPrints) {
  variables_["ICECORE_KEY_FILE"] = folder_ / "key";
  ASSERT_EQ(run({"init"}), ExitCode::ok);
  publish_point("web1");
  ASSERT_EQ(run({"list", "--json"}), ExitCode::ok);
  const std::string time = record()["points"][0]["time"];
  EXPECT_EQ(run({"show", "web1@" + time.substr(0, time.find('.')) + "Z"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"show", "web1@" + time.substr(0, 10)}), ExitCode::ok) << err_.str();
}

TEST_F(ProgramTest, PolicyProblemsEndARunBeforeAnythingElse) {
  const std::string file = folder_ / "p.xml";
  std::ofstream(file) << "<policy name='p'>\n</policy>";
  EXPECT_EQ(run({"run", file}), ExitCode::usage);
  EXPECT_THAT(err_.str(), HasSubstr(file + ":1: <policy> needs a <domains>"));
  EXPECT_THAT(err_.str(), HasSubstr("try: icecore policy check " + file));
}

TEST_F(ProgramTest, AFailureIsARecordToo) {
  EXPECT_EQ(run({"list", "--json"}), ExitCode::not_found);
  EXPECT_EQ(record()["exit_code"], 4);
  EXPECT_EQ(record()["error"]["fault"], "not_found");
  EXPECT_EQ(run({"lst", "--json"}), ExitCode::usage);
  EXPECT_THAT(std::string(record()["error"]["message"]), HasSubstr("did you mean 'list'?"));
}

TEST_F(ProgramTest, PolicyCheckNamesLines) {
  const std::string file = folder_ / "p.xml";
  std::ofstream(file) << "<policy name='p'>\n<domain/>\n</policy>";
  EXPECT_EQ(run({"policy", "check", file}), ExitCode::usage);
  EXPECT_THAT(err_.str(), HasSubstr(file + ":2: unknown element <domain>"));
  EXPECT_EQ(run({"policy", "check", file, "--json"}), ExitCode::usage);
  EXPECT_EQ(record()["valid"], false);
  EXPECT_EQ(record()["problems"][2]["line"], 2);
}

TEST_F(ProgramTest, HelpAnywhereOnTheLine) {
  EXPECT_EQ(run({"--help"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), HasSubstr("Commands:"));
  EXPECT_EQ(run({"list", "--nonsense", "-h"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), StartsWith("Usage: icecore list"));
  EXPECT_EQ(run({"help", "policy", "check"}), ExitCode::ok);
  EXPECT_THAT(out_.str(), StartsWith("Usage: icecore policy check"));
  EXPECT_EQ(run({}), ExitCode::usage);
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace icecore::cli
