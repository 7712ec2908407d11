// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_pipeline.hpp"

#include <memory>
#include <utility>

namespace icecore::storage {

namespace {

// With so much of an object still to be sent the next one is opened: more than is under way at a time, so that the
// answer is there in time; little, so that what another connection could begin with is not taken long before its turn.
constexpr std::uint64_t k_ahead_bytes = 8 * base::k_mib;

// Of its three places two are taken at most.
class Pipeline {
 public:
  Pipeline(SftpChannel& channel, const SftpPipeline& objects) : channel_(channel), objects_(objects) {}

  void run() {
    try {
      for (current_ = begin_next(); current_; current_ = std::exchange(following_, nullptr)) send_current();
      finish_previous();
    } catch (const base::Error&) {
      if (!channel_.is_broken()) discard_all();
      throw;
    }
  }

 private:
  using Slot = std::unique_ptr<SftpUpload>;

  Slot begin_next() {
    const SftpObject* object = objects_.next();
    return object != nullptr ? std::make_unique<SftpUpload>(channel_, *object) : nullptr;
  }

  // Leaves it as the previous one.
  void send_current() {
    bool asked = false;
    while (current_->send_some()) {
      if (previous_ && previous_->try_finish()) note_previous();
      if (previous_ || asked || current_->bytes_left() > k_ahead_bytes) continue;
      following_ = begin_next();
      asked = true;
    }
    finish_previous();
    previous_ = std::move(current_);
    if (previous_->has_failed()) finish_previous();
    if (!following_) following_ = begin_next();
    if (following_ && objects_.stop.stop_requested()) std::exchange(following_, nullptr)->discard();
  }

  void finish_previous() {
    if (!previous_) return;
    previous_->finish();
    note_previous();
  }

  void note_previous() {
    previous_.reset();
    objects_.stored();
  }

  // What has failed is gone already.
  void discard_all() {
    for (const Slot* slot : {&previous_, &current_, &following_}) {
      if (*slot) (*slot)->discard();
    }
  }

  SftpChannel& channel_;
  const SftpPipeline& objects_;
  Slot previous_;   // all sent
  Slot current_;    // being sent
  Slot following_;  // being opened
};

}  // namespace

void upload_all(SftpChannel& channel, const SftpPipeline& objects) { Pipeline(channel, objects).run(); }

void upload(SftpChannel& channel, const SftpObject& object) {
  const SftpObject* only = &object;
  upload_all(channel, {.next = [&] { return std::exchange(only, nullptr); }, .stored = [] {}});
}

}  // namespace icecore::storage
