// SPDX-License-Identifier: Apache-2.0
// How this room calls qemu-img: absolute paths, a deadline, and its complaints turned into our faults.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/passphrase.hpp"

namespace icecore::disk {

// Long enough for slow storage, short enough to end a hang.
constexpr base::Milliseconds k_metadata_deadline = std::chrono::minutes(2);

// The path as QEMU must get it: absolute, so that neither "nbd:x" nor "-x" means anything special.
std::string qemu_path(const std::filesystem::path& path);

// Runs qemu-img with these arguments and returns its standard output. `what` completes "cannot ..." in the
// error ("read the header of '/a/b.qcow2'").
std::string qemu_img(std::vector<std::string> arguments, std::string_view what,
                     base::Milliseconds deadline = k_metadata_deadline, std::stop_token stop = {});

// The same for images that QEMU encrypts: `key` goes to qemu-img's standard input, from where its secret object of the
// name k_key_object reads it; no other process can.
inline constexpr const char* k_key_object = "icecore";
std::string qemu_img(std::vector<std::string> arguments, const base::Passphrase& key, std::string_view what,
                     base::Milliseconds deadline = k_metadata_deadline, std::stop_token stop = {});

// Throws what a QEMU tool's standard error means: not_found, denied, busy (locked), conflict (another
// format), no_space, corrupt, else unavailable.
[[noreturn]] void fail_as_qemu_said(std::string_view error_text, std::string_view what);

// Throws unless `path` is there and readable, and `format` is a plain format name.
void require_readable(const std::filesystem::path& path, std::string_view format);

}  // namespace icecore::disk
