// SPDX-License-Identifier: Apache-2.0
// Host memory of large tensors. A training step allocates and frees the same sizes over and over,
// the phases of an iteration each their own. malloc keeps what is freed as gaps between what is
// not, where blocks of another size find no room: at 64x64 a process then held 0.2 to 0.3 GB more
// than its tensors ever needed. Here each block has pages of its own. A freed one waits for the
// next tensor of about its size, as long as all blocks together are no more than tensors held at
// most; then the oldest ones that wait are given back to the kernel.
#pragma once

#include <cstddef>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace galette {

class BlockCache {
 public:
  BlockCache() = default;
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  /// Gives back what waits. Blocks in use stay.
  ~BlockCache();

  /// Writable memory from a page's beginning on, of any content. Throws c10::Error when there is
  /// none.
  void* take(size_t bytes);
  /// False, and nothing is done, if `data` is not a block that take() gave.
  bool put_back(void* data);

  /// Bytes of the blocks in use, and of those that wait.
  size_t in_use() const;
  size_t waiting() const;

 private:
  struct Block {
    void* data;
    size_t bytes;
  };
  Block* find_waiting(size_t bytes);
  void* map_new(size_t bytes);
  void release_oldest();

  mutable std::mutex mutex_;
  std::unordered_map<void*, size_t> used_;  ///< bytes of each block in use
  std::vector<Block> waiting_;              ///< the oldest first
  size_t in_use_ = 0, waiting_bytes_ = 0;
  size_t most_in_use_ = 0;
};

/// From now on, large tensors in host memory are blocks of a cache. Call once, at the start.
void keep_tensor_memory();

}  // namespace galette
