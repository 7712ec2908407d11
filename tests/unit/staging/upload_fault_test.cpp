// SPDX-License-Identifier: Apache-2.0
// What can go wrong with a remote, and what an upload makes of it.
#include "unit/staging/fixture.hpp"

namespace icecore::staging {
namespace {

using base::Fault;
using repository::expect_fault;

using UploadFault = SpoolFixture;

class UploadComesBack : public SpoolFixture, public testing::WithParamInterface<Fault> {};

TEST_P(UploadComesBack, AfterTheFaultIsOver) {
  Process process = open();
  const std::string point = back_up(process, seeds(1, 64));
  base::Guarded<int> left(5);
  remote_.before_put([&](const std::string&) {
    if (left.with([](int& n) { return --n >= 0; })) base::fail(GetParam(), "not now");
  });
  EXPECT_EQ(upload(process).published, std::vector<std::string>{point});
  EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 64)));
}

INSTANTIATE_TEST_SUITE_P(Faults, UploadComesBack,
                         testing::Values(Fault::unavailable, Fault::no_space, Fault::denied, Fault::busy),
                         [](const auto& fault) { return std::string(to_string(fault.param)); });

TEST_F(UploadFault, StallEndsItWithTheReason) {
  Process process = open();
  const std::string point = back_up(process, seeds(1, 8));
  remote_.fail_all(Fault::unavailable);
  UploadOptions options = fast();
  options.stall_max = base::Milliseconds(100);
  expect_fault(Fault::unavailable, "does not work now", [&] { upload(process, options); });
  EXPECT_TRUE(is_pending(process.storage->spool(), point));
  remote_.fail_all(std::nullopt);
  EXPECT_EQ(upload(process).published, std::vector<std::string>{point});
}

TEST_F(UploadFault, StallEndsWithThePatienceAndNotAPauseLater) {
  Process process = open();
  back_up(process, seeds(1, 8));
  remote_.fail_all(Fault::no_space);
  UploadOptions options = fast();
  options.stall_max = base::Milliseconds(100);
  options.refusal_wait = std::chrono::minutes(1);
  const base::Stopwatch watch;
  expect_fault(Fault::no_space, "does not work now", [&] { upload(process, options); });
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(10));
}

struct Loss {
  const char* name;
  std::size_t keep;
  bool short_file;
  bool gone;
};

// The remote loses power after packs and index were sent and before the manifest.
class PowerLoss : public SpoolFixture, public testing::WithParamInterface<Loss> {
 protected:
  void lose(const std::string& name) {
    if (GetParam().gone) return remote_.objects.remove(name);
    const std::size_t size = remote_.objects.size_of(name).value();
    remote_.damage(name, GetParam().keep, GetParam().short_file ? GetParam().keep : size);
  }
  // Sends all but the manifest, and ends.
  std::string send_all_but_the_manifest() {
    Process process = open();
    const std::string point = back_up(process, seeds(1, 64));
    remote_.fail_puts("manifests", Fault::unavailable);
    UploadOptions options = fast();
    options.stall_max = base::Milliseconds(100);
    EXPECT_THROW(upload(process, options), base::Error);
    remote_.fail_puts("", std::nullopt);
    return point;
  }
};

TEST_P(PowerLoss, WhatIsLostIsUploadedAgainBeforeThePointAppears) {
  const std::string point = send_all_but_the_manifest();
  const std::vector<std::string> packs = names_of("packs");
  lose(packs.front());
  lose(packs.back());
  lose(names_of("index").front());
  Process process = open();
  EXPECT_EQ(upload(process).published, std::vector<std::string>{point});
  EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 64)));
}

INSTANTIATE_TEST_SUITE_P(All, PowerLoss,
                         testing::Values(Loss{"missing", 0, false, true}, Loss{"empty", 0, true, false},
                                         Loss{"truncated", 100, true, false}, Loss{"zeroed", 0, false, false},
                                         Loss{"zero_tail", 4096, false, false}),
                         [](const auto& loss) { return std::string(loss.param.name); });

