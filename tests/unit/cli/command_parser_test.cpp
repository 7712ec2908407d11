// SPDX-License-Identifier: Apache-2.0
#include "cli/command_parser.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

enum class Colour { red, blue };

class CommandParser : public testing::Test {
 protected:
  CommandParser() {
    common_.option("-r,--repository", "URL", "", WordList::into(repository_));
    common_.flag("--json", "", json_);
    paint_.positional("NAME", "", Count::at_least_one, WordList::into(names_));
    paint_.repeatable("--disk", "TARGET", "", WordList::into(disks_));
    paint_.option("--level", "N", "", WordList::whole_number(level_, 1, 19));
    paint_.flag_or_value("--thin", "[=PERCENT]", "50", "", WordList::whole_number(thin_, 1, 100));
    common_.counted_flag("-v,--verbose", "", verbose_);
    paint_.option("--colour", "red|blue", "",
                  WordList::choice<Colour>(colour_, {{"red", Colour::red}, {"blue", Colour::blue}}));
    check_.positional("FILE", "", Count::one, WordList::into(file_));
    list_.positional("DOMAIN", "", Count::optional, WordList::into(domain_));
  }

  std::optional<std::size_t> parse(std::vector<std::string> arguments) {
    return parse_command_line(arguments, common_, {{"paint", &paint_}, {"policy check", &check_}, {"list", &list_}});
  }

  base::Error failure_of(std::vector<std::string> arguments) {
    try {
      parse(std::move(arguments));
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::usage);
      return error;
    }
    ADD_FAILURE() << "was accepted";
    return {base::Fault::internal, ""};
  }

  WordList common_, paint_, check_, list_;
  std::string repository_, file_;
  std::optional<std::string> domain_;
  bool json_ = false;
  std::vector<std::string> names_, disks_;
  int level_ = 0;
  int thin_ = 0;
  int verbose_ = 0;
  Colour colour_ = Colour::red;
};

TEST_F(CommandParser, ReadsEveryKindOfWord) {
  EXPECT_EQ(parse({"paint", "a", "b", "--disk", "vda", "--disk=vdb", "--level", "3", "--colour", "blue"}), 0U);
  EXPECT_THAT(names_, ElementsAre("a", "b"));
  EXPECT_THAT(disks_, ElementsAre("vda", "vdb"));
  EXPECT_EQ(level_, 3);
  EXPECT_EQ(colour_, Colour::blue);
  EXPECT_FALSE(json_);
}

TEST_F(CommandParser, AnOptionTakesOneValueOnly) {
  parse({"paint", "--disk", "vda", "name"});
  EXPECT_THAT(disks_, ElementsAre("vda"));
  EXPECT_THAT(names_, ElementsAre("name"));
}

TEST_F(CommandParser, AFlagMayHaveAValueBehindTheEqualsSign) {
  parse({"paint", "--thin", "20"});
  EXPECT_EQ(thin_, 50);
  EXPECT_THAT(names_, ElementsAre("20"));
  parse({"paint", "x", "--thin=20"});
  EXPECT_EQ(thin_, 20);
  parse({"paint", "x", "--thin=20", "--thin"});
  EXPECT_EQ(thin_, 50);
  EXPECT_STREQ(failure_of({"paint", "x", "--thin=0"}).what(), "--thin: '0' is not a whole number from 1 to 100");
  EXPECT_STREQ(failure_of({"paint", "x", "--thin=true"}).what(), "--thin: 'true' is not a whole number from 1 to 100");
}

TEST_F(CommandParser, AFlagIsCounted) {
  parse({"list", "-vv"});
  EXPECT_EQ(verbose_, 2);
  parse({"-v", "list", "--verbose", "-v"});
  EXPECT_EQ(verbose_, 3);
}

TEST_F(CommandParser, WhatFollowsTwoDashesIsNoOption) {
  EXPECT_EQ(parse({"list", "--", "-v"}), 2U);
  EXPECT_EQ(domain_, "-v");
  parse({"-r", "/a", "paint", "--disk", "vda", "--", "-x", "--json"});
  EXPECT_THAT(names_, ElementsAre("-x", "--json"));
  EXPECT_FALSE(json_);
  EXPECT_EQ(verbose_, 0);
  EXPECT_THAT(failure_of({"list", "--", "-a", "-b"}).what(), HasSubstr("-b"));
}

TEST_F(CommandParser, SessionOptionsStandBeforeOrAfterTheCommand) {
  parse({"-r", "/a", "list", "--json"});
  EXPECT_EQ(repository_, "/a");
  EXPECT_TRUE(json_);
  parse({"list", "-r", "/b"});
  EXPECT_EQ(repository_, "/b");
}

TEST_F(CommandParser, TheLastOfTwoValuesCounts) {
  parse({"list", "-r", "/a", "-r", "/b"});
  EXPECT_EQ(repository_, "/b");
}

TEST_F(CommandParser, OptionalPositional) {
  EXPECT_EQ(parse({"list"}), 2U);
  EXPECT_FALSE(domain_);
  parse({"list", "web1"});
  EXPECT_EQ(domain_, "web1");
}

TEST_F(CommandParser, NestedCommand) {
  EXPECT_EQ(parse({"policy", "check", "x.xml"}), 1U);
  EXPECT_EQ(file_, "x.xml");
}

TEST_F(CommandParser, NoCommandIsNoFailure) { EXPECT_EQ(parse({"--json"}), std::nullopt); }

TEST_F(CommandParser, UnknownCommandIsToldWithTheNearest) {
  EXPECT_THAT(failure_of({"lst"}).what(), HasSubstr("unknown command 'lst'; did you mean 'list'?"));
  EXPECT_THAT(failure_of({"-r", "/a", "pant", "x"}).what(), HasSubstr("'paint'"));
  EXPECT_STREQ(failure_of({"frobnicate"}).what(), "unknown command 'frobnicate'");
  EXPECT_THAT(failure_of({"policy"}).what(), HasSubstr("unknown command 'policy'"));
  EXPECT_THAT(failure_of({"policy", "chekc", "x"}).what(), HasSubstr("did you mean 'policy check'?"));
}

TEST_F(CommandParser, UnknownOptionIsToldWithTheNearest) {
  const base::Error error = failure_of({"paint", "x", "--dsk", "vda"});
  EXPECT_THAT(error.what(), HasSubstr("unknown option '--dsk'; did you mean '--disk'?"));
  EXPECT_EQ(error.hint(), "icecore paint --help");
}

TEST_F(CommandParser, TooManyAndTooFew) {
  EXPECT_STREQ(failure_of({"list", "a", "b"}).what(), "'b' is one argument too many");
  EXPECT_THAT(failure_of({"paint"}).what(), HasSubstr("NAME"));
  EXPECT_EQ(failure_of({"paint"}).hint(), "icecore paint --help");
}

TEST_F(CommandParser, BadValuesNameTheOption) {
  EXPECT_STREQ(failure_of({"paint", "x", "--level", "20"}).what(), "--level: '20' is not a whole number from 1 to 19");
  EXPECT_STREQ(failure_of({"paint", "x", "--level", "3x"}).what(), "--level: '3x' is not a whole number from 1 to 19");
  EXPECT_STREQ(failure_of({"paint", "x", "--colour", "green"}).what(), "--colour: 'green' is not one of: red, blue");
}

TEST_F(CommandParser, NothingIsSetWhenTheLineIsWrong) {
  failure_of({"list", "a", "b", "-r", "/x"});
  EXPECT_EQ(repository_, "");
  EXPECT_THAT(names_, IsEmpty());
}

}  // namespace
}  // namespace icecore::cli
