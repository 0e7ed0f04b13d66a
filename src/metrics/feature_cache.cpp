// SPDX-License-Identifier: Apache-2.0
#include "metrics/feature_cache.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "io/check.h"
#include "io/checksum.h"
#include "io/durable.h"
#include "io/hdf5.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "galette-features";
constexpr int64_t kVersion = 1;
constexpr size_t kDigits = 16;  // of digests in a file's name

uint32_t checksum(const at::Tensor& values, uint32_t crc) {
  return io::crc32c(values.const_data_ptr(), values.nbytes(), crc);
}

/// Calls `use` with all rows of a dataset, block by block.
void for_each_block(const io::H5File& file, const std::string& name,
                    const std::function<void(int64_t first, const at::Tensor& rows)>& use) {
  const int64_t rows = file.shape(name)[0];
  for (int64_t row = 0; row < rows; row += SharedFeatures::kBlock) {
    const int64_t count = std::min(SharedFeatures::kBlock, rows - row);
    use(row, file.read_rows(name, row, count));
  }
}

/// A file under a name of this process, so that programs which make the same one at the same time
/// do not disturb each other, until finish().
class NewFile {
 public:
  explicit NewFile(std::string path)
      : path_(std::move(path)),
        temporary_(fmt::format("{}.{}.tmp", path_, ::getpid())),
        file_(io::H5File::create(temporary_.path())) {}
  io::H5File& file() { return file_; }
  void finish() {
    file_.close();
    io::replace_durably(temporary_.path(), path_);
    temporary_.keep();
  }

 private:
  std::string path_;
  io::TemporaryFile temporary_;
  io::H5File file_;
};

/// Work of rank 0 whose failure costs a warning.
class Attempt {
 public:
  explicit Attempt(bool active) : active_(active) {}
  void operator()(const std::function<void()>& work) {
    if (!active_) return;
    try {
      work();
    } catch (const std::exception& error) {
      log::warning("--cache: {}; features of real images are not kept", error.what());
      active_ = false;
    }
  }

 private:
  bool active_;
};

void describe(io::H5File& file, const FeatureKey& key, const std::string& mode, uint32_t crc) {
  file.set_attribute("/", "format", kFormat);
  file.set_attribute("/", "format_version", kVersion);
  file.set_attribute("/", "dataset_fingerprint", key.dataset_fingerprint);
  file.set_attribute("/", "detector", key.detector);
  file.set_attribute("/", "detector_sha256", key.detector_sha256);
  file.set_attribute("/", "mode", mode);
  file.set_attribute("/", "num_items", key.count);
  file.set_attribute("/", "mirrored", int64_t{key.mirrored});
  file.set_attribute("/", "checksum", int64_t{crc});
}

/// Throws when the file's attribute is another one.
template <typename T>
void require(const std::string& path, const std::string& what, const T& found, const T& wanted) {
  if (found == wanted) return;
  throw InputError(
      fmt::format("--cache: {}: holds features of {} {}, not {}; remove it, or name another folder",
                  path, what, found, wanted));
}

void require_key(const io::H5File& file, const FeatureKey& key, const std::string& mode) {
  const auto text = [&](const char* name) { return file.string_attribute("/", name); };
  const std::string& path = file.path();
  const bool is_ours = file.has_attribute("/", "format") && text("format") == kFormat;
  if (!is_ours || file.int_attribute("/", "format_version") != kVersion) {
    throw InputError(fmt::format(
        "--cache: {}: is no file of features of this version; remove it, or name another folder",
        path));
  }
  require(path, "detector", text("detector"), key.detector);
  require(path, "detector", text("detector_sha256"), key.detector_sha256);
  require(path, "dataset", text("dataset_fingerprint"), key.dataset_fingerprint);
  require(path, "mode", text("mode"), mode);
  require(path, "images:", file.int_attribute("/", "num_items"), key.count);
  require(path, "mirrored images:", file.int_attribute("/", "mirrored"), int64_t{key.mirrored});
}

/// Throws DamagedFile when a dataset is not [rows, width] or [width].
void require_shape(const io::H5File& file, const std::string& name,
                   const std::vector<int64_t>& shape, at::ScalarType type) {
  if (file.shape(name) == shape && file.type(name) == type) return;
  throw DamagedFile(fmt::format("{}: '{}' has a wrong shape", file.path(), name));
}

std::string text_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string FeatureCache::path(Mode mode) const {
  return fmt::format("{}/{}-{}-{}-{}{}.h5", folder_, key_.dataset_fingerprint.substr(0, kDigits),
                     key_.detector_sha256.substr(0, kDigits),
                     mode == Mode::moments ? "moments" : "features", key_.count,
                     key_.mirrored ? "-mirrored" : "");
}