// The connection breaks and comes back within one upload, unseen but for the storage's own count.
TEST_F(UploadFault, LostConnectionMakesItReadAgain) {
  Process process = open();
  const std::string point = back_up(process, seeds(1, 64));
  remote_.before_put([&](const std::string& name) {
    if (!name.starts_with("index")) return;
    for (const std::string& pack : names_of("packs")) {
      remote_.damage(pack, 0, remote_.objects.size_of(pack).value());
    }
    remote_.lose_connection();
  });
  upload(process);
  EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 64)));
}

TEST_F(UploadFault, ServerThatCannotPromiseDurabilityIsReadAgain) {
  remote_.set_durable(false);
  Process process = open();
  const std::string point = back_up(process, seeds(1, 64));
  remote_.before_put([&](const std::string& name) {
    if (!name.starts_with("index")) return;
    const std::string pack = names_of("packs").front();
    remote_.damage(pack, 0, remote_.objects.size_of(pack).value());
  });
  upload(process);
  EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 64)));
}

// It answers from its memory, and loses what it had there after the point was published.
TEST_F(UploadFault, ServerThatCannotPromiseDurabilityLosesNoBlockToLaterPoints) {
  remote_.set_durable(false);
  Process process = open();
  const std::string early = back_up(process, seeds(1, 64));
  upload(process);
  const std::vector<std::string> packs = names_of("packs");
  remote_.objects.remove(packs.front());
  remote_.damage(packs.back(), 0, remote_.objects.size_of(packs.back()).value());
  remote_.damage(names_of("index").front(), 0, 10);
  process = {};
  process = open();
  const std::string late = back_up(process, seeds(1, 64));  // relies on all of them
  EXPECT_EQ(upload(process).published, std::vector<std::string>{late});
  for (const std::string& point : {early, late}) EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 64)));
}

TEST_F(UploadFault, WhatWasReadBackByALaterUploadLeavesTheSpool) {
  remote_.set_durable(false);
  Process process = open();
  back_up(process, seeds(1, 64));
  upload(process);
  EXPECT_EQ(process.storage->spool().objects().list("packs").size(), names_of("packs").size());
  process = {};
  process = open();
  const std::string late = back_up(process, {});
  EXPECT_EQ(upload(process).published, std::vector<std::string>{late});
  EXPECT_EQ(files_in_spool(*process.storage), 0U);
}

// One gave way in a full spool and was lost after that: only points that come with it are refused, and it is said.
TEST_F(UploadFault, PointThatCannotBePublishedDoesNotHoldTheNextBack) {
  Process process = open();
  const std::string bad = back_up(process, seeds(1, 8));
  const std::string pack = process.storage->spool().objects().list("packs").front().name;
  remote_.before_put([&](const std::string& name) {
    if (name != bad && !name.starts_with("index")) return;
    Spool& spool = process.storage->spool();
    spool.queue().set_state(spool.queue().find(pack)->number, ObjectState::released);
    remote_.objects.remove(pack);
  });
  const UploadReport report = upload(process);
  ASSERT_EQ(report.refused.size(), 1U);
  EXPECT_EQ(report.refused[0].manifest, bad);
  remote_.before_put({});
  process = {};
  process = open();
  const std::string good = back_up(process, {});
  EXPECT_EQ(upload(process).published, std::vector<std::string>{good});
}

// Times of day are only looked at for the rate: waits and retries count on the steady clock (rate_limit_test too).
TEST_F(UploadFault, RepositoryIdsAndPointsDoNotDependOnTheClock) {
  Process process = open();
  const std::string late = back_up(process, seeds(1, 8));
  points_ = -1000;  // the wall clock was set back between two backups
  const std::string early = back_up(process, seeds(3, 8));
  EXPECT_EQ(upload(process).published, (std::vector<std::string>{late, early})) << "the queue's order, not the names'";
}

}  // namespace
}  // namespace icecore::staging
