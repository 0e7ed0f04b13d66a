// SPDX-License-Identifier: Apache-2.0
#include "base/block_cache.h"

#include <algorithm>
#include <cstdint>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>
#include <unistd.h>

namespace galette {
namespace {

constexpr size_t kSmallestBlock = 1 << 20;  // bytes of a tensor that is worth a block
constexpr size_t kFit = 8;                  // a block may be larger than asked for by this part

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

/// As long as the process lives: tensors of static variables are freed after all else.
BlockCache& tensor_blocks() {
  static auto* const blocks = new BlockCache;
  return *blocks;
}

void free_tensor(void* data) {
  // What LibTorch's function gives is seldom at a page's beginning, and need not be looked up.
  const bool may_be_block = reinterpret_cast<uintptr_t>(data) % page_bytes() == 0;
  if (may_be_block && tensor_blocks().put_back(data)) return;
  c10::free_cpu(data);
}

/// Small tensors are LibTorch's own business.
class TensorAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* const data = bytes < kSmallestBlock ? c10::alloc_cpu(bytes) : tensor_blocks().take(bytes);
    return {data, data, &free_tensor, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_tensor; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

}  // namespace

BlockCache::~BlockCache() {
  while (!waiting_.empty()) release_oldest();
}

void* BlockCache::take(size_t bytes) {
  const size_t pages = (bytes + page_bytes() - 1) / page_bytes();
  const std::lock_guard lock(mutex_);
  Block block{nullptr, pages * page_bytes()};
  if (Block* const found = find_waiting(block.bytes)) {
    block = *found;
    waiting_bytes_ -= block.bytes;
    waiting_.erase(waiting_.begin() + (found - waiting_.data()));
  } else {
    while (!waiting_.empty() && in_use_ + waiting_bytes_ + block.bytes > most_in_use_)
      release_oldest();
    block.data = map_new(block.bytes);
  }
  used_.emplace(block.data, block.bytes);
  in_use_ += block.bytes;
  most_in_use_ = std::max(most_in_use_, in_use_);
  return block.data;
}

bool BlockCache::put_back(void* data) {
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(data);
  if (found == used_.end()) return false;
  waiting_.push_back({data, found->second});
  in_use_ -= found->second;
  waiting_bytes_ += found->second;
  used_.erase(found);
  return true;
}

size_t BlockCache::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

size_t BlockCache::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_bytes_;
}

/// The one that fits best; among equal ones the last to be freed, of which most is in the caches.
BlockCache::Block* BlockCache::find_waiting(size_t bytes) {
  Block* best = nullptr;
  for (Block& block : waiting_) {
    if (block.bytes < bytes || block.bytes > bytes + bytes / kFit) continue;
    if (best == nullptr || block.bytes <= best->bytes) best = &block;
  }
  return best;
}

void* BlockCache::map_new(size_t bytes) {
  const auto map = [bytes] {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  void* data = map();
  for (; data == MAP_FAILED && !waiting_.empty(); data = map()) release_oldest();
  TORCH_CHECK(data != MAP_FAILED, "not enough memory for a tensor of ", bytes, " bytes");
  return data;
}

void BlockCache::release_oldest() {
  const Block oldest = waiting_.front();
  munmap(oldest.data, oldest.bytes);  // can only fail for what is no mapping
  waiting_bytes_ -= oldest.bytes;
  waiting_.erase(waiting_.begin());
}

void keep_tensor_memory() {
  constexpr uint8_t kBeforeLibTorchs = 1;
  static TensorAllocator allocator;
  c10::SetCPUAllocator(&allocator, kBeforeLibTorchs);
}

}  // namespace galette
