// SPDX-License-Identifier: Apache-2.0
#include "io/torch_writer.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>
#include <zip.h>

#include "io/durable.h"
#include "io/pickle_opcodes.h"

namespace galette::io {
namespace {

constexpr char kPickleProtocol = 2;
constexpr const char* kFolder = "archive/";  // any name; all members share it

const char* storage_class(const std::string& name, at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return "DoubleStorage";
    case at::kFloat:
      return "FloatStorage";
    case at::kHalf:
      return "HalfStorage";
    case at::kBFloat16:
      return "BFloat16Storage";
    case at::kLong:
      return "LongStorage";
    case at::kInt:
      return "IntStorage";
    case at::kShort:
      return "ShortStorage";
    case at::kChar:
      return "CharStorage";
    case at::kByte:
      return "ByteStorage";
    case at::kBool:
      return "BoolStorage";
    default:
      throw std::runtime_error(
          fmt::format("tensor {} has type {}, which has no place in a state "
                      "dictionary",
                      name, c10::toString(type)));
  }
}

/// A pickle under construction; each call pushes a value, or combines those on the stack.
class PickleWriter {
 public:
  PickleWriter() {
    op(kProto);
    bytes_ += kPickleProtocol;
  }
  void op(Opcode opcode) { bytes_ += static_cast<char>(opcode); }
  void text(const std::string& value) {
    op(kBinUnicode);
    fixed(value.size(), 4);
    bytes_ += value;
  }
  void integer(int64_t value) {
    const bool is_short = value <= std::numeric_limits<int32_t>::max() &&
                          value >= std::numeric_limits<int32_t>::min();
    op(is_short ? kBinInt : kLong1);
    if (!is_short) fixed(sizeof value, 1);
    fixed(static_cast<uint64_t>(value), is_short ? 4 : sizeof value);
  }
  void integers(at::IntArrayRef values) {
    op(kMark);
    for (const int64_t value : values) integer(value);
    op(kTuple);
  }
  void global(const std::string& module, const std::string& name) {
    op(kGlobal);
    bytes_ += module + "\n" + name + "\n";
  }
  /// The call that makes a contiguous tensor out of the member `key`.
  void tensor(const std::string& name, const at::Tensor& value, const std::string& key) {
    global("torch._utils", "_rebuild_tensor_v2");
    op(kMark);
    op(kMark);
    text("storage");
    global("torch", storage_class(name, value.scalar_type()));
    text(key);
    text("cpu");
    integer(value.numel());
    op(kTuple);
    op(kBinPersId);
    integer(0);  // where it begins in the member
    integers(value.sizes());
    integers(value.strides());
    op(kNewFalse);  // needs no gradient
    global("collections", "OrderedDict");
    op(kEmptyTuple);
    op(kReduce);  // no hooks
    op(kTuple);
    op(kReduce);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void fixed(uint64_t value, size_t size) {
    for (size_t byte = 0; byte < size; ++byte) bytes_ += static_cast<char>(value >> (8 * byte));
  }
  std::string bytes_;
};

/// A ZIP archive under construction. Members' bytes must live until finish().
class ZipWriter {
 public:
  explicit ZipWriter(std::string path) : path_(std::move(path)) {
    int code = 0;
    archive_.reset(zip_open(path_.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
    if (!archive_) fail(fmt::format("error {} of libzip", code));
  }
  void add(const std::string& name, const void* data, size_t bytes) {
    zip_source_t* source = zip_source_buffer(archive_.get(), data, bytes, 0);
    const zip_int64_t index =
        source == nullptr ? -1 : zip_file_add(archive_.get(), (kFolder + name).c_str(), source, 0);
    if (index < 0) zip_source_free(source);
    if (index < 0 || zip_set_file_compression(archive_.get(), static_cast<zip_uint64_t>(index),
                                              ZIP_CM_STORE, 0) != 0)
      fail(zip_strerror(archive_.get()));
  }
  void finish() {
    zip_t* archive = archive_.release();
    if (zip_close(archive) == 0) return;
    archive_.reset(archive);
    fail(zip_strerror(archive));
  }

 private:
  struct Discard {
    void operator()(zip_t* archive) const { zip_discard(archive); }
  };
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(fmt::format("{}: cannot be written: {}", path_, why));
  }

  std::string path_;
  std::unique_ptr<zip_t, Discard> archive_;
};

}  // namespace

void write_torch_file(const std::string& path, const std::map<std::string, at::Tensor>& tensors) {
  PickleWriter pickle;
  std::vector<at::Tensor> values;
  pickle.op(kEmptyDict);
  pickle.op(kMark);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor value = tensor.detach().cpu().contiguous();
    pickle.text(name);
    pickle.tensor(name, value, std::to_string(values.size()));
    values.push_back(value);
  }
  pickle.op(kSetItems);
  pickle.op(kStop);

  const std::string version = "3\n", byte_order = "little";
  TemporaryFile temporary(path + ".tmp");
  ZipWriter zip(temporary.path());
  zip.add("data.pkl", pickle.bytes().data(), pickle.bytes().size());
  zip.add("byteorder", byte_order.data(), byte_order.size());
  for (size_t k = 0; k < values.size(); ++k)
    zip.add(fmt::format("data/{}", k), values[k].const_data_ptr(), values[k].nbytes());
  zip.add("version", version.data(), version.size());
  zip.finish();
  replace_durably(temporary.path(), path);
  temporary.keep();
}

}  // namespace galette::io
