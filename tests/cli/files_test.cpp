// SPDX-License-Identifier: Apache-2.0
// `galette info` and `galette convert`: what they say of each kind of file, and round trips.
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include "cli/file_info.h"
#include "cli/generator_file.h"
#include "io/checkpoint.h"
#include "io/dataset_packer.h"
#include "io/file_util.h"
#include "io/hdf5.h"
#include "io/image_codec.h"
#include "io/network_exchange.h"
#include "io/torch_writer.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string write_dataset(const TempDir& dir) {
  fs::create_directory(dir.file("images"));
  for (int i = 0; i < 3; ++i) io::write_png(dir.file(fmt::format("images/{}.png", i)), {8, 8, 3});
  io::PackOptions options;
  options.source = dir.file("images");
  options.dest = dir.file("set.h5");
  io::pack_dataset(options, MPI_COMM_SELF, [](int64_t, int64_t) {});
  return options.dest;
}

/// Flips the last byte of the data of an HDF5 dataset.
void damage(const std::string& path, const std::string& dataset, int64_t bytes) {
  const int64_t end = io::H5File::open(path).raw_offset(dataset) + bytes;
  std::vector<uint8_t> content = io::read_file(path);
  content[static_cast<size_t>(end - 1)] ^= 1;
  io::write_file(path, content);
}

TEST(FileInfo, Dataset) {
  const TempDir dir;
  const std::string path = write_dataset(dir);
  const auto info = file_info(path, true);
  EXPECT_EQ(info["kind"], "dataset");
  EXPECT_EQ(info["images"], 3);
  EXPECT_EQ(info["resolution"], 8);
  EXPECT_EQ(info["labels"], "none");
  EXPECT_EQ(info["origin"]["source_kind"], "folder");
  EXPECT_EQ(info["checks"].size(), 2u);
  damage(path, "images", 3 * 3 * 8 * 8);
  EXPECT_EQ(file_info(path, false)["images"], 3);
  EXPECT_THAT(error_of([&] { file_info(path, true); }), HasSubstr("set.h5"));
}

TEST(FileInfo, NetworkSnapshot) {
  const TempDir dir;
  io::NetworkFile file = tiny_network_file(kCreps, tiny_args());
  file.networks["G_ema"].tensors["mapping.w_avg"].value = at::full({16}, NAN);
  io::write_network_file(dir.file("n.h5"), file);
  const auto info = file_info(dir.file("n.h5"), true);
  EXPECT_EQ(info["kind"], "network snapshot");
  EXPECT_EQ(info["cfg"], "tiny");
  EXPECT_EQ(info["kimg"], 7);
  const auto& g = info["networks"]["G_ema"];
  EXPECT_EQ(g["class"], kCreps);
  EXPECT_EQ(g["init"]["img_resolution"], 16);
  int64_t elements = 0;
  for (const auto& row : g["tensors"]) {
    int64_t count = 1;
    for (const int64_t side : row["shape"]) count *= side;
    elements += count;
    EXPECT_EQ(row["non_finite"], row["name"] == "mapping.w_avg" ? 16 : 0);
  }
  EXPECT_EQ(elements, g["parameters"].get<int64_t>() + g["buffers"].get<int64_t>());
  damage(dir.file("n.h5"), "G_ema/mapping.fc0.bias", 16 * 4);
  EXPECT_THAT(error_of([&] { file_info(dir.file("n.h5"), false); }), HasSubstr("digest"));
}

TEST(FileInfo, Checkpoint) {
  const TempDir dir;
  const std::string path = dir.file("checkpoint-000000001.h5");
  io::CheckpointContent content;
  at::Tensor values = at::arange(6, at::kFloat);
  values[2] = INFINITY;
  content.arrays = {{"g", values, {{"G/a.weight", {2, 3}, 0}}}};
  content.state = {{"iteration", 12}};
  io::write_checkpoint(path, content, MPI_COMM_SELF);
  EXPECT_TRUE(file_info(path, false)["options"].is_null());
  const std::string options = R"({"cfg": "creps"})";
  io::write_file(dir.file("training_options.json"),
                 std::vector<uint8_t>(options.begin(), options.end()));
  const auto info = file_info(path, true);
  EXPECT_EQ(info["kind"], "checkpoint");
  EXPECT_EQ(info["options"]["cfg"], "creps");
  EXPECT_EQ(info["state"]["iteration"], 12);
  EXPECT_EQ(info["arrays"][0]["shape"][0], 6);
  EXPECT_EQ(info["arrays"][0]["non_finite"], 1);
  ASSERT_EQ(info["tensors"].size(), 1u);
  EXPECT_EQ(info["tensors"][0]["name"], "G/a.weight");
  EXPECT_EQ(info["tensors"][0]["shape"], (std::vector<int64_t>{2, 3}));
  damage(path, "arrays/g", 6 * 4);
  EXPECT_THAT(error_of([&] { file_info(path, true); }), HasSubstr("damaged"));
}

TEST(FileInfo, OthersAndWhatIsUnknown) {
  const TempDir dir;
  io::write_safetensors(dir.file("t"), {{{"G.a", at::ones({2})}}, {{"format", "pt"}}});
  const auto info = file_info(dir.file("t"), false);
  EXPECT_EQ(info["kind"], "safetensors");
  EXPECT_EQ(info["metadata"]["format"], "pt");
  EXPECT_EQ(info["tensors"][0]["name"], "G.a");
  io::write_torch_file(dir.file("t"), {{"a", at::full({3}, NAN)}});
  const auto weights = file_info(dir.file("t"), true);
  EXPECT_EQ(weights["kind"], "PyTorch weights");
  EXPECT_EQ(weights["tensors"][0]["shape"], std::vector<int64_t>{3});
  EXPECT_EQ(weights["tensors"][0]["non_finite"], 3);
  io::write_file(dir.file("t"), std::vector<uint8_t>{0x80, 4, 0x95});
  EXPECT_THAT(error_of([&] { file_info(dir.file("t"), false); }), HasSubstr("/t: "));
  io::write_file(dir.file("t"), std::vector<uint8_t>{'a', 'b'});
  EXPECT_THAT(error_of([&] { file_info(dir.file("t"), false); }), HasSubstr("t: not a kind"));
  auto other = io::H5File::create(dir.file("t"));
  other.write("x", at::zeros({3}));
  other.close();
  EXPECT_THAT(error_of([&] { file_info(dir.file("t"), false); }), HasSubstr("no dataset, network"));
}

