// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include "unit/staging/fixture.hpp"

namespace icecore::staging {
namespace {

using base::Fault;

using UploaderTest = SpoolFixture;

TEST_F(UploaderTest, EverythingGoesInTheOrderOfWriting) {
  Process process = open();
  const std::string first = back_up(process, seeds(1, 64));
  const std::string second = back_up(process, seeds(50, 64));
  const UploadReport report = upload(process);
  EXPECT_EQ(report.published, (std::vector<std::string>{first, second}));
  std::vector<char> kinds;
  for (const std::string& name : remote_.puts()) {
    if (class_of(name)) kinds.push_back(name.front());
  }
  const std::string order(kinds.begin(), kinds.end());
  EXPECT_EQ(order.find_first_not_of('p'), order.find('i')) << order;
  EXPECT_LT(order.find('i'), order.find('m')) << order;
  EXPECT_EQ(order.back(), 'm') << order;
  EXPECT_EQ(std::count(order.begin(), order.end(), 'm'), 2) << order;
  EXPECT_EQ(files_in_spool(*process.storage), 0U) << "what is published leaves the spool";
  const auto remote = open_remote();
  EXPECT_EQ(read_point(*remote, first), make_image(seeds(1, 64)));
  EXPECT_EQ(read_point(*remote, second), make_image(seeds(50, 64)));
}

TEST_F(UploaderTest, AnotherProcessGoesOnWhereOneEnded) {
  Process process = open();
  const std::string point = back_up(process, seeds(1, 64));
  remote_.fail_puts("index", Fault::unavailable);
  {
    std::stop_source stop;
    Uploader uploader(*process.storage, *process.repository, fast(), {}, stop.get_token());
    EXPECT_TRUE(comes_true([&] { return names_of("packs").size() > 3; }));
    stop.request_stop();
  }
  process = {};
  remote_.fail_puts("", std::nullopt);
  process = open();
  EXPECT_EQ(upload(process).published, std::vector<std::string>{point});
  EXPECT_EQ(files_in_spool(*process.storage), 0U);
  EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 64)));
}

TEST_F(UploaderTest, TwoAtOnceShareTheWorkRightly) {
  Process one = open();
  Process two = open();
  const std::string point = back_up(one, seeds(1, 64));
  std::jthread other([&] { upload(two); });
  upload(one);
  other.join();
  std::vector<std::string> names = remote_.puts();
  std::erase_if(names, [](const std::string& name) { return !class_of(name); });
  const std::set<std::string> unique(names.begin(), names.end());
  EXPECT_EQ(unique.size(), names.size()) << "something was uploaded twice";
  EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 64)));
}

TEST_F(UploaderTest, PointLargerThanTheSpoolGoesThroughIt) {
  Process process = open(/*bytes_max=*/200 * 1024);
  process.storage->set_wait_hook([] {});
  Uploader uploader(*process.storage, *process.repository, fast(), {}, {});
  const std::string point = back_up(process, seeds(1, 256));  // 1 MiB
  uploader.wait_for(point);
  uploader.finish();
  EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 256)));
  EXPECT_EQ(files_in_spool(*process.storage), 0U);
}

TEST_F(UploaderTest, KeptPointsRestoreWithoutTheRemote) {
  UploadOptions options = fast();
  options.keep_local = 2;
  Process process = open();
  std::vector<std::string> points;
  for (std::uint64_t i = 0; i < 4; ++i) {
    points.push_back(back_up(process, seeds(1 + 8 * i, 32)));  // each shares three quarters with the one before
    upload(process, options);
  }
  process = {};
  remote_.fail_all(Fault::unavailable);
  process = open();
  EXPECT_EQ(repository::list_manifest_objects(*process.repository), (std::vector<std::string>{points[2], points[3]}));
  EXPECT_EQ(read_point(*process.repository, points[2]), make_image(seeds(17, 32)));
  EXPECT_EQ(read_point(*process.repository, points[3]), make_image(seeds(25, 32)));
}

