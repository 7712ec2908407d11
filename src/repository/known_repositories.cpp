// SPDX-License-Identifier: Apache-2.0
#include "repository/known_repositories.hpp"

#include <algorithm>
#include <vector>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "repository/key_ring.hpp"

namespace icecore::repository {

namespace {

using base::Fault;

constexpr std::size_t k_name_bytes_used = 16;

struct Known {
  std::string id;
  bool encrypted = true;
};

std::vector<Known> read_known(const std::filesystem::path& file) {
  std::vector<Known> known;
  if (!std::filesystem::exists(file)) return known;
  const std::string what = "'" + file.string() + "'";
  const base::Json json = base::parse_json(base::to_string(base::read_file(file, base::k_mib)), what);
  for (const base::Json& entry : base::json_field<base::Json>(json, "repositories", what)) {
    known.push_back(
        {base::json_field<std::string>(entry, "id", what), base::json_field<bool>(entry, "encrypted", what)});
  }
  return known;
}

void write_known(const std::filesystem::path& file, const std::string& url, const std::vector<Known>& known) {
  base::Json entries = base::Json::array();
  for (const Known& one : known) entries.push_back({{"id", one.id}, {"encrypted", one.encrypted}});
  const base::Json json = {{"url", url}, {"repositories", entries}};
  base::create_folders(file.parent_path());
  base::write_durably(file, base::as_bytes(json.dump(2, ' ', false, base::Json::error_handler_t::replace)));
}

bool same(const Known& known, const Config& config) {
  return known.id == config.repository_id && known.encrypted == config.encrypted;
}

[[noreturn]] void fail_exchanged(const std::string& url, const Known& known, const Config& config) {
  const std::string message =
      known.id == config.repository_id
          ? fmt::format("repository {} in '{}' is {}encrypted, and was not so before: somebody has exchanged it",
                        base::short_id(known.id), url, config.encrypted ? "" : "not ")
          : fmt::format("'{}' holds repository {}, but {} was there before: somebody has exchanged it", url,
                        base::short_id(config.repository_id), base::short_id(known.id));
  throw base::Error(Fault::conflict, message)
      .add_hint(fmt::format("only if that was you: icecore init -r {} --accept-repository {}", base::shell_word(url),
                            base::short_id(config.repository_id)));
}

}  // namespace

std::filesystem::path KnownRepositories::file_of(const std::string& url) const {
  const base::ByteView text = base::as_bytes(url);
  const Digest digest = digest_of(std::span(&text, 1));
  return folder_ / base::to_hex(base::ByteView(digest).first(k_name_bytes_used));
}

void KnownRepositories::check(const std::string& url, const Config& config, Remember remember) const {
  const std::filesystem::path file = file_of(url);
  const std::vector<Known> known = read_known(file);
  if (std::any_of(known.begin(), known.end(), [&](const Known& one) { return same(one, config); })) return;
  if (!known.empty()) fail_exchanged(url, known.back(), config);
  if (remember == Remember::no) return;
  try {
    write_known(file, url, {{config.repository_id, config.encrypted}});
  } catch (const base::Error& error) {
    // Whoever may only look need not be able to write below the state folder.
    if (error.fault() != Fault::denied) throw;
    base::log_debug("'{}' is not remembered: {}", url, error.what());
  }
}

std::set<std::string> KnownRepositories::ids() const {
  std::set<std::string> ids;
  std::error_code none;
  for (const auto& file : std::filesystem::directory_iterator(folder_, none)) {
    try {
      for (const Known& known : read_known(file.path())) ids.insert(known.id);
    } catch (const base::Error& error) {
      base::log_info("'{}' is left out: {}", file.path().string(), error.what());
    }
  }
  return ids;
}

void KnownRepositories::accept(const std::string& url, const Config& config) const {
  std::vector<Known> known = read_known(file_of(url));
  std::erase_if(known, [&](const Known& one) { return one.id == config.repository_id; });
  known.push_back({config.repository_id, config.encrypted});
  write_known(file_of(url), url, known);
}

void KnownRepositories::replace(const std::string& url, const Config& config) const {
  write_known(file_of(url), url, {{config.repository_id, config.encrypted}});
}

}  // namespace icecore::repository
