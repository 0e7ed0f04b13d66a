// SPDX-License-Identifier: Apache-2.0
#include "parallel/nccl_communicator.h"

#include <chrono>
#include <cstring>
#include <exception>
#include <stdexcept>

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <fmt/format.h>

#include "base/host_name.h"
#include "parallel/heartbeat.h"

namespace galette {
namespace {

constexpr std::chrono::seconds kWatchInterval{1};
constexpr std::chrono::microseconds kPollInterval{100};

ncclDataType_t nccl_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return ncclFloat32;
    case at::kDouble:
      return ncclFloat64;
    case at::kInt:
      return ncclInt32;
    case at::kLong:
      return ncclInt64;
    case at::kByte:
      return ncclUint8;
    default:
      TORCH_CHECK(false, "NCCL communicator: cannot move elements of type ", type);
  }
}

ncclRedOp_t nccl_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return ncclSum;
    case ReduceOp::min:
      return ncclMin;
    case ReduceOp::max:
      return ncclMax;
  }
  TORCH_CHECK(false, "NCCL communicator: unknown reduction");
}

/// `whole` must hold `size` times the elements of `part`, of the same type.
void check_parts(const at::Tensor& whole, const at::Tensor& part, int size, const char* call) {
  TORCH_CHECK(whole.scalar_type() == part.scalar_type(), call, ": element types differ, ",
              whole.scalar_type(), " and ", part.scalar_type());
  TORCH_CHECK(whole.numel() == size * part.numel(), call, ": ", size, " ranks of ", part.numel(),
              " elements do not make ", whole.numel());
}

size_t count_of(const at::Tensor& t) {
  return static_cast<size_t>(t.numel());
}

/// Made by the first rank.
ncclUniqueId unique_id(MpiCommunicator& host) {
  ncclUniqueId id;
  if (host.rank() == 0) NCCL_CHECK(ncclGetUniqueId(&id));
  const std::string bytes = host.broadcast(std::string(id.internal, sizeof(id.internal)), 0);
  std::memcpy(id.internal, bytes.data(), sizeof(id.internal));
  return id;
}

}  // namespace

void throw_nccl_error(ncclResult_t code, const char* call, const char* file, int line) {
  throw std::runtime_error(
      fmt::format("{} failed at {}:{}: {}", call, file, line, ncclGetErrorString(code)));
}

/// A collective whose end is an event of the communicator's stream.
class NcclCommunicator::Pending final : public PendingCollective {
 public:
  Pending(NcclCommunicator& comm, at::Tensor values, at::cuda::CUDAEvent done)
      : comm_(comm), values_(std::move(values)), done_(std::move(done)) {}

  bool test() override {
    comm_.check();
    return done_.query();
  }
  void wait() override {
    comm_.check();
    done_.block(c10::cuda::getCurrentCUDAStream(comm_.device_.index()));
    values_.reset();
  }

 private:
  NcclCommunicator& comm_;
  at::Tensor values_;
  at::cuda::CUDAEvent done_;
};

NcclCommunicator::NcclCommunicator(MPI_Comm comm, at::Device device)
    : host_(comm),
      device_(device),
      stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device.index())),
      where_(fmt::format("rank {} (host {}, GPU {})", host_.rank(), host_name(), device.index())) {
  const WatchedSection section("NCCL start-up");
  start(unique_id(host_));
  watcher_ = std::thread([this] { watch(); });
}

NcclCommunicator::~NcclCommunicator() {
  stop_watching();
  const std::lock_guard lock(mutex_);
  if (comm_ == nullptr) return;
  // Where an error unwinds the stack, the other ranks may never come to the end of a collective.
  if (std::uncaught_exceptions() > 0) {
    ncclCommAbort(comm_);
  } else {
    finish();
  }
}

void NcclCommunicator::start(const ncclUniqueId& id) {
  const c10::cuda::CUDAGuard guard(device_);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const std::lock_guard lock(mutex_);
  settle(ncclCommInitRankConfig(&comm_, size(), id, rank(), &config), "start-up");
}

/// What a destructor cannot report leaves nothing to save.
void NcclCommunicator::finish() {
  ncclResult_t state = ncclCommFinalize(comm_);
  while (state == ncclInProgress) {
    std::this_thread::sleep_for(kPollInterval);
    if (ncclCommGetAsyncError(comm_, &state) != ncclSuccess) state = ncclInternalError;
  }
  if (state == ncclSuccess) {
    ncclCommDestroy(comm_);
  } else {
    ncclCommAbort(comm_);
  }
}

void NcclCommunicator::settle(ncclResult_t result, const std::string& name) {
  last_call_ = name;
  while (result == ncclInProgress) {
    std::this_thread::sleep_for(kPollInterval);
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
    result = asked == ncclSuccess ? state : asked;
  }
  if (result == ncclSuccess) return;
  fail(result, name);
  throw std::runtime_error(failure_);
}

void NcclCommunicator::fail(ncclResult_t result, const std::string& name) {
  const char* details = ncclGetLastError(comm_);
  failure_ = fmt::format("NCCL {} of {} failed: {} ({}); NCCL_DEBUG=INFO tells more", name, where_,
                         ncclGetErrorString(result),
                         details == nullptr || *details == 0 ? "no details" : details);
  if (comm_ != nullptr) ncclCommAbort(comm_);
  comm_ = nullptr;
}

/// Runs on a thread of its own: the main thread may wait for the device, which waits for NCCL.
void NcclCommunicator::watch() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kWatchInterval, [this] { return stopping_; })) {
    if (comm_ == nullptr) return;
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
    if (asked != ncclSuccess) state = asked;
    if (state != ncclSuccess && state != ncclInProgress) fail(state, last_call_);
  }
}