TEST_F(UploaderTest, KeepingBeginsWithPointsThatAreOnlyOnTheRemote) {
  Process process = open();
  back_up(process, seeds(1, 32));
  upload(process);
  const std::string point = back_up(process, seeds(9, 32));
  UploadOptions options = fast();
  options.keep_local = 1;
  upload(process, options);
  remote_.fail_all(Fault::unavailable);
  process = {};
  process = open();
  EXPECT_EQ(read_point(*process.repository, point), make_image(seeds(9, 32)));
}

TEST_F(UploaderTest, KeptPointThatWasForgottenIsNotListed) {
  UploadOptions options = fast();
  options.keep_local = 2;
  Process process = open();
  const std::string first = back_up(process, seeds(1, 32));
  const std::string second = back_up(process, seeds(9, 32));
  upload(process, options);
  remote_.objects.remove(second);  // by another host
  EXPECT_EQ(repository::list_manifest_objects(*process.repository), std::vector<std::string>{first});
  const std::string third = back_up(process, seeds(17, 32));
  upload(process, options);
  EXPECT_EQ(process.storage->spool().queue().kept_manifests("manifests"), (std::vector<std::string>{first, third}));
}

// They may be all that is left.
TEST_F(UploaderTest, KeptPointsAreListedBesideAnEmptyMountPoint) {
  UploadOptions options = fast();
  options.keep_local = 1;
  Process process = open();
  const std::string point = back_up(process, seeds(1, 32));
  upload(process, options);
  remote_.objects.clear();
  EXPECT_EQ(repository::list_manifest_objects(*process.repository), std::vector<std::string>{point});
}

TEST_F(UploaderTest, PacksOfABackupThatWasGivenUpStayHere) {
  Process process = open();
  {
    repository::BlockWriter writer(*process.repository);
    store_image(writer, seeds(1, 64));
  }
  EXPECT_GT(files_in_spool(*process.storage), 0U);
  process = {};
  process = open();
  upload(process);
  EXPECT_EQ(files_in_spool(*process.storage), 0U);
  EXPECT_TRUE(names_of("packs").empty());
}

TEST_F(UploaderTest, StatusTellsBytesAndWhatItWaitsFor) {
  Process process = open();
  back_up(process, seeds(1, 64));
  const std::uint64_t queued = process.storage->spool().queue().bytes_queued();
  remote_.fail_puts("packs", Fault::no_space);
  base::Guarded<std::vector<UploadStatus>> seen;
  Uploader uploader(*process.storage, *process.repository, fast(),
                    [&](const UploadStatus& status) { seen.with([&](auto& all) { all.push_back(status); }); }, {});
  EXPECT_TRUE(comes_true([&] { return seen.with([](const auto& all) { return !all.empty(); }); }));
  remote_.fail_puts("", std::nullopt);
  uploader.finish();
  seen.with([&](const auto& all) {
    EXPECT_NE(all.front().waiting_for.find("cannot be put"), std::string::npos);
    EXPECT_EQ(all.front().bytes_total, queued);
    EXPECT_EQ(all.back().bytes_done, queued);
    EXPECT_EQ(all.back().waiting_for, "");
  });
}

TEST_F(UploaderTest, WritersAtWorkKeepTheirPacksUntilTheirOwnPoint) {
  Process one = open();
  Process two = open();
  {
    repository::BlockWriter writer(*two.repository);
    store_image(writer, seeds(500, 40));  // packs of a backup that goes on
  }
  const std::string point = back_up(one, seeds(1, 8));
  upload(one);
  EXPECT_GT(files_in_spool(*two.storage), 0U);
  EXPECT_EQ(one.storage->spool().queue().find(point)->state, ObjectState::published);
  two = {};
  const std::string next = back_up(one, seeds(100, 8));
  upload(one);
  EXPECT_EQ(files_in_spool(*one.storage), 0U) << "of a writer that is gone, nothing stays after the next point";
}

TEST_F(UploaderTest, IncrementalNeedsFewRoundTrips) {
  Process process = open();
  back_up(process, seeds(1, 64));
  upload(process);
  process = {};
  const std::uint64_t before = remote_.calls();
  process = open();
  back_up(process, seeds(5, 64));
  const UploadReport report = upload(process);
  EXPECT_LE(remote_.calls() - before, report.objects + 20);
}

}  // namespace
}  // namespace icecore::staging
