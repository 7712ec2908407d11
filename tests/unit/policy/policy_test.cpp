// SPDX-License-Identifier: Apache-2.0
#include "policy/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace icecore::policy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(DomainRules, NamesAndGlobs) {
  const DomainRules rules{.include = {"web?", "db-*", "mail"}, .exclude = {}};
  EXPECT_TRUE(matches(rules, "web1"));
  EXPECT_FALSE(matches(rules, "web10"));
  EXPECT_TRUE(matches(rules, "db-"));
  EXPECT_TRUE(matches(rules, "mail"));
  EXPECT_FALSE(matches(rules, "mail2"));
  EXPECT_FALSE(matches(rules, "Web1"));
}

TEST(DomainRules, ExcludeWins) {
  const DomainRules rules{.include = {"*"}, .exclude = {"test-*", "scratch"}};
  EXPECT_TRUE(matches(rules, "web1"));
  EXPECT_FALSE(matches(rules, "test-1"));
  EXPECT_FALSE(matches(rules, "scratch"));
}

TEST(DomainRules, ClassesOfLetters) {
  const DomainRules rules{.include = {"web[1-3]"}, .exclude = {}};
  EXPECT_TRUE(matches(rules, "web2"));
  EXPECT_FALSE(matches(rules, "web4"));
}

TEST(Match, KeepsTheOrderAndNamesRulesThatMeanNothing) {
  Policy policy;
  policy.domains = {.include = {"web*", "gone", "test*"}, .exclude = {"test*"}};
  const Match match = matches(policy, {"web2", "db", "web1", "test1"});
  EXPECT_THAT(match.domains, ElementsAre("web2", "web1"));
  EXPECT_THAT(match.unused_include, ElementsAre("gone"));
}

TEST(Match, NoDomainsAtAll) {
  Policy policy;
  policy.domains.include = {"*"};
  EXPECT_THAT(matches(policy, {}).domains, IsEmpty());
}

}  // namespace
}  // namespace icecore::policy
