// SPDX-License-Identifier: Apache-2.0
// /bin/writer FILE [RECORDS-PER-FSYNC]: appends to the log until killed, going on where an earlier one ended.
// /bin/check-log FILE: prints what the log says of itself; exit code 1 when its chain is broken.
#include "chain_log.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

namespace {

using icecore::rig::ChainState;
using icecore::rig::k_chain_record_bytes;

ChainState read_log(const char* path) {
  ChainState state;
  if (std::FILE* file = std::fopen(path, "rb")) {
    state = icecore::rig::chain_read(file);
    std::fclose(file);
  }
  return state;
}

int check(const char* path) {
  if (::access(path, R_OK) != 0) {
    std::perror(path);
    return 1;
  }
  const ChainState state = read_log(path);
  std::printf("last %llu %s tail %zu longest_pause_ms %llu\n", static_cast<unsigned long long>(state.records),
              state.unbroken ? "unbroken" : "broken", state.tail_bytes,
              static_cast<unsigned long long>(state.longest_pause_ns / 1000000));
  return state.unbroken ? 0 : 1;
}

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000ULL + static_cast<std::uint64_t>(now.tv_nsec);
}

int write_on(const char* path, unsigned long records_per_fsync) {
  ChainState state = read_log(path);
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return std::perror(path), 1;
  char record[k_chain_record_bytes];
  for (std::uint64_t number = state.records + 1, hash = state.hash;; ++number) {
    hash = icecore::rig::chain_write(record, number, now_ns(), hash);
    const auto at = static_cast<off_t>((number - 1) * k_chain_record_bytes);
    if (::pwrite(fd, record, sizeof record, at) != static_cast<ssize_t>(sizeof record)) return std::perror(path), 1;
    if (number % records_per_fsync == 0 && ::fsync(fd) != 0) return std::perror(path), 1;
  }
}

}  // namespace

int main(int count, char** arguments) {
  const char* slash = std::strrchr(arguments[0], '/');
  const bool checks = std::strcmp(slash != nullptr ? slash + 1 : arguments[0], "check-log") == 0;
  if (count < 2) return std::fprintf(stderr, "usage: writer FILE [RECORDS-PER-FSYNC] | check-log FILE\n"), 2;
  if (checks) return check(arguments[1]);
  const unsigned long per_fsync = count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 1;
  return write_on(arguments[1], per_fsync > 0 ? per_fsync : 1);
}
