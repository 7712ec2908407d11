// SPDX-License-Identifier: Apache-2.0
#include "storage/ssh_config.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <utility>

#include "base/error.hpp"

namespace icecore::storage {

namespace {

struct Line {
  std::string keyword;  // lower-case; empty: nothing on this line
  std::vector<std::string> values;
};

// KEYWORD VALUE..., KEYWORD=VALUE, with "quoted values".
Line split(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  bool open = false;
  for (const char at : text) {
    if (at == '"') {
      quoted = !quoted;
      open = true;
    } else if (!quoted && (std::isspace(static_cast<unsigned char>(at)) || (at == '=' && words.size() < 2))) {
      if (open) words.push_back(std::exchange(word, {}));
      open = false;
    } else if (!quoted && !open && at == '#') {
      break;
    } else {
      word += at;
      open = true;
    }
  }
  if (open) words.push_back(word);
  if (words.empty()) return {};
  Line line{words.front(), {words.begin() + 1, words.end()}};
  std::transform(line.keyword.begin(), line.keyword.end(), line.keyword.begin(),
                 [](unsigned char letter) { return std::tolower(letter); });
  return line;
}

std::filesystem::path expand(std::string text, const std::filesystem::path& home) {
  if (text.starts_with("~/")) text = "%d" + text.substr(1);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 1 == text.size()) {
      out += text[i];
    } else if (const char token = text[++i]; token == 'd') {
      out += home.string();
    } else if (token == '%') {
      out += '%';
    } else {
      base::fail(base::Fault::usage, "'%{}' is not understood here", token);
    }
  }
  return out;
}

void set_once(std::string& value, const std::string& text) {
  if (value.empty()) value = text;
}

class Reader {
 public:
  Reader(std::string host, const std::filesystem::path& home) : host_(std::move(host)), home_(home) {}

  void read(const Line& line) {
    if (line.keyword.empty()) return;
    if (line.keyword == "host") {
      applies_ = matches_pattern_list(line.values, host_);
    } else if (line.keyword == "match") {
      applies_ = line.values == std::vector<std::string>{"all"};
    } else if (applies_) {
      if (line.values.empty()) base::fail(base::Fault::usage, "'{}' has no value", line.keyword);
      set(line.keyword, line.values);
    }
  }
  SshHostConfig take() {
    // %h is what the host was called on the command line.
    if (const std::size_t at = config_.host_name.find("%h"); at != std::string::npos) {
      config_.host_name.replace(at, 2, host_);
    }
    set_once(config_.host_name, host_);
    return std::move(config_);
  }

 private:
  void set(const std::string& keyword, const std::vector<std::string>& values) {
    const std::string& value = values.front();
    if (keyword == "hostname") set_once(config_.host_name, value);
    if (keyword == "user") set_once(config_.user, value);
    if (keyword == "port" && !config_.port) config_.port = port(value);
    if (keyword == "identityfile" && value != "none") config_.identity_files.push_back(expand(value, home_));
    if (keyword == "userknownhostsfile" && config_.known_hosts_files.empty()) {
      for (const std::string& file : values) {
        config_.known_hosts_files.push_back(file == "none" ? "/dev/null" : expand(file, home_));
      }
    }
    if (keyword == "identityagent" && !config_.identity_agent) config_.identity_agent = expand(value, home_);
    if (keyword == "identitiesonly" && !identities_only_seen_) {
      identities_only_seen_ = true;
      config_.identities_only = value == "yes";
    }
    // "+", "-" and "^" change OpenSSH's own list, which is not ours.
    if (keyword == "ciphers" && value.find_first_of("+-^") != 0) set_once(config_.ciphers, value);
    if ((keyword == "proxyjump" || keyword == "proxycommand") && value != "none") {
      base::fail(base::Fault::usage, "{} is not supported: the host must be reachable directly", keyword);
    }
  }
  static int port(const std::string& text) {
    char* end = nullptr;
    const long value = std::strtol(text.c_str(), &end, 10);
    if (*end != '\0' || value < 1 || value > 65535) base::fail(base::Fault::usage, "'{}' is no port", text);
    return static_cast<int>(value);
  }

  std::string host_;
  const std::filesystem::path& home_;
  SshHostConfig config_;
  bool applies_ = true;
  bool identities_only_seen_ = false;
};

}  // namespace

bool matches_pattern_list(const std::vector<std::string>& patterns, const std::string& name) {
  bool found = false;
  for (const std::string& pattern : patterns) {
    const bool negated = pattern.starts_with('!');
    // '[' is no class here: known_hosts writes "[host]:port".
    std::string plain;
    for (const char at : negated ? pattern.substr(1) : pattern)
      plain += at == '[' || at == '\\' ? "\\" + std::string(1, at) : std::string(1, at);
    if (::fnmatch(plain.c_str(), name.c_str(), FNM_CASEFOLD) != 0) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

SshHostConfig parse_ssh_config(std::string_view text, const std::string& host, const std::filesystem::path& home) {
  Reader reader(host, home);
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    base::with_context([&] { reader.read(split(text.substr(0, end))); }, "~/.ssh/config line {}", number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.take();
}

}  // namespace icecore::storage
