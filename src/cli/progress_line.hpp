// SPDX-License-Identifier: Apache-2.0
// What a running job looks like as one line of text. Pure: state in, text out.
#pragma once

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "job/progress.hpp"

namespace icecore::cli {

// What a spool does beside the job.
struct UploadState {
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
  std::string waiting_for;  // empty: it moves
};

struct ProgressState {
  std::string domain;
  std::string phase;
  std::optional<job::Transfer> transfer;   // while bytes flow
  double bytes_per_second = 0;             // smoothed
  std::optional<UploadState> upload = {};  // when something is staged
};

// "0:07", "12:34", "1:02:03".
std::string format_duration(base::Milliseconds duration);

// How long the rest takes at the present rate; empty when that is unknown.
std::optional<base::Milliseconds> time_left(const ProgressState& state);

// For a terminal: with a bar, never wider than `width`; what matters least is left out first.
std::string format_progress_bar(const ProgressState& state, unsigned width);

// For a log file: everything in words.
std::string format_progress_text(const ProgressState& state);
// The same of the upload alone.
std::string format_upload_text(const UploadState& upload);

// A rate that follows changes within some seconds but does not jump about.
class RateMeter {
 public:
  // Tells the bytes done so far at a moment of the steady clock; returns the smoothed bytes per second.
  double update(std::uint64_t bytes_done, base::Milliseconds moment);

 private:
  std::uint64_t bytes_last_ = 0;
  std::optional<base::Milliseconds> moment_last_;
  std::optional<double> rate_;
};

}  // namespace icecore::cli
