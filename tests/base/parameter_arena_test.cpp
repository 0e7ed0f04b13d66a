// SPDX-License-Identifier: Apache-2.0
// How the gradients of an arena's parameters come together.
#include "base/parameter_arena.h"

#include <stdexcept>

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;
using testing::Tensors;

constexpr int64_t kLarge = 3'000'000;  // elements; more than waits for others

class ArenaGradients : public ::testing::Test {
 protected:
  ArenaGradients() {
    matrix_ = arena_.add_parameter("matrix", {3, 4}, Init::normal());
    vector_ = arena_.add_parameter("vector", {4}, Init::normal());
    unused_ = arena_.add_parameter("unused", {2}, Init::normal());
    large_ = arena_.add_parameter("large", {kLarge}, Init::constant(1));
    arena_.allocate();
    arena_.initialize(SampleRng(1), 1);
    arena_.enable_gradients();
    arena_.set_gradient_listener([this](size_t parameter) { heard_.push_back(parameter); });
  }

  /// A loss whose gradients are transposed, expanded, and of two parameters in the same memory.
  at::Tensor loss() const {
    const at::Tensor x = normal({5, 3}, 1);
    return (x.mm(matrix_) + vector_).square().sum() + (matrix_.t().mm(matrix_)).sum() +
           vector_.sum() + (vector_ + matrix_[0]).sum();
  }
  at::Tensor gradient(size_t i) const { return arena_.parameters()[i].tensor.grad(); }

  ParameterArena arena_{at::kDouble};
  at::Tensor matrix_, vector_, unused_, large_;
  std::vector<size_t> heard_;
};

TEST_F(ArenaGradients, AddUpOverPasses) {
  const Tensors expected = torch::autograd::grad({loss()}, {matrix_, vector_});
  EXPECT_EQ(arena_.flat_gradients().count_nonzero().item<int64_t>(), 0);  // that was no pass
  for (int pass = 1; pass <= 3; ++pass) {
    heard_.clear();
    torch::autograd::backward({loss()}, {});
    EXPECT_TRUE(at::allclose(gradient(0), expected[0] * pass, 1e-13, 1e-13));
    EXPECT_TRUE(at::allclose(gradient(1), expected[1] * pass, 1e-13, 1e-13));
    EXPECT_EQ(heard_.size(), 2);
  }
  EXPECT_EQ(gradient(2).count_nonzero().item<int64_t>(), 0);
  EXPECT_TRUE(at::equal(arena_.reached(), at::tensor({1, 1, 0, 0}, at::kByte)));
  arena_.clear_gradients();
  EXPECT_EQ(arena_.flat_gradients().count_nonzero().item<int64_t>(), 0);
  EXPECT_EQ(arena_.reached().count_nonzero().item<int64_t>(), 0);
}

TEST_F(ArenaGradients, AreThereWhenTheListenerHears) {
  arena_.set_gradient_listener([this](size_t parameter) {
    heard_.push_back(parameter);
    EXPECT_GT(gradient(parameter).count_nonzero().item<int64_t>(), 0);
    EXPECT_EQ(arena_.reached()[static_cast<int64_t>(parameter)].item<int>(), 1);
  });
  torch::autograd::backward({loss() + large_.sum()}, {});
  EXPECT_EQ(heard_.size(), 3);
}

TEST_F(ArenaGradients, LargeOnesDoNotWait) {
  const at::Tensor begin = at::ones({}, at::kDouble).requires_grad_();
  size_t heard_before_the_end = 0;
  begin.register_hook([&](const at::Tensor&) { heard_before_the_end = heard_.size(); });
  // The way from `begin` is longer than that of the parameter.
  const auto run = [&](const at::Tensor& parameter) {
    heard_.clear();
    torch::autograd::backward({(begin.exp().exp().exp() * parameter).sum()}, {});
    EXPECT_EQ(heard_.size(), 1);
    return heard_before_the_end;
  };
  EXPECT_EQ(run(large_), 1);
  EXPECT_EQ(run(vector_), 0);
}

TEST_F(ArenaGradients, StayApartWhenAsked) {
  const Tensors expected = torch::autograd::grad({loss()}, {matrix_, vector_});
  arena_.set_gradient_apart(0, true);
  EXPECT_FALSE(arena_.gradient_apart(0).defined());
  for (int pass = 1; pass <= 2; ++pass) {
    torch::autograd::backward({loss()}, {});
    EXPECT_TRUE(at::allclose(arena_.gradient_apart(0), expected[0] * pass, 1e-13, 1e-13));
    EXPECT_EQ(gradient(0).count_nonzero().item<int64_t>(), 0);
    EXPECT_TRUE(at::allclose(gradient(1), expected[1] * pass, 1e-13, 1e-13));
  }
  EXPECT_EQ(heard_.size(), 4);
  arena_.set_gradient_apart(0, false);
  EXPECT_FALSE(arena_.gradient_apart(0).defined());
  torch::autograd::backward({loss()}, {});
  EXPECT_TRUE(at::allclose(gradient(0), expected[0], 1e-13, 1e-13));
}

TEST_F(ArenaGradients, OfAPassThatFailedAreForgotten) {
  const Tensors expected = torch::autograd::grad({loss()}, {matrix_, vector_});
  const at::Tensor begin = at::ones({}, at::kDouble).requires_grad_();
  begin.register_hook([](const at::Tensor&) { throw std::runtime_error("no"); });
  EXPECT_THROW(torch::autograd::backward({(begin.exp().exp().exp() * vector_).sum()}, {}),
               std::runtime_error);
  arena_.clear_gradients();
  torch::autograd::backward({loss()}, {});
  EXPECT_TRUE(at::allclose(gradient(0), expected[0], 1e-13, 1e-13));
  EXPECT_TRUE(at::allclose(gradient(1), expected[1], 1e-13, 1e-13));
}

TEST_F(ArenaGradients, OfFrozenParametersAreLeftOut) {
  const at::Tensor value = loss();
  arena_.set_requires_grad(false);
  torch::autograd::backward({value}, {});
  EXPECT_EQ(arena_.flat_gradients().count_nonzero().item<int64_t>(), 0);
  EXPECT_EQ(arena_.reached().count_nonzero().item<int64_t>(), 0);
}

}  // namespace
}  // namespace galette