void NcclCommunicator::stop_watching() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

void NcclCommunicator::check() {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) throw std::runtime_error(failure_);
}

void NcclCommunicator::check_on_device(const at::Tensor& values, const char* name) const {
  TORCH_CHECK(values.device() == device_, name, ": the NCCL communicator serves ", device_,
              " and host memory, got ", values.device());
  TORCH_CHECK(values.is_contiguous(), name, ": tensor must be contiguous, got strides ",
              values.strides());
  nccl_type(values.scalar_type());
}

template <typename Enqueue>
at::cuda::CUDAEvent NcclCommunicator::run(const char* name,
                                          std::initializer_list<at::Tensor> tensors,
                                          const Enqueue& enqueue) {
  const WatchedSection section(name);
  const c10::cuda::CUDAGuard guard(device_);
  at::cuda::CUDAEvent before, after;
  before.record(c10::cuda::getCurrentCUDAStream(device_.index()));
  before.block(stream_);
  for (const at::Tensor& tensor : tensors) {
    check_on_device(tensor, name);
    // The allocator may hand the memory to others once this stream, too, is done with it.
    c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), stream_);
  }
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) throw std::runtime_error(failure_);
  settle(enqueue(stream_.stream()), name);
  after.record(stream_);
  return after;
}

void NcclCommunicator::all_reduce(at::Tensor values, ReduceOp op) {
  check();
  if (values.defined() && values.is_cpu()) return host_.all_reduce(values, op);
  start_all_reduce(std::move(values), op)->wait();
}

std::unique_ptr<PendingCollective> NcclCommunicator::start_all_reduce(at::Tensor values,
                                                                      ReduceOp op) {
  check();
  TORCH_CHECK(values.defined(), "all_reduce: undefined tensor");
  if (values.is_cpu()) return host_.start_all_reduce(values, op);
  void* const data = values.mutable_data_ptr();
  at::cuda::CUDAEvent done = run("all-reduce", {values}, [&](cudaStream_t stream) {
    return ncclAllReduce(data, data, count_of(values), nccl_type(values.scalar_type()), nccl_op(op),
                         comm_, stream);
  });
  return std::make_unique<Pending>(*this, std::move(values), std::move(done));
}

std::unique_ptr<PendingCollective> NcclCommunicator::start_reduce_scatter(at::Tensor values) {
  check();
  TORCH_CHECK(values.defined(), "reduce_scatter: undefined tensor");
  if (values.is_cpu()) return host_.start_reduce_scatter(values);
  TORCH_CHECK(values.numel() % size() == 0, "reduce_scatter: ", values.numel(),
              " elements cannot be shared by ", size(), " ranks");
  const int64_t share = values.numel() / size();
  char* const data = static_cast<char*>(values.mutable_data_ptr());
  char* const own = data + rank() * share * values.element_size();
  at::cuda::CUDAEvent done = run("reduce-scatter", {values}, [&](cudaStream_t stream) {
    return ncclReduceScatter(data, own, static_cast<size_t>(share), nccl_type(values.scalar_type()),
                             ncclSum, comm_, stream);
  });
  return std::make_unique<Pending>(*this, std::move(values), std::move(done));
}

void NcclCommunicator::reduce_scatter(const at::Tensor& input, at::Tensor output) {
  check();
  TORCH_CHECK(input.defined() && output.defined(), "reduce_scatter: undefined tensor");
  if (input.is_cpu()) return host_.reduce_scatter(input, output);
  check_parts(input, output, size(), "reduce_scatter");
  run("reduce-scatter", {input, output}, [&](cudaStream_t stream) {
    return ncclReduceScatter(input.const_data_ptr(), output.mutable_data_ptr(), count_of(output),
                             nccl_type(input.scalar_type()), ncclSum, comm_, stream);
  }).block(c10::cuda::getCurrentCUDAStream(device_.index()));
}

void NcclCommunicator::all_gather(const at::Tensor& input, at::Tensor output) {
  check();
  TORCH_CHECK(input.defined() && output.defined(), "all_gather: undefined tensor");
  if (input.is_cpu()) return host_.all_gather(input, output);
  check_parts(output, input, size(), "all_gather");
  run("all-gather", {input, output}, [&](cudaStream_t stream) {
    return ncclAllGather(input.const_data_ptr(), output.mutable_data_ptr(), count_of(input),
                         nccl_type(input.scalar_type()), comm_, stream);
  }).block(c10::cuda::getCurrentCUDAStream(device_.index()));
}

void NcclCommunicator::broadcast(at::Tensor values, int root) {
  check();
  TORCH_CHECK(values.defined(), "broadcast: undefined tensor");
  if (values.is_cpu()) return host_.broadcast(values, root);
  void* const data = values.mutable_data_ptr();
  run("broadcast", {values}, [&](cudaStream_t stream) {
    return ncclBroadcast(data, data, count_of(values), nccl_type(values.scalar_type()), root, comm_,
                         stream);
  }).block(c10::cuda::getCurrentCUDAStream(device_.index()));
}

void NcclCommunicator::barrier() {
  {
    const WatchedSection section("barrier");
    while (!stream_.query()) {
      check();
      std::this_thread::sleep_for(kPollInterval);
    }
    check();
  }
  host_.barrier();
}

std::string NcclCommunicator::broadcast(const std::string& text, int root) {
  check();
  return host_.broadcast(text, root);
}

}  // namespace galette
