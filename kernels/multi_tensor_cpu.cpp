// SPDX-License-Identifier: Apache-2.0
// CPU bodies of the operations on flat ranges.
#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/cpu_isa.h"
#include "kernels/multi_tensor_math.h"
#include "kernels/threads.h"

namespace galette {
namespace {

constexpr int64_t kGrain = 32768;  // elements below which a thread is not worth waking
constexpr int64_t kLook = 4096;    // elements among which a value that is not finite is looked for

template <typename T>
GALETTE_FORCE_INLINE inline int64_t adam_run(T* theta, const T* grad, T* v, int64_t n,
                                             AdamScalars<T> s) {
  int64_t nonfinite = 0;
#pragma omp simd reduction(+ : nonfinite)
  for (int64_t i = 0; i < n; ++i) nonfinite += adam_update(theta[i], grad[i], v[i], s) ? 0 : 1;
  return nonfinite;
}

template <typename T>
GALETTE_FORCE_INLINE inline void ema_run(T* ema, const T* value, int64_t n, T beta) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) ema[i] = ema_blend(ema[i], value[i], beta);
}

template <typename T>
int64_t adam_typed(T* theta, const T* grad, T* v, int64_t n, const AdamStep& step) {
  const AdamScalars<T> s(step);
  std::atomic<int64_t> nonfinite{0};
  at::parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) {
    run_vectorised([&]() GALETTE_FORCE_INLINE {
      nonfinite += adam_run(theta + begin, grad + begin, v + begin, end - begin, s);
    });
  });
  return nonfinite;
}

template <typename T>
void ema_typed(T* ema, const T* value, int64_t n, T beta) {
  at::parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) {
    run_vectorised(
        [&]() GALETTE_FORCE_INLINE { ema_run(ema + begin, value + begin, end - begin, beta); });
  });
}

template <typename T>
GALETTE_FORCE_INLINE inline int64_t count_non_finite(const T* values, int64_t n) {
  int64_t count = 0;
#pragma omp simd reduction(+ : count)
  for (int64_t i = 0; i < n; ++i) count += is_finite(values[i]) ? 0 : 1;
  return count;
}

template <typename T>
void mark_typed(const T* values, int64_t begin, int64_t n, const SegmentMarks& segments) {
  at::parallel_for(0, n, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; at += kLook) {
      const int64_t end = std::min(last, at + kLook);
      int64_t bad = 0;
      run_vectorised([&]() GALETTE_FORCE_INLINE { bad = count_non_finite(values + at, end - at); });
      for (int64_t i = at; bad > 0 && i < end; ++i) {
        if (is_finite(values[i])) continue;
        // Another thread may mark the same segment.
        std::atomic_ref(segments.marks[segment_of(segments, begin + i)])
            .store(segments.mark, std::memory_order_relaxed);
        --bad;
      }
    }
  });
}

template <typename T>
GALETTE_FORCE_INLINE inline void add_run(T* to, const T* from, int64_t stride, int64_t n) {
  if (stride == 1) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) to[i] += from[i];
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] += from[i * stride];
  }
}

/// Elements [begin, end) of a piece, a row at a time.
template <typename T>
GALETTE_FORCE_INLINE inline void add_piece(T* range, const RangePiece& piece, int64_t begin,
                                           int64_t end) {
  const T* const values = static_cast<const T*>(piece.values);
  for (int64_t i = begin; i < end;) {
    const int64_t n = std::min(end - i, piece.columns - i % piece.columns);
    add_run(range + piece.offset + i, values + place_in(piece, i), piece.column_stride, n);
    i += n;
  }
}

/// Threads share the elements of all pieces, one piece after the other.
template <typename T>
void add_typed(T* range, const RangePiece* pieces, int64_t count) {
  std::vector<int64_t> begins{0};
  for (int64_t p = 0; p < count; ++p) begins.push_back(begins.back() + pieces[p].size);
  at::parallel_for(0, begins.back(), kGrain, [&](int64_t begin, int64_t end) {
    run_vectorised([&]() GALETTE_FORCE_INLINE {
      for (int64_t p = 0; p < count; ++p) {
        const int64_t first = std::max(begin, begins[p]), last = std::min(end, begins[p + 1]);
        if (first < last) add_piece(range, pieces[p], first - begins[p], last - begins[p]);
      }
    });
  });
}

}  // namespace

int64_t adam_step_cpu(ElementType type, void* theta, const void* grad, void* v, int64_t n,
                      const AdamStep& step) {
  int64_t nonfinite = 0;
  with_real_type(type, [&](auto zero) {
    using T = decltype(zero);
    nonfinite = adam_typed(static_cast<T*>(theta), static_cast<const T*>(grad), static_cast<T*>(v),
                           n, step);
  });
  return nonfinite;
}

void ema_update_cpu(ElementType type, void* ema, const void* value, int64_t n, double beta) {
  with_real_type(type, [&](auto zero) {
    using T = decltype(zero);
    ema_typed(static_cast<T*>(ema), static_cast<const T*>(value), n, static_cast<T>(beta));
  });
}

void mark_non_finite_cpu(ElementType type, const void* values, int64_t begin, int64_t n,
                         const SegmentMarks& segments) {
  with_real_type(type, [&](auto zero) {
    mark_typed(static_cast<const decltype(zero)*>(values), begin, n, segments);
  });
}

void add_to_range_cpu(ElementType type, void* range, const RangePiece* pieces, int64_t count) {
  with_real_type(type,
                 [&](auto zero) { add_typed(static_cast<decltype(zero)*>(range), pieces, count); });
}

}  // namespace galette
