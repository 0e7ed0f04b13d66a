// SPDX-License-Identifier: Apache-2.0
#include "io/network_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/check.h"
#include "io/hdf5.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempDir;

NetworkFile sample_file() {
  NetworkFile file;
  file.kimg = 12.5;
  file.cfg = "creps";
  file.dataset = "emoji32";
  file.dataset_fingerprint = "0123abcd";
  file.ada_p = 0.1;
  file.options = {{"batch", 16}, {"gamma", 0.2}, {"desc", nullptr}};
  file.version = "0.1.0";
  file.networks["G_ema"] = {
      "training.networks.Generator",
      {{"z_dim", 64}, {"img_resolution", 32}},
      {{"synthesis.b4.fc1.weight", {at::arange(12, at::kFloat).view({3, 4}), TensorKind::param}},
       {"mapping.w_avg", {at::full({5}, 0.1, at::kDouble), TensorKind::buffer}},
       {"synthesis.b4.magnitude_ema", {at::full({}, 2.0f), TensorKind::buffer}},
       {"label.weight", {at::empty({0, 3}), TensorKind::param}}}};
  file.networks["D"] = {"training.networks.Discriminator",
                        nlohmann::json::object(),
                        {{"b4.out.bias", {at::ones({1}), TensorKind::param}}}};
  return file;
}

template <typename Error>
std::string message_of_reading(const std::string& path) {
  try {
    read_network_file(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing of that type was thrown";
}

TEST(NetworkFile, KeepsEverything) {
  const TempDir dir;
  const auto written = sample_file();
  write_network_file(dir.file("n.h5"), written);
  EXPECT_FALSE(fs::exists(dir.file("n.h5.tmp")));
  const auto read = read_network_file(dir.file("n.h5"));
  EXPECT_EQ(read.kimg, 12.5);
  EXPECT_EQ(read.cfg, "creps");
  EXPECT_EQ(read.dataset, "emoji32");
  EXPECT_EQ(read.dataset_fingerprint, "0123abcd");
  EXPECT_EQ(read.ada_p, 0.1);
  EXPECT_EQ(read.options, written.options);
  EXPECT_EQ(read.version, "0.1.0");
  ASSERT_EQ(read.networks.size(), 2u);
  for (const auto& [network, record] : written.networks) {
    const auto& other = read.networks.at(network);
    EXPECT_EQ(other.class_name, record.class_name);
    EXPECT_EQ(other.init, record.init);
    ASSERT_EQ(other.tensors.size(), record.tensors.size());
    for (const auto& [name, tensor] : record.tensors) {
      EXPECT_TRUE(other.tensors.at(name).value.equal(tensor.value)) << name;
      EXPECT_EQ(other.tensors.at(name).value.scalar_type(), tensor.value.scalar_type());
      EXPECT_EQ(other.tensors.at(name).value.sizes(), tensor.value.sizes());
      EXPECT_EQ(other.tensors.at(name).kind, tensor.kind) << name;
    }
  }
}

TEST(NetworkFile, TakesStridedAndTrackedTensors) {
  const TempDir dir;
  auto file = sample_file();
  const auto strided = at::arange(6, at::kFloat).view({2, 3}).t().requires_grad_();
  file.networks["D"].tensors["b4.out.bias"].value = strided;
  write_network_file(dir.file("n.h5"), file);
  const auto read = read_network_file(dir.file("n.h5"));
  EXPECT_TRUE(read.networks.at("D").tensors.at("b4.out.bias").value.equal(strided.detach()));
}

TEST(NetworkFile, NamesFollowTheSnapshotPattern) {
  EXPECT_EQ(network_snapshot_name(0), "network-snapshot-000000.h5");
  EXPECT_EQ(network_snapshot_name(25000), "network-snapshot-025000.h5");
}

TEST(NetworkFile, OtherProgramsReadTensorsByName) {
  if (std::system("command -v h5dump > /dev/null") != 0) GTEST_SKIP() << "h5dump is not installed";
  const TempDir dir;
  write_network_file(dir.file("n.h5"), sample_file());
  const std::string command =
      "h5dump -d /G_ema/synthesis.b4.fc1.weight " + dir.file("n.h5") + " > " + dir.file("dump");
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream dump(dir.file("dump"));
  const std::string text{std::istreambuf_iterator<char>(dump), {}};
  EXPECT_THAT(text, AllOf(HasSubstr("(1,0): 4, 5, 6, 7"), HasSubstr("\"param\"")));
}

TEST(NetworkFile, OtherFilesAreRefusedInOneLine) {
  const TempDir dir;
  EXPECT_THAT(message_of_reading<InputError>(dir.file("none.h5")), HasSubstr("No such file"));
  auto other = H5File::create(dir.file("other.h5"));
  other.write("images", at::zeros({3}));
  other.close();
  EXPECT_THAT(message_of_reading<InputError>(dir.file("other.h5")),
              AllOf(HasSubstr("other.h5"), HasSubstr("not a network file")));
  write_network_file(dir.file("n.h5"), sample_file());
  auto file = H5File::open_for_writing(dir.file("n.h5"));
  file.set_attribute("/", "format_version", 2);
  file.close();
  EXPECT_THAT(message_of_reading<InputError>(dir.file("n.h5")), HasSubstr("version 2"));
}

TEST(NetworkFile, ChangesAreFound) {
  const TempDir dir;
  const auto path = dir.file("n.h5");
  const auto edit = [&](const std::function<void(H5File&)>& change) {
    write_network_file(path, sample_file());
    auto file = H5File::open_for_writing(path);
    change(file);
    file.close();
    EXPECT_THAT(message_of_reading<DamagedFile>(path), HasSubstr("n.h5"));
  };
  edit([](H5File& file) { file.write_rows("D/b4.out.bias", 0, at::zeros({1})); });
  edit([](H5File& file) { file.set_attribute("/", "kimg", 13.0); });
  edit([](H5File& file) { file.set_attribute("G_ema", "init", "{\"z_dim\": 65}"); });
  edit([](H5File& file) { file.set_attribute("G_ema", "init", "{"); });
  edit([](H5File& file) { file.set_attribute("D/b4.out.bias", "kind", "buffer"); });
  write_network_file(path, sample_file());
  fs::resize_file(path, fs::file_size(path) - 100);
  EXPECT_THAT(message_of_reading<DamagedFile>(path), HasSubstr("truncated"));
}

TEST(NetworkFile, AFailedWriteKeepsTheOldFile) {
  const TempDir dir;
  write_network_file(dir.file("n.h5"), sample_file());
  auto file = sample_file();
  file.networks["D"].tensors["b4.out.bias"].value = at::zeros({1}, at::kBFloat16);  // no such type
  EXPECT_ANY_THROW(write_network_file(dir.file("n.h5"), file));
  EXPECT_FALSE(fs::exists(dir.file("n.h5.tmp")));
  EXPECT_EQ(read_network_file(dir.file("n.h5")).networks.size(), 2u);
  EXPECT_ANY_THROW(write_network_file(dir.file("no/folder/n.h5"), file));
}

}  // namespace
}  // namespace galette::io
