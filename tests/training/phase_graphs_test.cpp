// SPDX-License-Identifier: Apache-2.0
// Phases that are recorded and repeated. Without a GPU, recorded work is a call that is repeated:
// under another state of the host, which recorded work cannot see, on the same tensors.
#include "training/phase_graphs.h"

#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include "kernels/upload.h"
#include "parallel/gpu.h"
#include "tiny_training.h"

namespace galette {
namespace {

using testing::Training;

/// Operations that make the host wait for a device's numbers, in work that is being recorded.
int64_t waits = 0;
bool is_recording = false;

std::unique_ptr<at::ObserverContext> note_wait(const at::RecordFunction& function) {
  const std::string name = is_recording ? function.name() : "";
  for (const char* wait : {"aten::item", "aten::_local_scalar_dense", "aten::nonzero",
                           "aten::is_nonzero", "aten::equal"})
    if (name == wait) ++waits;
  return nullptr;
}

/// Stands in for work on a GPU.
class RepeatedCall : public RecordedWork {
 public:
  explicit RepeatedCall(TrainState* state = nullptr) : state_(state) {}

  void record(const std::function<void()>& work) override {
    is_recording = true;
    work();
    is_recording = false;
    work_ = work;
  }

  void replay() override {
    if (state_ == nullptr) return work_();
    const nlohmann::json scalars = state_->scalars();
    state_->iteration += 1000;
    state_->images += 1'000'000;
    work_();
    state_->iteration = scalars["iteration"];
    state_->images = scalars["images"];
  }

 private:
  TrainState* state_;
  std::function<void()> work_;
};

/// A training whose phases are recorded by such work.
class RecordedTraining {
 public:
  explicit RecordedTraining(const char* cfg)
      : training(cfg, MPI_COMM_SELF, 4, {},
                 {.graphs = Graphs::required, .recorder = [this] {
                    ++recordings;
                    return std::make_unique<RepeatedCall>(&training.state());
                  }}) {}
  int recordings = 0;
  Training training;
};

class RecordedPhases : public ::testing::TestWithParam<const char*> {};

TEST_P(RecordedPhases, DoTheSame) {
  Training plain(GetParam(), MPI_COMM_SELF, 4);
  RecordedTraining recorded(GetParam());
  Training& repeated = recorded.training;
  waits = 0;
  const at::CallbackHandle handle =
      at::addThreadLocalCallback(at::RecordFunctionCallback(note_wait));
  // Blur has faded.
  for (Training* training : {&plain, &repeated}) training->state().images = 1'000'000;
  // The fourth is a replay alone.
  for (int i = 0; i < 4; ++i) {
    plain.run_all_phases();
    repeated.run_all_phases();
  }
  at::removeCallback(handle);
  EXPECT_EQ(recorded.recordings, 4);
  EXPECT_EQ(waits, 0);
  for (const Phase phase : kPhases) EXPECT_TRUE(repeated.graphs().is_proven(phase));
  const std::vector<at::Tensor> a = plain.values(), b = repeated.values();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i])) << "array " << i;
  for (const char* name : {"Loss/scores/fake", "Loss/pl_penalty", "Loss/D/loss", "Loss/r1_penalty"})
    EXPECT_EQ(plain.mean(name), repeated.mean(name)) << name;
}

INSTANTIATE_TEST_SUITE_P(Configurations, RecordedPhases, ::testing::Values("creps", "stylegan2"),
                         [](const auto& info) { return info.param; });

TEST(RecordedPhases, WaitUntilBlurHasFaded) {
  RecordedTraining recorded("stylegan3-r");
  recorded.training.run(Phase::d_main, 0);
  recorded.training.run(Phase::d_main, 0);
  EXPECT_EQ(recorded.recordings, 0);
  recorded.training.state().images = 1'000'000;
  for (int i = 0; i < 3; ++i) recorded.training.run(Phase::d_main, 0);
  EXPECT_EQ(recorded.recordings, 1);
  EXPECT_TRUE(recorded.training.graphs().is_proven(Phase::d_main));
}

