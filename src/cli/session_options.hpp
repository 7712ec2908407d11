// SPDX-License-Identifier: Apache-2.0
// The options every command takes, before or after its name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/command_parser.hpp"
#include "cli/environment.hpp"

namespace icecore::cli {

struct SessionOptions {
  std::string connect_uri;
  std::string repository_url;  // empty: none was named
  std::filesystem::path key_file;
  std::filesystem::path state_dir;
  std::filesystem::path staging_dir;    // empty: none was named
  std::uint64_t staging_bytes_max = 0;  // 0: the default
  int verbose = 0;                      // how often it was said
  bool quiet = false;
  bool json = false;
};

// Binds the words to `options`, which must outlive the list.
void declare_session_options(WordList& words, SessionOptions& options);

// Fills what the command line left empty from the environment, then with the defaults.
void fill_from_environment(SessionOptions& options, const Environment& environment);

}  // namespace icecore::cli
