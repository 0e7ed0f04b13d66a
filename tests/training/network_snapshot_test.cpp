// SPDX-License-Identifier: Apache-2.0
// Transfer learning: networks taken from snapshots and from safetensors, and what is refused.
#include "training/network_snapshot.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/network_exchange.h"
#include "models/creps.h"
#include "models/factory.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Transfer : public ::testing::Test {
 protected:
  /// Networks of a tiny run at a resolution; all tensors hold `value`, coordinates their own.
  static TrainState networks(int64_t resolution, float value, int64_t channels = 8) {
    CrepsConfig g;
    g.z_dim = g.w_dim = 8;
    g.mapping_layers = 1;
    g.img_resolution = resolution;
    g.channel_max = channels;
    g.biline_channels = 4;
    const nlohmann::json d{{"img_resolution", resolution}, {"channel_max", 4}};
    TrainState state(std::make_unique<CrepsGenerator>(g, at::kFloat),
                     std::make_unique<CrepsGenerator>(g, at::kFloat),
                     make_discriminator("training.networks_stylegan2.Discriminator", d, at::kFloat),
                     0, 0, {}, 1);
    const at::NoGradGuard no_grad;
    state.g->arena().flat_parameters().fill_(value);
    state.g_ema->arena().flat_parameters().fill_(value);
    state.d->arena().flat_parameters().fill_(value);
    return state;
  }

  /// A file as a run with such networks writes it.
  static io::NetworkFile file_of(const TrainState& state, const std::string& path) {
    io::DatasetInfo data;
    TrainOptions options;
    options.cfg = "creps";
    write_network_snapshot(path, state, options, data, MPI_COMM_SELF);
    return io::read_network_file(path);
  }

  std::string refusal(const io::NetworkFile& file) {
    io::write_network_file(dir_.file("bad.h5"), file);
    TrainState into = networks(16, 0);
    return error_of([&] { transfer_networks(dir_.file("bad.h5"), into, MPI_COMM_SELF); });
  }

  static void expect_values(const Network& network, float value) {
    const at::Tensor all = network.arena().flat_parameters();
    EXPECT_TRUE(all.equal(at::full_like(all, value))) << network.class_name();
  }

  TempDir dir_;
  std::string snapshot_ = dir_.file("n.h5");
};

TEST_F(Transfer, TakesAllNetworksFromSnapshotsAndSafetensors) {
  io::NetworkFile file = file_of(networks(16, 3), snapshot_);
  io::write_safetensors(dir_.file("other.h5"), io::to_safetensors(file));
  for (const std::string& path : {snapshot_, dir_.file("other.h5")}) {
    TrainState into = networks(16, 0);
    transfer_networks(path, into, MPI_COMM_SELF);
    expect_values(*into.g, 3);
    expect_values(*into.g_ema, 3);
    expect_values(*into.d, 3);
  }
}

TEST_F(Transfer, AnotherResolutionKeepsItsCoordinatesAndItsOwnStages) {
  file_of(networks(16, 3), snapshot_);
  TrainState into = networks(32, 0);
  transfer_networks(snapshot_, into, MPI_COMM_SELF);
  const ParameterArena& g = into.g->arena();
  EXPECT_EQ(g.find("synthesis.b16.fc1.weight").min().item<float>(), 3);
  EXPECT_EQ(g.find("synthesis.b32.fc1.weight").max().item<float>(), 0);
  EXPECT_EQ(g.find("synthesis.b4.input.coords").size(1), 32);
  EXPECT_EQ(g.find("synthesis.b4.input.coords").view(-1)[2].item<float>(), 1.f / 31);
}

TEST_F(Transfer, AnotherShapeIsRefusedByName) {
  file_of(networks(16, 3, 16), snapshot_);
  TrainState into = networks(16, 0);
  EXPECT_THAT(error_of([&] { transfer_networks(snapshot_, into, MPI_COMM_SELF); }),
              AllOf(HasSubstr("G/synthesis.b4.input.weight has shape 1x16x1x16 there and 1x8x1x16"),
                    HasSubstr("--cmax")));
}

TEST_F(Transfer, AnotherFamilyIsRefusedWithItsConfiguration) {
  io::NetworkFile file = file_of(networks(16, 3), snapshot_);
  auto& tensors = file.networks["G"].tensors;
  std::erase_if(tensors, [](const auto& t) { return t.first.starts_with("synthesis."); });
  tensors["synthesis.b4.const"] = {at::ones({16, 4, 4}), io::TensorKind::param};
  tensors["synthesis.b4.conv1.noise_strength"] = {at::ones({}), io::TensorKind::param};
  file.cfg = "stylegan2";
  const std::string message = refusal(file);
  EXPECT_THAT(message, AllOf(HasSubstr("holds networks of --cfg=stylegan2, this run trains creps"),
                             HasSubstr("synthesis.b4.const is 16x4x4 there and unknown here"),
                             HasSubstr("noise_strength is a number there and unknown")));
  file.cfg = "";
  EXPECT_THAT(refusal(file), HasSubstr("--cfg=stylegan2")) << "told by the tensors alone";
}

TEST_F(Transfer, WhatIsNoNetworkFileIsRefused) {
  io::NetworkFile file = file_of(networks(16, 3), snapshot_);
  file.networks.erase("D");
  EXPECT_THAT(refusal(file), HasSubstr("has no network D"));
  TrainState into = networks(16, 0);
  EXPECT_THAT(error_of([&] { transfer_networks(dir_.file("none.pkl"), into, MPI_COMM_SELF); }),
              HasSubstr("none.pkl: No such file"));
}

}  // namespace
}  // namespace galette::testing
