// SPDX-License-Identifier: Apache-2.0
// The Communicator for tensors of one GPU for each rank, over NCCL. Tensors in host memory, scalars
// and texts travel over MPI.
//
// Collectives run on a stream of their own, ordered with the current stream by events. They never
// hold up the host; barrier() does. NCCL reports what goes wrong on its way by a state of its own:
// a thread looks at it, aborts the communicator, so that nothing waits for it any more, and the
// next call throws std::runtime_error, as check() does. That a rank gets no answer from another one
// is no error to NCCL: the watchdog ends such runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include "parallel/mpi_communicator.h"

namespace galette {

/// Throws std::runtime_error naming the call, the error text and the place.
[[noreturn]] void throw_nccl_error(ncclResult_t code, const char* call, const char* file, int line);

class NcclCommunicator final : public Communicator {
 public:
  /// On `device`, a GPU that no other rank uses. Collective; meanwhile the watchdog sees the
  /// section "NCCL start-up".
  NcclCommunicator(MPI_Comm comm, at::Device device);
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;
  /// Collective, unless an error unwinds the stack: then it aborts what is under way.
  ~NcclCommunicator() override;

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }

  void all_reduce(at::Tensor values, ReduceOp op) override;
  void reduce_scatter(const at::Tensor& input, at::Tensor output) override;
  void all_gather(const at::Tensor& input, at::Tensor output) override;
  using Communicator::broadcast;
  void broadcast(at::Tensor values, int root) override;
  /// Also waits until this rank's collectives are done.
  void barrier() override;
  std::unique_ptr<PendingCollective> start_all_reduce(at::Tensor values, ReduceOp op) override;
  std::unique_ptr<PendingCollective> start_reduce_scatter(at::Tensor values) override;
  std::string broadcast(const std::string& text, int root) override;
  void check() override;

 private:
  class Pending;

  /// Runs enqueue(stream), which makes one call of NCCL, after the work of the current stream.
  /// Returns an event that comes after it.
  template <typename Enqueue>
  at::cuda::CUDAEvent run(const char* name, std::initializer_list<at::Tensor> tensors,
                          const Enqueue& enqueue);
  /// Waits until NCCL has accepted a call that may return early; throws when it did not.
  void settle(ncclResult_t result, const std::string& name);
  /// Aborts the communicator and keeps the reason. Needs the mutex.
  void fail(ncclResult_t result, const std::string& name);
  void watch();
  void start(const ncclUniqueId& id);
  void finish();
  void stop_watching();
  void check_on_device(const at::Tensor& values, const char* name) const;

  MpiCommunicator host_;
  at::Device device_;
  c10::cuda::CUDAStream stream_;
  std::string where_;  ///< "rank 3 (host n1, GPU 0)"

  std::mutex mutex_;  ///< for all that follows, and for calls of NCCL
  std::condition_variable wake_;
  ncclComm_t comm_ = nullptr;
  std::string last_call_ = "start-up";
  std::string failure_;
  bool stopping_ = false;
  std::thread watcher_;
};

}  // namespace galette

/// Evaluates an NCCL call once; throws when it does not return ncclSuccess.
#define NCCL_CHECK(call)                                                       \
  do {                                                                         \
    const ncclResult_t nccl_check_code = (call);                               \
    if (nccl_check_code != ncclSuccess)                                        \
      ::galette::throw_nccl_error(nccl_check_code, #call, __FILE__, __LINE__); \
  } while (0)