/// A computation of one parameter, on one tensor of the draws.
class PhaseGraphsTest : public ::testing::Test {
 protected:
  PhaseGraphsTest() {
    parameter_ = arena_.add_parameter("p", {3}, Init::constant(1));
    arena_.allocate();
    arena_.initialize(SampleRng(0), 1);
    arena_.enable_gradients();
  }

  PhaseGraphs graphs(
      Graphs choice, std::function<std::unique_ptr<RecordedWork>()> recorder = [] {
        return std::make_unique<RepeatedCall>();
      }) {
    return {choice, std::move(recorder)};
  }

  /// The gradient 2 * labels, counted; times what the host says.
  BatchSums compute(const PhaseDraws& draws) {
    const at::Tensor& labels = draws.micro.at(0).labels;
    (parameter_ * labels.sum(0) * 2 * host_factor_).sum().backward();
    counted_ += 1;
    return {labels.sum(0).to(at::kDouble), {}};
  }

  /// Runs on labels of this value; expects what compute() gives.
  void run(PhaseGraphs& graphs, double value, int64_t rows = 2) {
    PhaseDraws draws;
    draws.micro.emplace_back().labels = at::full({rows, 3}, value);
    run(graphs, draws, [this](const PhaseDraws& on) { return compute(on); });
    const auto sum = value * static_cast<double>(rows);
    EXPECT_TRUE(at::equal(arena_.flat_gradients(), at::full({3}, 2 * sum * host_factor_)));
    EXPECT_TRUE(at::equal(sums_.w, at::full({3}, sum, at::kDouble)));
  }
  void run(PhaseGraphs& graphs, const PhaseDraws& draws, const PhaseGraphs::Compute& compute) {
    arena_.clear_gradients();
    sums_ = graphs.run(Phase::d_main, draws, {arena_, {counted_}}, compute);
    ++runs_;
    EXPECT_EQ(counted_.item<int64_t>(), runs_);
    EXPECT_EQ(arena_.reached()[0].item<int64_t>(), 1);
  }

  ParameterArena arena_{at::TensorOptions(at::kFloat)};
  at::Tensor parameter_;
  at::Tensor counted_ = at::zeros({}, at::kLong);
  BatchSums sums_;
  int64_t runs_ = 0;
  double host_factor_ = 1;
};

TEST_F(PhaseGraphsTest, RepeatsOnNewDraws) {
  PhaseGraphs g = graphs(Graphs::required);
  for (int i = 1; i < 7; ++i) {
    EXPECT_EQ(g.is_proven(Phase::d_main), i > 3);
    run(g, i);
  }
  EXPECT_FALSE(g.is_proven(Phase::g_main));
}

TEST_F(PhaseGraphsTest, OtherShapesAreNotRepeated) {
  PhaseGraphs g = graphs(Graphs::required);
  for (int i = 1; i < 7; ++i) run(g, i);
  run(g, 1, 5);
  run(g, 2);
  EXPECT_TRUE(g.is_proven(Phase::d_main));
}

TEST_F(PhaseGraphsTest, ANumberOfTheHostsIsFound) {
  // As a recording would, the work keeps the factor of the time when it was recorded.
  class Frozen : public RepeatedCall {
   public:
    explicit Frozen(double& factor) : factor_(factor) {}
    void record(const std::function<void()>& work) override {
      kept_ = factor_;
      RepeatedCall::record(work);
    }
    void replay() override {
      const double now = std::exchange(factor_, kept_);
      RepeatedCall::replay();
      factor_ = now;
    }

   private:
    double& factor_;
    double kept_ = 0;
  };
  const auto frozen = [this] { return std::make_unique<Frozen>(host_factor_); };
  PhaseGraphs g = graphs(Graphs::possible, frozen);
  for (int i = 1; i < 6; ++i) {
    host_factor_ = i;
    run(g, 1);
  }
  EXPECT_FALSE(g.is_proven(Phase::d_main));
  PhaseGraphs strict = graphs(Graphs::required, frozen);
  run(strict, 1);
  run(strict, 1);
  host_factor_ = 1;
  EXPECT_THROW(run(strict, 1), std::runtime_error);
}

