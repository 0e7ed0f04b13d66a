// SPDX-License-Identifier: Apache-2.0
#include "base/parameter_arena.h"

#include <algorithm>
#include <memory>

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

/// Tells the arena that a backward pass has added to a parameter's gradient.
class ParameterArena::MarkReached : public torch::autograd::PostAccumulateGradHook {
 public:
  MarkReached(ParameterArena& arena, size_t parameter) : arena_(arena), parameter_(parameter) {}
  void operator()(const torch::autograd::Variable&) override {
    arena_.reached_.mutable_data_ptr<uint8_t>()[parameter_] = 1;
    if (arena_.listener_) arena_.listener_(parameter_);
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
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor parameter = parameters_[i].tensor;
    parameter.requires_grad_(true);
    set_gradient_apart(i, false);
    torch::autograd::impl::set_post_acc_grad_hooks(parameter,
                                                   std::make_unique<MarkReached>(*this, i));
  }
}

void ParameterArena::set_gradient_apart(size_t parameter, bool apart) {
  const ArenaEntry& entry = parameters_[parameter];
  entry.tensor.mutable_grad() =
      apart ? at::Tensor() : flat_gradients_.narrow(0, entry.offset, entry.size).view(entry.shape);
}

at::Tensor ParameterArena::gradient_apart(size_t parameter) const {
  const ArenaEntry& entry = parameters_[parameter];
  const at::Tensor gradient = entry.tensor.grad();
  const bool is_apart = gradient.defined() && !gradient.is_alias_of(flat_gradients_);
  return is_apart ? gradient.detach() : at::Tensor();
}

void ParameterArena::set_requires_grad(bool value) {
  for (const ArenaEntry& entry : parameters_) entry.tensor.requires_grad_(value);
}

void ParameterArena::clear_gradients() {
  flat_gradients_.zero_();
  reached_.zero_();
}

}  // namespace galette