void FeatureCache::check(Mode mode, int64_t width) const {
  const bool moments = mode == Mode::moments;
  const io::H5File file = io::H5File::open(path(mode));
  require_key(file, key_, moments ? "moments" : "features");
  uint32_t crc = 0;
  const auto add = [&](const std::string& name) {
    for_each_block(file, name,
                   [&](int64_t /*first*/, const at::Tensor& rows) { crc = checksum(rows, crc); });
  };
  if (moments) {
    require_shape(file, "sum", {width}, at::kDouble);
    require_shape(file, "products", {width, width}, at::kDouble);
    add("sum");
    add("products");
  } else {
    require_shape(file, "features", {key_.count, width}, at::kFloat);
    add("features");
  }
  if (crc != file.int_attribute("/", "checksum")) {
    throw DamagedFile(fmt::format("{}: differs from its checksum", file.path()));
  }
}

/// Whether rank 0 finds a whole file; all ranks learn it, or throw what it throws.
bool FeatureCache::is_there(Mode mode, int64_t width) const {
  std::string refusal;
  bool found = false;
  std::error_code ignored;
  if (comm_.rank() == 0 && !folder_.empty() && fs::exists(path(mode), ignored)) {
    try {
      check(mode, width);
      found = true;
    } catch (const DamagedFile& error) {
      log::warning("--cache: {}; it is made anew", error.what());
    } catch (const std::exception& error) {
      refusal = error.what();
    }
  }
  refusal = comm_.broadcast(refusal, 0);
  if (!refusal.empty()) throw InputError(refusal);
  return comm_.any(found);
}

/// What rank 0 reads, or all ranks throw what it throws: a file may go while it is read.
void FeatureCache::from_root(const std::function<at::Tensor()>& read, at::Tensor values) const {
  std::string failure;
  if (comm_.rank() == 0) {
    try {
      values.copy_(read());
    } catch (const std::exception& error) {
      failure = error.what();
    }
  }
  failure = comm_.broadcast(failure, 0);
  if (!failure.empty()) throw InputError(failure);
  comm_.broadcast(values, 0);
}

std::optional<FeatureMoments> FeatureCache::load_moments(int64_t width) const {
  if (!is_there(Mode::moments, width)) return std::nullopt;
  const std::string file = path(Mode::moments);
  FeatureMoments moments(width);
  moments.count = key_.count;
  from_root([&] { return io::H5File::open(file).read("sum"); }, moments.sum);
  from_root([&] { return io::H5File::open(file).read("products"); }, moments.products);
  return moments;
}

std::optional<SharedFeatures> FeatureCache::load_features(int64_t width) const {
  if (!is_there(Mode::features, width)) return std::nullopt;
  const std::string file = path(Mode::features);
  const int64_t begin = key_.count * comm_.rank() / comm_.size();
  const int64_t end = key_.count * (comm_.rank() + 1) / comm_.size();
  at::Tensor own = at::empty({end - begin, width}, at::kFloat);
  for (int64_t row = 0; row < key_.count; row += SharedFeatures::kBlock) {
    const int64_t count = std::min(SharedFeatures::kBlock, key_.count - row);
    const at::Tensor block = at::empty({count, width}, at::kFloat);
    from_root([&] { return io::H5File::open(file).read_rows("features", row, count); }, block);
    const int64_t from = std::max(row, begin), to = std::min(row + count, end);
    if (from >= to) continue;
    own.narrow(0, from - begin, to - from).copy_(block.narrow(0, from - row, to - from));
  }
  return SharedFeatures(own, comm_);
}

void FeatureCache::save(const FeatureMoments& moments) const {
  if (folder_.empty()) return;
  Attempt on_root(comm_.rank() == 0);
  on_root([&] {
    NewFile output(path(Mode::moments));
    output.file().write("sum", moments.sum);
    output.file().write("products", moments.products);
    describe(output.file(), key_, "moments", checksum(moments.products, checksum(moments.sum, 0)));
    output.finish();
  });
}

void FeatureCache::save(const SharedFeatures& features) const {
  if (folder_.empty()) return;
  Attempt on_root(comm_.rank() == 0);
  std::optional<NewFile> output;
  uint32_t crc = 0;
  on_root([&] {
    output.emplace(path(Mode::features));
    output->file().create_dataset("features", at::kFloat, {features.rows(), features.width()});
  });
  features.for_each_block([&](int64_t first, const at::Tensor& rows) {
    on_root([&] {
      output->file().write_rows("features", first, rows);
      crc = checksum(rows, crc);
    });
  });
  on_root([&] {
    describe(output->file(), key_, "features", crc);
    output->finish();
  });
}

std::string feature_cache_folder(const std::string& wish) {
  if (wish == "off") return "";
  std::error_code error;
  if (!wish.empty()) {
    fs::create_directories(wish, error);
    if (error || !fs::is_directory(wish)) {
      throw InputError(fmt::format("--cache={}: is no folder and cannot be made one: {}", wish,
                                   error ? error.message() : "there is a file of that name"));
    }
    return wish;
  }
  const std::string xdg = text_of("XDG_CACHE_HOME"), home = text_of("HOME");
  if (xdg.empty() && home.empty()) return "";
  const fs::path folder = (xdg.empty() ? fs::path(home) / ".cache" : fs::path(xdg)) / "galette";
  fs::create_directories(folder, error);
  return !error && ::access(folder.c_str(), W_OK | X_OK) == 0 ? folder.string() : "";
}

}  // namespace galette
