// SPDX-License-Identifier: Apache-2.0
#include "disk/image_map.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "base/json.hpp"
#include "disk/qemu_img.hpp"

namespace icecore::disk {

namespace {

using base::Fault;
constexpr std::string_view k_what = "output of qemu-img map";

// One entry a line: `[{ "start": 0, ... },` up to `...}]`.
std::optional<MapEntry> parse_entry(std::string_view line) {
  const std::size_t from = line.find('{');
  const std::size_t to = line.rfind('}');
  if (from == std::string_view::npos || to == std::string_view::npos) return std::nullopt;
  const base::Json entry = base::parse_json(line.substr(from, to - from + 1), k_what);
  MapEntry parsed{
      .extent = {.offset = base::json_field<std::uint64_t>(entry, "start", k_what),
                 .length = base::json_field<std::uint64_t>(entry, "length", k_what)},
      .depth = base::json_field<int>(entry, "depth", k_what),
      .has_data = base::json_field<bool>(entry, "data", k_what) && !base::json_field<bool>(entry, "zero", k_what)};
  if (parsed.has_data && entry.contains("offset")) {
    parsed.extent.layer = parsed.depth;
    parsed.extent.file_offset = base::json_field<std::uint64_t>(entry, "offset", k_what);
  }
  return parsed;
}

}  // namespace

struct ImageMap::Start {
  base::Fd output;
  base::Child child;

  static Start map(const std::filesystem::path& path, const std::string& format) {
    require_readable(path, format);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) base::fail_errno(errno, "pipe");
    base::Fd output(ends[0]);
    const base::Fd input(ends[1]);
    ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
    base::Child child({.arguments = {"qemu-img", "map", "-U", "--output=json", "-f", format, qemu_path(path)},
                       .pass_descriptors = {{input.get(), STDOUT_FILENO}}});
    return {std::move(output), std::move(child)};
  }
};

ImageMap::ImageMap(const std::filesystem::path& path, const std::string& format)
    : ImageMap(path, Start::map(path, format)) {}

ImageMap::ImageMap(const std::filesystem::path& path, Start start)
    : path_(path.string()), output_(std::move(start.output)), child_(std::move(start.child)) {}

std::optional<DataExtent> ImageMap::next(const std::stop_token& stop) {
  while (const auto entry = next_entry(stop)) {
    if (entry->has_data) return entry->extent;
  }
  return std::nullopt;
}

std::optional<MapEntry> ImageMap::next_entry(const std::stop_token& stop) {
  while (const auto line = next_line(stop)) {
    if (const auto entry = parse_entry(*line)) return entry;
  }
  return std::nullopt;
}

std::optional<std::string> ImageMap::next_line(const std::stop_token& stop) {
  for (;;) {
    const std::size_t end = text_.find('\n', at_);
    if (end != std::string::npos) {
      std::string line = text_.substr(at_, end - at_);
      at_ = end + 1;
      return line;
    }
    if (ended_) return std::nullopt;
    text_.erase(0, at_);
    at_ = 0;
    read_more(stop);
  }
}

// Adds what qemu-img has printed, waiting at most k_metadata_deadline for it.
void ImageMap::read_more(const std::stop_token& stop) {
  const base::Stopwatch watch;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t count = ::read(output_.get(), buffer.data(), buffer.size());
    if (count > 0) {
      text_.append(buffer.data(), static_cast<std::size_t>(count));
      return;
    }
    if (count == 0) return expect_success();
    if (errno != EAGAIN && errno != EINTR) base::fail_errno(errno, "read from qemu-img");
    if (stop.stop_requested()) base::fail(Fault::cancelled, "mapping '{}' was interrupted", path_);
    if (watch.elapsed() > k_metadata_deadline) {
      base::fail(Fault::unavailable, "qemu-img map of '{}' printed nothing for two minutes", path_);
    }
    pollfd ready{output_.get(), POLLIN, 0};
    ::poll(&ready, 1, 100);
  }
}

// The end of the output is only the end of the map when the child says so.
void ImageMap::expect_success() {
  const std::optional<int> code = child_.wait(k_metadata_deadline);
  if (!code) base::fail(Fault::unavailable, "qemu-img map of '{}' does not end", path_);
  if (*code != 0) fail_as_qemu_said(child_.error_text(), fmt::format("map image '{}'", path_));
  if (at_ != text_.size()) text_ += '\n';
  ended_ = true;
}

}  // namespace icecore::disk
