// SPDX-License-Identifier: Apache-2.0
// Whole commands in this process, on repositories in a folder of their own.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "base/durable_file.hpp"
#include "cli/help.hpp"
#include "repository/envelope.hpp"
#include "unit/cli/program_case.hpp"

namespace icecore::cli {
namespace {

using testing::AllOf;
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
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("there is no folder"), HasSubstr("try: icecore init -r ")));
  std::filesystem::create_directory(folder_ / "repository");
  EXPECT_EQ(run({"list"}), ExitCode::not_found);
  EXPECT_THAT(err_.str(), HasSubstr("try: icecore init -r "));
  variables_.erase("ICECORE_REPOSITORY");
  EXPECT_EQ(run({"list"}), ExitCode::usage);
  EXPECT_THAT(err_.str(), HasSubstr("ICECORE_REPOSITORY"));
}

TEST_F(ProgramTest, ARepositoryThatIsAFile) {
  base::write_durably(folder_ / "repository", base::as_bytes("text"));
  EXPECT_EQ(run({"list"}), ExitCode::not_found);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("is no folder"), HasSubstr("try: name a folder")));
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

// The same for both: the others would stand frozen while the memory of one is saved.
TEST_F(ProgramTest, NeitherTheCommandLineNorAPolicySavesTheMemoryOfAGroup) {
  for (const char* rule : {"--full-state", "--full-state=required", "--full-state=try"}) {
    EXPECT_EQ(run({"backup", "web1", "db1", "--group", rule}), ExitCode::usage) << rule;
    EXPECT_THAT(err_.str(), HasSubstr("--group and --full-state exclude each other"));
  }
  const std::string file = folder_ / "p.xml";
  for (const char* mode : {"full-state", "full-state-try"}) {
    std::ofstream(file) << "<policy name='p'>\n<domains group='yes'><include name='web*'/></domains>\n"
                        << "<capture mode='" << mode << "'/>\n<repository url='/b'/></policy>";
    const std::vector<std::vector<std::string>> readers = {
        {"policy", "check", file}, {"run", file}, {"run", file, "--dry-run"}, {"explain", "web1", "--policy", file}};
    for (const std::vector<std::string>& reader : readers) {
      EXPECT_EQ(run(reader), ExitCode::usage) << reader.front() << " " << mode;
      EXPECT_THAT(err_.str(), HasSubstr(file + ":3: a full state and <domains group=\"yes\"> exclude each other"));
    }
  }
}

TEST_F(ProgramTest, AFailureIsARecordToo) {
  EXPECT_EQ(run({"list", "--json"}), ExitCode::not_found);
  EXPECT_EQ(record()["exit_code"], 4);
  EXPECT_EQ(record()["error"]["fault"], "not_found");
  EXPECT_EQ(run({"lst", "--json"}), ExitCode::usage);
  EXPECT_THAT(std::string(record()["error"]["message"]), HasSubstr("did you mean 'list'?"));
}

// Documented in every command's help; scripts read it.
TEST_F(ProgramTest, AFailureRecordIsTheDocumentedOne) {
  EXPECT_EQ(run({"list", "--json"}), ExitCode::not_found);
  std::vector<std::string> fields;
  const base::Json failure = record().flatten();
  for (const auto& [path, value] : failure.items()) {
    std::string name = path.substr(1);
    std::replace(name.begin(), name.end(), '/', '.');
    fields.push_back(name);
  }
  std::vector<std::string> documented;
  for (const JsonField& field : failure_fields()) {
    documented.push_back(field.name);
    EXPECT_THAT(command_help(all_commands().front(), {}), HasSubstr(field.name));
  }
  EXPECT_THAT(fields, testing::UnorderedElementsAreArray(documented));
  for (const auto fault : {base::Fault::usage, base::Fault::not_found, base::Fault::busy, base::Fault::unavailable,
                           base::Fault::no_space, base::Fault::denied, base::Fault::corrupt, base::Fault::conflict,
                           base::Fault::cancelled, base::Fault::internal}) {
    EXPECT_THAT(failure_fields().front().meaning, HasSubstr(base::to_string(fault)));
  }
}

TEST_F(ProgramTest, ANewerRepositoryIsNamedAsSuch) {
  ASSERT_EQ(run({"init", "--encryption", "none"}), ExitCode::ok);
  const auto storage = storage::open_storage(variables_["ICECORE_REPOSITORY"]);
  const std::string name(repository::k_config_name);
  repository::Config config = repository::decode_config(storage->get(name, base::k_mib));
  config.format_version = repository::k_format_version + 1;
  storage->replace(name, repository::encode_config(config));
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"list"}, {"show", "latest"}, {"backup", "web1"}, {"restore", "latest"}}) {
    EXPECT_EQ(run(arguments), ExitCode::usage);
    EXPECT_THAT(err_.str(), StartsWith("icecore: the repository has format version 2, newer than the 1 known"));
    EXPECT_THAT(err_.str(), HasSubstr("\n  try: "));
  }
}

