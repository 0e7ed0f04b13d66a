// SPDX-License-Identifier: Apache-2.0
#include "base/parameter_arena.h"

#include <algorithm>
#include <memory>

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace galette {
namespace {

/// Lays the entries out one after the other and makes their handles views of one allocation.
at::Tensor allocate_flat(std::vector<ArenaEntry>& entries, const at::TensorOptions& options) {
  int64_t size = 0;
  for (ArenaEntry& entry : entries) {
    entry.offset = size;
    size += entry.size;
  }
  at::Tensor flat = at::empty({size}, options);
  for (ArenaEntry& entry : entries) {
    entry.tensor.set_data(flat.narrow(0, entry.offset, entry.size).view(entry.shape));
  }
  return flat;
}

void initialize_entry(ArenaEntry& entry, const SampleRng& rng, uint16_t network) {
  at::Tensor target = entry.tensor.detach();
  if (entry.value.defined()) {
    target.copy_(entry.value);
  } else if (entry.init.stddev == 0) {
    target.fill_(entry.init.mean);
  } else {
    const uint64_t hash = fnv1a64(entry.name);
    const Stream stream{Purpose::init, Phase::none, static_cast<uint32_t>(hash), network};
    at::Tensor values = at::empty(entry.shape, target.options().device(at::kCPU));
    rng.fill_normal(stream, static_cast<uint32_t>(hash >> 32), values);
    if (entry.init.transform != nullptr) values = entry.init.transform(values);
    target.copy_(values.mul_(entry.init.stddev).add_(entry.init.mean));
  }
}

}  // namespace

/// Takes a gradient over from autograd, which then has nothing to add.
class ParameterArena::TakeGradient : public torch::autograd::FunctionPreHook {
 public:
  TakeGradient(ParameterArena& arena, size_t parameter) : arena_(arena), parameter_(parameter) {}
  torch::autograd::variable_list operator()(
      const torch::autograd::variable_list& gradients) override {
    if (gradients[0].defined()) arena_.take_gradient(parameter_, gradients[0]);
    return {at::Tensor()};
  }

 private:
  ParameterArena& arena_;
  size_t parameter_;
};

at::Tensor ParameterArena::declare(std::vector<ArenaEntry>& entries, const std::string& name,
                                   std::vector<int64_t> shape, Init init) {
  TORCH_CHECK(!flat_parameters_.defined(), "arena: ", name, " declared after allocate()");
  TORCH_CHECK(!find(name).defined(), "arena: two tensors named ", name);
  ArenaEntry entry;
  entry.name = name;
  entry.size = c10::multiply_integers(shape);
  entry.shape = std::move(shape);
  entry.init = init;
  entry.tensor = at::empty({0}, options_);
  entries.push_back(entry);
  return entry.tensor;
}

at::Tensor ParameterArena::add_parameter(const std::string& name, std::vector<int64_t> shape,
                                         Init init) {
  return declare(parameters_, name, std::move(shape), init);
}

at::Tensor ParameterArena::add_buffer(const std::string& name, std::vector<int64_t> shape,
                                      Init init) {
  return declare(buffers_, name, std::move(shape), init);
}

at::Tensor ParameterArena::add_buffer(const std::string& name, const at::Tensor& value) {
  at::Tensor handle = declare(buffers_, name, value.sizes().vec(), Init{});
  buffers_.back().value = value;
  return handle;
}

void ParameterArena::allocate() {
  flat_parameters_ = allocate_flat(parameters_, options_);
  flat_buffers_ = allocate_flat(buffers_, options_);
}

void ParameterArena::initialize(const SampleRng& rng, uint16_t network) {
  for (ArenaEntry& entry : parameters_) initialize_entry(entry, rng, network);
  for (ArenaEntry& entry : buffers_) initialize_entry(entry, rng, network);
}

at::Tensor ParameterArena::find(const std::string& name) const {
  for (const auto* entries : {&parameters_, &buffers_}) {
    const auto at = std::find_if(entries->begin(), entries->end(),
                                 [&](const ArenaEntry& e) { return e.name == name; });
    if (at != entries->end()) return at->tensor;
  }
  return {};
}

void ParameterArena::enable_gradients() {
  flat_gradients_ = at::zeros_like(flat_parameters_);
  reached_ = at::zeros({static_cast<int64_t>(parameters_.size())}, at::kByte);
  gatherer_.emplace(flat_gradients_, [this](size_t parameter) { note_gradient(parameter); });
  are_apart_.assign(parameters_.size(), false);
  apart_.resize(parameters_.size());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const ArenaEntry& entry = parameters_[i];
    entry.tensor.requires_grad_(true);
    entry.tensor.mutable_grad() =
        flat_gradients_.narrow(0, entry.offset, entry.size).view(entry.shape);
    // The hook lives as long as somebody holds the node.
    accumulators_.push_back(torch::autograd::impl::grad_accumulator(entry.tensor));
    accumulators_.back()->add_pre_hook(std::make_unique<TakeGradient>(*this, i));
  }
}

void ParameterArena::take_gradient(size_t parameter, const at::Tensor& gradient) {
  const ArenaEntry& entry = parameters_[parameter];
  if (!entry.tensor.requires_grad()) return;
  if (!are_apart_[parameter]) return gatherer_->take(parameter, entry.offset, gradient);
  at::Tensor& own = apart_[parameter];
  own = own.defined() ? own + gradient.detach() : gradient.detach();
  note_gradient(parameter);
}

void ParameterArena::note_gradient(size_t parameter) {
  reached_.mutable_data_ptr<uint8_t>()[parameter] = 1;
  if (listener_) listener_(parameter);
}

void ParameterArena::set_gradient_apart(size_t parameter, bool apart) {
  are_apart_[parameter] = apart;
  apart_[parameter].reset();
}

void ParameterArena::set_requires_grad(bool value) {
  for (const ArenaEntry& entry : parameters_) entry.tensor.requires_grad_(value);
}

void ParameterArena::clear_gradients() {
  flat_gradients_.zero_();
  std::fill_n(reached_.mutable_data_ptr<uint8_t>(), reached_.numel(), uint8_t{0});
  gatherer_->discard();
}

}  // namespace galette
