// SPDX-License-Identifier: Apache-2.0
#include "cli/progress_line.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/bytes.hpp"

namespace icecore::cli {

namespace {

constexpr std::size_t k_bar_width_min = 8;
constexpr std::size_t k_bar_width_max = 30;
constexpr double k_rate_memory_seconds = 5;
constexpr std::string_view k_gap = "  ";

double share_done(const job::Transfer& transfer) {
  return std::min(1.0, static_cast<double>(transfer.bytes_done) / static_cast<double>(transfer.bytes_total));
}

bool has_bytes(const ProgressState& state) { return state.transfer && state.transfer->bytes_total > 0; }

std::string draw_bar(double share, std::size_t width) {
  const auto filled = static_cast<std::size_t>(std::lround(share * static_cast<double>(width)));
  return "[" + std::string(filled, '=') + std::string(width - filled, ' ') + "]";
}

std::string percent_text(const ProgressState& state) {
  return fmt::format("{:.0f} %", std::floor(share_done(*state.transfer) * 100));
}

std::string rate_text(const ProgressState& state) {
  return fmt::format("{}/s", base::format_size(static_cast<std::uint64_t>(state.bytes_per_second)));
}

// A part of the line and how soon it is given up when the line is too long: the highest goes first.
struct Part {
  std::string text;
  int priority;
};

void add_transfer(std::vector<Part>& parts, const ProgressState& state) {
  const job::Transfer& transfer = *state.transfer;
  parts.push_back({percent_text(state), 2});
  parts.push_back({base::format_size(transfer.bytes_done), 3});
  parts.push_back({"of " + base::format_size(transfer.bytes_total), 8});
  if (transfer.bytes_new > 0) parts.push_back({"new " + base::format_size(transfer.bytes_new), 7});
  if (transfer.bytes_stored > 0) parts.push_back({"stored " + base::format_size(transfer.bytes_stored), 6});
  if (state.bytes_per_second > 0) parts.push_back({rate_text(state), 5});
  if (const auto left = time_left(state)) parts.push_back({"ETA " + format_duration(*left), 4});
}

double share_uploaded(const UploadState& upload) {
  return std::min(1.0, static_cast<double>(upload.bytes_done) / static_cast<double>(upload.bytes_total));
}

// The second bar, short enough to stand beside the first.
std::string upload_part(const UploadState& upload) {
  constexpr std::size_t k_upload_bar_width = 10;
  const double share = share_uploaded(upload);
  return fmt::format("upload {} {:.0f} %{}", draw_bar(share, k_upload_bar_width), std::floor(share * 100),
                     upload.waiting_for.empty() ? "" : ", waits");
}

std::vector<Part> parts_of(const ProgressState& state) {
  std::vector<Part> parts = {{state.domain, 0}, {state.phase, 1}};
  if (has_bytes(state)) add_transfer(parts, state);
  if (state.upload && state.upload->bytes_total > 0) parts.push_back({upload_part(*state.upload), 3});
  return parts;
}

// "12 MiB of 20 MiB" is one thing to read, so a single space stands there.
std::string join(const std::vector<Part>& parts) {
  std::string line;
  for (const Part& part : parts) {
    if (!line.empty()) line += part.text.starts_with("of ") ? " " : k_gap;
    line += part.text;
  }
  return line;
}

// Puts a bar after domain and phase into what the facts leave free.
std::string with_bar(const ProgressState& state, std::vector<Part> parts, const std::string& line, unsigned width) {
  constexpr std::size_t k_frame = 2;
  const std::size_t used = line.size() + k_gap.size() + k_frame;
  if (!has_bytes(state) || parts.size() < 3 || width < used + k_bar_width_min) return line;
  const std::size_t bar_width = std::min<std::size_t>(width - used, k_bar_width_max);
  parts.insert(parts.begin() + 2, {draw_bar(share_done(*state.transfer), bar_width), 0});
  return join(parts);
}

}  // namespace

std::string format_duration(base::Milliseconds duration) {
  const auto seconds = (duration.count() + 500) / 1000;
  if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::optional<base::Milliseconds> time_left(const ProgressState& state) {
  if (!state.transfer || state.bytes_per_second < 1 || state.transfer->bytes_total <= state.transfer->bytes_done) {
    return {};
  }
  const auto bytes_left = static_cast<double>(state.transfer->bytes_total - state.transfer->bytes_done);
  return base::Milliseconds(static_cast<std::int64_t>(bytes_left / state.bytes_per_second * 1000));
}

std::string format_progress_bar(const ProgressState& state, unsigned width) {
  std::vector<Part> parts = parts_of(state);
  std::string line = join(parts);
  while (line.size() > width && parts.size() > 1) {
    parts.erase(std::max_element(parts.begin(), parts.end(),
                                 [](const Part& a, const Part& b) { return a.priority < b.priority; }));
    line = join(parts);
  }
  return with_bar(state, std::move(parts), line, width).substr(0, width);
}

std::string format_progress_text(const ProgressState& state) {
  std::string line = state.domain + ": " + state.phase;
  if (!has_bytes(state)) return line;
  const job::Transfer& transfer = *state.transfer;
  line += fmt::format(": {}, {} of {}", percent_text(state), base::format_size(transfer.bytes_done),
                      base::format_size(transfer.bytes_total));
  if (transfer.bytes_new > 0) line += ", new " + base::format_size(transfer.bytes_new);
  if (transfer.bytes_stored > 0) line += ", stored " + base::format_size(transfer.bytes_stored);
  if (state.bytes_per_second > 0) line += ", " + rate_text(state);
  if (const auto left = time_left(state)) line += ", " + format_duration(*left) + " left";
  return line;
}

std::string format_upload_text(const UploadState& upload) {
  if (!upload.waiting_for.empty()) return "upload waits: " + upload.waiting_for;
  if (upload.bytes_total == 0) return "upload: nothing to do";
  return fmt::format("upload: {:.0f} %, {} of {}", std::floor(share_uploaded(upload) * 100),
                     base::format_size(upload.bytes_done), base::format_size(upload.bytes_total));
}

double RateMeter::update(std::uint64_t bytes_done, base::Milliseconds moment) {
  if (!moment_last_ || bytes_done < bytes_last_) {  // the first sample, or a new transfer
    rate_.reset();
    bytes_last_ = bytes_done;
    moment_last_ = moment;
    return 0;
  }
  const double seconds = std::chrono::duration<double>(moment - *moment_last_).count();
  if (seconds <= 0) return rate_.value_or(0);
  const double now = static_cast<double>(bytes_done - bytes_last_) / seconds;
  const double weight = 1 - std::exp(-seconds / k_rate_memory_seconds);
  rate_ = rate_ ? *rate_ + weight * (now - *rate_) : now;
  bytes_last_ = bytes_done;
  moment_last_ = moment;
  return *rate_;
}

}  // namespace icecore::cli
