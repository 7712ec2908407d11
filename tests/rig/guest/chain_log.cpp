// SPDX-License-Identifier: Apache-2.0
// /bin/writer FILE [RECORDS-PER-FSYNC [SECOND-FILE]]: appends to the log until killed, going on where an earlier one
// ended. With a second file each record goes there too once the first has it, so that of any instant both hold the same
// or the second lacks the last one. /bin/check-log FILE: prints what the log says of itself; exit code 1 when its chain
// is broken.
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

off_t place_of(std::uint64_t number) { return static_cast<off_t>((number - 1) * k_chain_record_bytes); }

bool put(int fd, const char* record, std::uint64_t number, bool sync) {
  const auto written = ::pwrite(fd, record, k_chain_record_bytes, place_of(number));
  return written == static_cast<ssize_t>(k_chain_record_bytes) && (!sync || ::fsync(fd) == 0);
}

// The second log may lack what the first had got when the writer ended.
bool catch_up(int first, int second, std::uint64_t from, std::uint64_t records) {
  char record[k_chain_record_bytes];
  for (std::uint64_t number = from + 1; number <= records; ++number) {
    const auto got = ::pread(first, record, sizeof record, place_of(number));
    if (got != static_cast<ssize_t>(sizeof record) || !put(second, record, number, true)) return false;
  }
  return true;
}

int open_log(const char* path) { return ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644); }

int write_on(const char* path, unsigned long records_per_fsync, const char* second_path) {
  ChainState state = read_log(path);
  const int fd = open_log(path);
  if (fd < 0) return std::perror(path), 1;
  const int second = second_path != nullptr ? open_log(second_path) : -1;
  if (second_path != nullptr && (second < 0 || !catch_up(fd, second, read_log(second_path).records, state.records)))
    return std::perror(second_path), 1;
  char record[k_chain_record_bytes];
  for (std::uint64_t number = state.records + 1, hash = state.hash;; ++number) {
    hash = icecore::rig::chain_write(record, number, now_ns(), hash);
    const bool sync = number % records_per_fsync == 0;
    if (!put(fd, record, number, sync)) return std::perror(path), 1;
    if (second >= 0 && !put(second, record, number, sync)) return std::perror(second_path), 1;
  }
}

}  // namespace

int main(int count, char** arguments) {
  const char* slash = std::strrchr(arguments[0], '/');
  const bool checks = std::strcmp(slash != nullptr ? slash + 1 : arguments[0], "check-log") == 0;
  if (count < 2)
    return std::fprintf(stderr, "usage: writer FILE [RECORDS-PER-FSYNC [SECOND-FILE]] | check-log FILE\n"), 2;
  if (checks) return check(arguments[1]);
  const unsigned long per_fsync = count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 1;
  return write_on(arguments[1], per_fsync > 0 ? per_fsync : 1, count > 3 ? arguments[3] : nullptr);
}