TEST(InfoCommand, PrintsTextOrJson) {
  const TempDir dir;
  const std::string path = write_tiny_network(dir.file("n.h5"));
  const Outcome text = run_program(2, "info --verify " + path);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("network snapshot"), HasSubstr("mapping.w_avg"),
                              HasSubstr("all tensors match the digest")));
  const Outcome json = run_program(1, "info --json " + path);
  EXPECT_EQ(nlohmann::json::parse(json.out)["cfg"], "tiny");
  const Outcome missing = run_program(2, "info " + dir.file("none"));
  EXPECT_EQ(missing.code, 2);
  EXPECT_EQ(missing.complaint(), dir.file("none") + ": No such file\n");
}

TEST(ConvertCommand, ARoundTripLosesNothing) {
  const TempDir dir;
  const std::string source = write_tiny_network(dir.file("n.h5"));
  const auto convert = [&](const std::string& from, const std::string& to,
                           const std::string& more = "") {
    return run_program(1, "convert --source=" + from + " --dest=" + to + " " + more);
  };
  const std::string there = dir.file("n.safetensors"), back = dir.file("back.h5");
  ASSERT_EQ(convert(source, there, "--network=G_ema").code, 0);
  ASSERT_EQ(convert(there, back).code, 0);
  const io::NetworkFile a = io::read_network_file(source), b = io::read_network_file(back);
  EXPECT_EQ(b.kimg, a.kimg);
  const io::NetworkRecord &g = a.networks.at("G_ema"), &h = b.networks.at("G_ema");
  EXPECT_EQ(h.class_name, g.class_name);
  EXPECT_EQ(h.init, g.init);
  ASSERT_EQ(h.tensors.size(), g.tensors.size());
  for (const auto& [name, tensor] : g.tensors) {
    EXPECT_TRUE(h.tensors.at(name).value.equal(tensor.value)) << name;
    EXPECT_EQ(h.tensors.at(name).kind, tensor.kind) << name;
  }
  const Outcome again = convert(source, there);
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.complaint(), HasSubstr("n.safetensors: exists already"));
  EXPECT_THAT(convert(source, dir.file("n.txt")).complaint(), HasSubstr("must end in .h5"));
  EXPECT_THAT(convert(source, dir.file("d.h5"), "--network=D").complaint(),
              HasSubstr("has no network D"));
  EXPECT_FALSE(fs::exists(dir.file("d.h5")));
}

TEST(ConvertCommand, PyTorchReadsItsStateDictionary) {
  const std::string python = GALETTE_TEST_DATA "/../.deps/venv/bin/python";
  if (std::system((python + " -c 'import h5py, torch' 2> /dev/null").c_str()) != 0)
    GTEST_SKIP() << "NOT TESTED: no PyTorch in .deps/venv";
  const TempDir dir;
  const std::string source = write_tiny_network(dir.file("n.h5"));
  const Outcome o = run_program(1, "convert --source=" + source + " --dest=" + dir.file("n.pth"));
  ASSERT_EQ(o.code, 0) << o.err;
  ASSERT_EQ(std::system(fmt::format("{} {}/cli/check_state_dict.py {} {} G_ema", python,
                                    GALETTE_TEST_DATA, dir.file("n.pth"), source)
                            .c_str()),
            0);
  EXPECT_THAT(
      run_program(1, "convert --network=all --source=" + source + " --dest=" + dir.file("m.pth"))
          .complaint(),
      HasSubstr("m.pth holds one network"));
}

TEST(ConvertCommand, APublishedPickleMakesTheSameImages) {
  if (std::system("command -v python3 > /dev/null") != 0) GTEST_SKIP() << "NOT TESTED: no python3";
  const TempDir dir;
  for (const char* class_name : {kCreps, kStyleGan2}) {
    const io::NetworkFile file = tiny_network_file(class_name, tiny_args());
    io::write_safetensors(dir.file("n"), io::to_safetensors(file));
    const std::string command = fmt::format("python3 -I -S {}/io/make_pickle.py {} {} 4",
                                            GALETTE_TEST_DATA, dir.file("n"), dir.file("n.pkl"));
    ASSERT_EQ(std::system(command.c_str()), 0);
    const Outcome o = run_program(
        1, "convert --force --source=" + dir.file("n.pkl") + " --dest=" + dir.file("n.h5"));
    ASSERT_EQ(o.code, 0) << o.err;
    const auto info = file_info(dir.file("n.pkl"), true);
    EXPECT_EQ(info["kind"], "published networks");
    const auto& described = info["networks"]["G_ema"];
    EXPECT_EQ(described["class"], class_name);
    EXPECT_EQ(described["tensors"].size(), file.networks.at("G_ema").tensors.size());
    const auto g = load_generator(dir.file("n.h5")),
               original = tiny_generator(class_name, tiny_args());
    const at::Tensor ws = at::ones({1, g->num_ws(), g->w_dim()});
    EXPECT_TRUE(g->synthesize(ws).equal(original->synthesize(ws))) << class_name;
  }
}

}  // namespace
}  // namespace galette::testing
