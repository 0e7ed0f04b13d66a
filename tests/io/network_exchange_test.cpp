// SPDX-License-Identifier: Apache-2.0
// Networks as safetensors: nothing is lost on the way and back, and foreign files are understood.
#include "io/network_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using galette::testing::TempDir;
using ::testing::HasSubstr;
using testing::input_error;
using testing::to_bytes;

NetworkFile sample_file() {
  NetworkFile file;
  file.kimg = 12.5;
  file.cfg = "creps";
  file.dataset = "emoji32";
  file.dataset_fingerprint = "0123abcd";
  file.ada_p = 0.1;
  file.options = {{"batch", 16}, {"desc", nullptr}};
  file.version = "0.1.0";
  file.networks["G_ema"] = {
      "training.networks.Generator",
      {{"z_dim", 64}},
      {{"synthesis.b4.weight", {at::arange(6, at::kFloat).view({2, 3}), TensorKind::param}},
       {"mapping.w_avg", {at::full({5}, 0.1, at::kDouble), TensorKind::buffer}}}};
  file.networks["G"] = file.networks["G_ema"];
  return file;
}

TEST(NetworkExchange, ARoundTripKeepsEverything) {
  const TempDir dir;
  const NetworkFile written = sample_file();
  write_safetensors(dir.file("n"), to_safetensors(written));
  const NetworkFile read = read_networks(dir.file("n"));
  EXPECT_EQ(read.kimg, 12.5);
  EXPECT_EQ(read.cfg, "creps");
  EXPECT_EQ(read.dataset, "emoji32");
  EXPECT_EQ(read.dataset_fingerprint, "0123abcd");
  EXPECT_EQ(read.ada_p, 0.1);
  EXPECT_EQ(read.options, written.options);
  EXPECT_EQ(read.version, "0.1.0");
  ASSERT_EQ(read.networks.size(), 2u);
  const NetworkRecord& record = read.networks.at("G_ema");
  EXPECT_EQ(record.class_name, "training.networks.Generator");
  EXPECT_EQ(record.init, (nlohmann::json{{"z_dim", 64}}));
  ASSERT_EQ(record.tensors.size(), 2u);
  for (const auto& [name, tensor] : written.networks.at("G_ema").tensors) {
    EXPECT_EQ(record.tensors.at(name).kind, tensor.kind) << name;
    EXPECT_TRUE(record.tensors.at(name).value.equal(tensor.value)) << name;
  }
}

TEST(NetworkExchange, ASnapshotIsReadWhateverItsName) {
  const TempDir dir;
  write_network_file(dir.file("n.safetensors"), sample_file());
  EXPECT_EQ(read_networks(dir.file("n.safetensors")).networks.size(), 2u);
}

TEST(NetworkExchange, ForeignFilesNeedOnlyNames) {
  const SafetensorsFile foreign{{{"G.b.weight", at::ones({2}, at::kHalf)}}, {{"format", "pt"}}};
  const NetworkFile file = from_safetensors(foreign, "f");
  EXPECT_EQ(file.cfg, "");
  const at::Tensor value = file.networks.at("G").tensors.at("b.weight").value;
  EXPECT_EQ(value.scalar_type(), at::kFloat);
  EXPECT_TRUE(value.equal(at::ones({2})));
}

TEST(NetworkExchange, OthersAreRefusedInOneLine) {
  const auto refusal = [](const SafetensorsFile& file) {
    return input_error([&] { from_safetensors(file, "f"); });
  };
  EXPECT_THAT(refusal({{{"weight", at::ones({2})}}, {}}), HasSubstr("'weight' belongs to no"));
  EXPECT_THAT(refusal({{}, {{"kimg", "many"}}}), HasSubstr("'kimg' is not a number"));
  EXPECT_THAT(refusal({{{"G.a", at::ones({2})}}, {{"G.init", "{"}}}), HasSubstr("not JSON"));
  EXPECT_THAT(refusal({{{"G.a", at::ones({2})}}, {{"G.buffers", "[1]"}}}), HasSubstr("not a list"));
  const TempDir dir;
  const auto read_error = [&](const testing::Bytes& bytes) {
    write_file(dir.file("f"), bytes);
    return input_error([&] { read_networks(dir.file("f")); });
  };
  EXPECT_THAT(read_error({0x80, 2, 'c'}), HasSubstr("f: is a Python pickle"));
  EXPECT_THAT(read_error(to_bytes("PK\x03\x04...")), HasSubstr("f: is a ZIP archive"));
  EXPECT_THAT(read_error(to_bytes("something else")), HasSubstr("not an HDF5 file"));
}

TEST(NetworkExchange, FamiliesAreToldByTheirTensors) {
  const auto family = [](const std::string& tensor) {
    return generator_family({"", {}, {{tensor, {at::ones({1}), TensorKind::param}}}});
  };
  EXPECT_EQ(family("synthesis.b4.input.freqs"), "creps");
  EXPECT_EQ(family("synthesis.b4.const"), "stylegan2");
  EXPECT_EQ(family("synthesis.input.freqs"), "stylegan3");
  EXPECT_EQ(family("mapping.w_avg"), "");
}

}  // namespace
}  // namespace galette::io