TEST_F(ProgramTest, InitRefusesAFolderOfSomebodyElse) {
  const std::filesystem::path folder = variables_["ICECORE_REPOSITORY"];
  std::filesystem::create_directory(folder);
  std::ofstream(folder / "letter.txt") << "dear";
  EXPECT_EQ(run({"init", "--key-file", (folder_ / "key").string()}), ExitCode::conflict);
  EXPECT_THAT(err_.str(), HasSubstr("'letter.txt' is in it"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "key"));
  EXPECT_EQ(run({"list"}), ExitCode::not_found);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1) << "the folder was written to";
}

class UnreadablePoints : public ProgramCase {
 protected:
  // Two points; the newer one, of "db", is then written anew by `change`.
  void SetUp() override {
    variables_["ICECORE_KEY_FILE"] = folder_ / "key";
    ASSERT_EQ(run({"init"}), ExitCode::ok);
    publish_point("web1");
    id_ = publish_point("db");
  }
  void rewrite(const std::function<base::Bytes(repository::Repository&, const std::string&)>& change) {
    open([&](repository::Repository& repository) {
      const std::string object = repository::list_manifest_objects(repository).back();
      repository.storage().replace(object, change(repository, object));
    });
  }
  void expect_others_readable(ExitCode of_id, const std::string& reason) {
    EXPECT_EQ(run({"show", "web1"}), ExitCode::ok) << err_.str();
    EXPECT_THAT(err_.str(), HasSubstr(id_));
    EXPECT_THAT(err_.str(), HasSubstr(reason));
    EXPECT_EQ(run({"protect", "web1"}), ExitCode::ok) << err_.str();
    EXPECT_EQ(run({"show", id_.substr(0, 8)}), of_id);
    EXPECT_THAT(err_.str(), HasSubstr("restore point " + id_.substr(0, 8) + " cannot be read"));
    EXPECT_EQ(run({"show", "feedbeef"}), ExitCode::not_found);
    EXPECT_EQ(run({"list"}), ExitCode::corrupt);
  }

  std::string id_;
};

TEST_F(UnreadablePoints, ADamagedOneDoesNotHideTheOthers) {
  rewrite([](repository::Repository& repository, const std::string& object) {
    base::Bytes bytes = repository.storage().get(object, base::k_mib);
    bytes.back() ^= std::byte{1};
    return bytes;
  });
  expect_others_readable(ExitCode::corrupt, "cannot be read");
}

TEST_F(UnreadablePoints, ANewerOneDoesNotHideTheOthers) {
  rewrite([](repository::Repository& repository, const std::string& object) {
    base::ByteWriter writer;
    const std::string json = R"({"format_version": 1000})";
    writer.u32(static_cast<std::uint32_t>(json.size()));
    writer.raw(base::as_bytes(json));
    return seal(repository.keys(), repository::ObjectKind::manifest, object, writer.take());
  });
  expect_others_readable(ExitCode::corrupt, "newer");
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

TEST_F(ProgramTest, TheVersionByItsUsualOption) {
  EXPECT_EQ(run({"--version"}), ExitCode::ok) << err_.str();
  EXPECT_THAT(out_.str(), StartsWith("icecore "));
}

TEST_F(ProgramTest, AHintCanBeTypedAsItIs) {
  variables_["ICECORE_REPOSITORY"] = folder_ / "it's here";
  ASSERT_EQ(run({"init", "--encryption", "none"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(run({"init", "--encryption", "none"}), ExitCode::conflict);
  EXPECT_NE(err_.str().find("icecore list -r '" + (folder_ / "it'\\''s here'").string()), std::string::npos)
      << err_.str();
  publish_point("my server");
  EXPECT_EQ(run({"list", "my servr"}), ExitCode::not_found);
  EXPECT_NE(err_.str().find("icecore list 'my server'"), std::string::npos) << err_.str();
}

// Whoever names a domain, writes to the repository or runs the server chooses these.
TEST_F(ProgramTest, NoTextOfOthersReachesTheTerminalAsACommand) {
  ASSERT_EQ(run({"init", "--encryption", "none"}), ExitCode::ok) << err_.str();
  const std::string name = "web\x1b]0;owned\x07\u009b2J";
  publish_point(name);
  const auto is_clean = [&] {
    return (out_.str() + err_.str()).find_first_of("\x1b\x07") == std::string::npos &&
           (out_.str() + err_.str()).find("\u009b") == std::string::npos;
  };
  EXPECT_EQ(run({"list"}), ExitCode::ok);
  EXPECT_TRUE(is_clean()) << out_.str();
  EXPECT_EQ(run({"show", "latest"}), ExitCode::ok) << err_.str();
  EXPECT_TRUE(is_clean()) << out_.str();
  EXPECT_EQ(run({"show", "\x1b[2J"}), ExitCode::not_found);
  EXPECT_TRUE(is_clean()) << err_.str();
  EXPECT_EQ(run({"list", "--json"}), ExitCode::ok);
  EXPECT_TRUE(is_clean()) << out_.str();
  EXPECT_EQ(record()["points"][0]["domain"], name);
}

}  // namespace
}  // namespace icecore::cli
