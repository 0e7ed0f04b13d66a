// SPDX-License-Identifier: Apache-2.0
#include "cli/product_count.h"

#include <map>
#include <memory>
#include <optional>
#include <string_view>

namespace galette {
namespace {

/// Products of a call: so many for each number of its result, or all of them.
struct Terms : at::ObserverContext {
  double each = 0;
  double all = 0;
};

// LibTorch's callbacks are plain functions: what they count lives with the thread.
thread_local double products = 0;
thread_local bool inside = false;  // a call that counts for all that it calls itself

/// Place of the left factor [.., m, k] among the arguments of a matrix product.
std::optional<size_t> left_factor(std::string_view name) {
  static const std::map<std::string_view, size_t> places{{"aten::mm", 0},      {"aten::bmm", 0},
                                                         {"aten::mv", 0},      {"aten::addmm", 1},
                                                         {"aten::baddbmm", 1}, {"aten::addmv", 1}};
  const auto place = places.find(name);
  return place == places.end() ? std::nullopt : std::optional(place->second);
}

/// Numbers that one channel has in a filter [channels, ...].
double filter_size(const at::Tensor& filters) {
  return static_cast<double>(filters.numel()) / static_cast<double>(filters.size(0));
}

std::unique_ptr<Terms> terms_of(const at::RecordFunction& call) {
  const auto arguments = call.inputs();
  auto terms = std::make_unique<Terms>();
  if (const auto place = left_factor(call.name())) {
    terms->each = static_cast<double>(arguments[*place].toTensor().size(-1));
    return terms;
  }
  if (std::string_view(call.name()) != "aten::convolution") return nullptr;
  constexpr size_t kTransposed = 6;  // input, weight, bias, stride, padding, dilation before it
  const at::Tensor &input = arguments[0].toTensor(), &filters = arguments[1].toTensor();
  if (arguments[kTransposed].toBool()) {
    // Each number of the input meets the filters of its channel.
    terms->all = static_cast<double>(input.numel()) * filter_size(filters);
  } else {
    terms->each = filter_size(filters);
  }
  return terms;
}

std::unique_ptr<at::ObserverContext> begin_call(const at::RecordFunction& call) {
  if (inside) return nullptr;
  std::unique_ptr<Terms> terms = terms_of(call);
  inside = terms != nullptr;
  return terms;
}

void end_call(const at::RecordFunction& call, at::ObserverContext* context) {
  if (context == nullptr) return;
  const auto& terms = *static_cast<const Terms*>(context);
  const auto numbers = static_cast<double>(call.outputs()[0].toTensor().numel());
  products += terms.all + terms.each * numbers;
  inside = false;
}

}  // namespace

ProductCount::ProductCount() {
  products = 0;
  inside = false;
  callback_ = at::addThreadLocalCallback(at::RecordFunctionCallback(begin_call, end_call)
                                             .needsInputs(true)
                                             .needsOutputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
}

ProductCount::~ProductCount() {
  at::removeCallback(callback_);
}

double ProductCount::operations() const {
  return 2 * products;  // each is added to a sum
}

}  // namespace galette
