// SPDX-License-Identifier: Apache-2.0
// CPU bodies of the minibatch standard deviation: a part of a group is one thread's.
#include "kernels/minibatch_std_math.h"
#include "kernels/threads.h"

namespace galette {
namespace {

/// Calls body(part of a group) for all of them.
template <typename T, class Body>
void for_each_part(const MinibatchStdCall& call, const Body& body) {
  at::parallel_for(0, call.groups * call.parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(GroupPart<T>(call, i / call.parts, i % call.parts));
  });
}

template <typename T>
double sum_extra(const GroupPart<T>& part, const T* dy) {
  double sum = 0;
  for (int64_t j = 0; j < part.size * part.pixels; ++j)
    sum += static_cast<double>(dy[part.extra_at(j)]);
  return sum;
}

template <typename T>
void fill_extra(const GroupPart<T>& part, T* y, double value) {
  for (int64_t j = 0; j < part.size * part.pixels; ++j) y[part.extra_at(j)] = static_cast<T>(value);
}

template <typename T>
void forward(const MinibatchStdCall& call, const T* x, T* y) {
  for_each_part<T>(call, [&](const GroupPart<T>& part) {
    double sum = 0;
    for (int64_t p = 0; p < part.elements; ++p) sum += part.forward(x, y, p);
    fill_extra(part, y, sum / static_cast<double>(part.elements));
  });
}

template <typename T>
void gradient(const MinibatchStdCall& call, const T* x, const T* dy, T* dx) {
  for_each_part<T>(call, [&](const GroupPart<T>& part) {
    const double a = part.factor(sum_extra(part, dy));
    for (int64_t p = 0; p < part.elements; ++p) part.gradient(x, dy, a, dx, p);
  });
}

template <typename T>
void curvature(const MinibatchStdCall& call, const T* x, const T* dy, const T* q, T* by_dy,
               T* by_x) {
  for_each_part<T>(call, [&](const GroupPart<T>& part) {
    const double a = part.factor(sum_extra(part, dy));
    double sum = 0;
    for (int64_t p = 0; p < part.elements; ++p) sum += part.curvature(x, q, a, by_dy, by_x, p);
    fill_extra(part, by_dy, part.factor(sum));
  });
}

}  // namespace

void minibatch_std_forward_cpu(const MinibatchStdCall& call, const void* x, void* y) {
  if (call.type == ElementType::kFloat64)
    return forward(call, static_cast<const double*>(x), static_cast<double*>(y));
  forward(call, static_cast<const float*>(x), static_cast<float*>(y));
}

void minibatch_std_gradient_cpu(const MinibatchStdCall& call, const void* x, const void* dy,
                                void* dx) {
  if (call.type == ElementType::kFloat64) {
    return gradient(call, static_cast<const double*>(x), static_cast<const double*>(dy),
                    static_cast<double*>(dx));
  }
  gradient(call, static_cast<const float*>(x), static_cast<const float*>(dy),
           static_cast<float*>(dx));
}

void minibatch_std_curvature_cpu(const MinibatchStdCall& call, const void* x, const void* dy,
                                 const void* q, void* by_dy, void* by_x) {
  if (call.type == ElementType::kFloat64) {
    return curvature(call, static_cast<const double*>(x), static_cast<const double*>(dy),
                     static_cast<const double*>(q), static_cast<double*>(by_dy),
                     static_cast<double*>(by_x));
  }
  curvature(call, static_cast<const float*>(x), static_cast<const float*>(dy),
            static_cast<const float*>(q), static_cast<float*>(by_dy), static_cast<float*>(by_x));
}

}  // namespace galette