TEST_F(PhaseGraphsTest, WhatCannotBeRecordedIsDoneWithout) {
  class Broken : public RepeatedCall {
    void record(const std::function<void()>& work) override {
      RepeatedCall::record(work);
      TORCH_CHECK(false, "this cannot be recorded");
    }
  };
  const auto broken = [] { return std::make_unique<Broken>(); };
  PhaseGraphs g = graphs(Graphs::possible, broken);
  for (int i = 1; i < 5; ++i) run(g, i);
  EXPECT_FALSE(g.is_proven(Phase::d_main));
  PhaseGraphs strict = graphs(Graphs::required, broken);
  run(strict, 1);
  try {
    run(strict, 2);
    FAIL() << "went on";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "Dmain cannot be repeated as a CUDA graph: this cannot be recorded; give "
                 "--graphs=auto or --graphs=off");
  }
}

TEST_F(PhaseGraphsTest, NothingMayComeFromTheHost) {
  PhaseGraphs g = graphs(Graphs::required);
  const PhaseGraphs::Compute uploads = [this](const PhaseDraws&) {
    (parameter_ * upload(at::ones({3}), at::kFloat)).sum().backward();
    counted_ += 1;
    return BatchSums();
  };
  run(g, {}, uploads);
  try {
    run(g, {}, uploads);
    FAIL() << "went on";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("is brought from the host"), std::string::npos)
        << error.what();
  }
}

TEST_F(PhaseGraphsTest, BadGradientsProveNothing) {
  PhaseGraphs g = graphs(Graphs::required);
  run(g, 1);
  host_factor_ = std::nan("");
  PhaseDraws draws;
  draws.micro.emplace_back().labels = at::ones({2, 3});
  for (int i = 0; i < 3; ++i) run(g, draws, [this](const PhaseDraws& on) { return compute(on); });
  EXPECT_FALSE(g.is_proven(Phase::d_main));
  host_factor_ = 1;
  run(g, 1);
  run(g, 2);
  EXPECT_TRUE(g.is_proven(Phase::d_main));
}

TEST_F(PhaseGraphsTest, RecordingsMakeRoom) {
  PhaseGraphs g = graphs(Graphs::possible);
  for (int i = 1; i < 5; ++i) run(g, i);
  EXPECT_TRUE(g.is_proven(Phase::d_main));
  // Another shape does without the recording, and finds too little memory beside it.
  int calls = 0;
  PhaseDraws draws;
  draws.micro.emplace_back().labels = at::ones({5, 3});
  run(g, draws, [&](const PhaseDraws& on) {
    const BatchSums sums = compute(on);
    TORCH_CHECK_WITH(OutOfMemoryError, calls++ > 0, "too large");
    return sums;
  });
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(at::equal(arena_.flat_gradients(), at::full({3}, 10.0)));
  EXPECT_FALSE(g.is_proven(Phase::d_main));
  // Without recordings there is nothing to give.
  EXPECT_THROW(run(g, draws,
                   [](const PhaseDraws&) -> BatchSums {
                     TORCH_CHECK_WITH(OutOfMemoryError, false, "too large");
                   }),
               c10::OutOfMemoryError);
}

TEST(PhaseGraphsGpu, DoTheSame) {
  if (!at::hasCUDA()) GTEST_SKIP() << "NO GPU: CUDA graphs are not tested on this machine";
  // The program's own checks are strict here: what differs throws.
  at::globalContext().lazyInitDevice(at::kCUDA);
  use_gpu(0);
  Training training(
      "creps", MPI_COMM_SELF, 4, {},
      {.graphs = Graphs::required, .recorder = make_gpu_recorder(at::Device(at::kCUDA, 0))}, 0);
  for (int i = 0; i < 5; ++i) training.run_all_phases();
  for (const Phase phase : kPhases) EXPECT_TRUE(training.graphs().is_proven(phase));
}

}  // namespace
}  // namespace galette
