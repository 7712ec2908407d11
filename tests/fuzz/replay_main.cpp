// SPDX-License-Identifier: Apache-2.0
// Gives a fuzz target each file of a folder: how the kept corpus is tested where there is no fuzzer.
#include <fmt/core.h>

#include "base/durable_file.hpp"
#include "fuzz/fuzz.hpp"

int main(int count, char** arguments) {
  int files = 0;
  for (int i = 1; i < count; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(arguments[i])) {
      const icecore::base::Bytes bytes = icecore::base::read_file(entry.path());
      fmt::print("{}\n", entry.path().filename().string());
      LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
      ++files;
    }
  }
  return files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
