// SPDX-License-Identifier: Apache-2.0
#include "tests/restart/tiny_run.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/checkpoint.h"
#include "io/hdf5.h"
#include "io/image_codec.h"
#include "io/png_codec.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kTimeout = 280;  // seconds

io::Image blob(int number) {
  io::Image image(8, 8, 3);
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 8; ++x) {
      const int dx = x - 2 - number % 4, dy = y - 2 - number % 5;
      for (int c = 0; c < 3; ++c) {
        image.row(y)[3 * x + c] = uint8_t(dx * dx + dy * dy < 5 ? 40 * c + 3 * number : 230);
      }
    }
  }
  return image;
}

/// Made before the first test, gone before MPI is.
class TinyFolder : public ::testing::Environment {
 public:
  void SetUp() override {
    dir_.emplace();
    const std::string source = dir_->file("set");
    fs::create_directory(source);
    for (int i = 0; i < 40; ++i) io::write_png(fmt::format("{}/{:02d}.png", source, i), blob(i));
    const Outcome o =
        run_program(1, fmt::format("dataset --source={} --dest={}", source, dir_->file("set.h5")));
    ASSERT_EQ(o.code, 0) << o.err;
    path_ = dir_->path();
  }
  void TearDown() override { dir_.reset(); }
  const std::string& path() const { return path_; }

 private:
  std::optional<TempDir> dir_;
  std::string path_;
};

auto* const folder = static_cast<TinyFolder*>(::testing::AddGlobalTestEnvironment(new TinyFolder));

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// The value of a variable in a process's environment, which is text between zeros.
std::string variable_of(const std::string& environment, const std::string& name) {
  const std::string begin = '\0' + name + '=';
  const size_t at = ('\0' + environment).find(begin);
  if (at == std::string::npos) return "";
  return ('\0' + environment).substr(at + begin.size()).c_str();  // ends at the next zero
}

/// Of a checkpoint's state, what must not differ: all but times and places.
json comparable_state(const io::H5File& file) {
  json state = json::parse(file.read_text("state"));
  for (const char* name : {"seconds", "log_bytes", "generation", "statistics"}) state.erase(name);
  return state;
}

}  // namespace

const std::string& tiny_folder() {
  return folder->path();
}

bool wait_until(const std::function<bool()>& condition, double seconds) {
  for (double waited = 0; waited < seconds; waited += 0.02) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

TinyRun::TinyRun(const std::string& name, int ranks, std::string options)
    : path_(name.find('/') == std::string::npos ? tiny_folder() + "/" + name : name),
      ranks_(ranks),
      options_(std::move(options)) {}

std::string TinyRun::options(const std::string& more) const {
  const std::string options = options_ + " " + more;
  const auto given = [&](const char* option, const char* otherwise) {
    return options.find(option) != std::string::npos ? "" : otherwise;
  };
  return fmt::format(
      "--data={}/set.h5 {} {} --gamma=1 --cbase=64 --cmax=8 --map-depth=2 {} {} --tick=1 "
      "--snap=100 {}",
      tiny_folder(), given("--cfg", "--cfg=stylegan2"), given("--precision", "--precision=fp32"),
      given("--aug", "--aug=noaug"), given("--metrics", "--metrics=none"), options);
}

Outcome TinyRun::train(const std::string& more, const std::string& variables) const {
  return run_program(ranks_, fmt::format("train --run-dir={} {}", path_, options(more)), variables,
                     kTimeout);
}

Outcome TinyRun::train_while(const std::function<void()>& action, const std::string& more,
                             const std::string& variables) const {
  std::thread other(action);
  const Outcome outcome = train(more, variables);
  other.join();
  return outcome;
}

std::map<int, pid_t> TinyRun::processes() const {
  std::map<int, pid_t> result;
  const std::string words = fmt::format("train{}--run-dir={}{}", '\0', path_, '\0');
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (contents(entry.path() / "cmdline").find(words) == std::string::npos) continue;
    const std::string rank =
        variable_of(contents(entry.path() / "environ"), "OMPI_COMM_WORLD_RANK");
    if (!rank.empty()) result[std::stoi(rank)] = std::stoi(name);
  }
  return result;
}

bool TinyRun::send(int signal, const std::vector<int>& to) const {
  const std::map<int, pid_t> found = processes();
  bool sent = true;
  for (const int rank : to) {
    const auto at = found.find(rank);
    if (at == found.end() || kill(at->second, signal) != 0) sent = false;
  }
  return sent;
}

int TinyRun::times_started() const {
  const std::string text = text_of("log.txt"), line = "\nTraining for ";
  int times = 0;
  for (size_t at = text.find(line); at != text.npos; at = text.find(line, at + 1)) ++times;
  return times;
}

bool TinyRun::has_checkpoint() const {
  return !io::list_checkpoints(path_).empty();
}

std::string TinyRun::text_of(const std::string& name) const {
  return contents(file(name));
}

std::vector<json> TinyRun::rows() const {
  std::vector<json> result;
  std::ifstream stream(file("stats.jsonl"));
  for (std::string line; std::getline(stream, line);) result.push_back(json::parse(line));
  return result;
}

void expect_equal_runs(const TinyRun& run, const TinyRun& other) {
  ASSERT_TRUE(run.has_checkpoint() && other.has_checkpoint());
  const io::H5File a = io::H5File::open(io::list_checkpoints(run.path())[0]);
  const io::H5File b = io::H5File::open(io::list_checkpoints(other.path())[0]);
  ASSERT_EQ(fs::path(a.path()).filename(), fs::path(b.path()).filename());
  const std::vector<std::string> arrays = a.list("arrays");
  ASSERT_GE(arrays.size(), 8u);
  for (const std::string& name : arrays) {
    EXPECT_TRUE(at::equal(a.read("arrays/" + name), b.read("arrays/" + name))) << name;
  }
  EXPECT_EQ(comparable_state(a), comparable_state(b));

  const std::vector<json> left = run.rows(), right = other.rows();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    for (const auto& [name, value] : left[i].items()) {
      const bool is_same_in_both = name.starts_with("Loss/") || name.starts_with("Progress/");
      EXPECT_TRUE(!is_same_in_both || value == right[i][name]) << "row " << i << " " << name;
    }
  }
}

}  // namespace galette::testing
