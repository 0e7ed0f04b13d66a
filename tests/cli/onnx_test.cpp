// SPDX-License-Identifier: Apache-2.0
// CREPS generators as ONNX models: onnxruntime shows the images that Galette shows.
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/onnx_graph.h"
#include "io/hdf5.h"
#include "models/creps.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

using ::testing::HasSubstr;

const std::string kPython = GALETTE_TEST_DATA "/../.deps/venv/bin/python";

bool has_onnxruntime() {
  return std::system((kPython + " -c 'import h5py, onnxruntime' 2> /dev/null").c_str()) == 0;
}

/// Inputs of the model and the image that the generator makes of them.
class Cases {
 public:
  Cases(const std::string& path, const CrepsGenerator& g)
      : file_(io::H5File::create(path)), g_(g) {}

  void add(const std::string& name, double psi, const at::Tensor& rows, const at::Tensor& columns) {
    const at::NoGradGuard no_grad;
    const at::Tensor z = at::arange(2 * g_.z_dim(), at::kFloat).view({2, -1}).sin();
    at::Tensor c;
    if (g_.c_dim() > 0) c = at::eye(g_.c_dim(), at::kFloat).narrow(0, 0, 2);
    file_.create_group(name);
    const at::Tensor ws = g_.broadcast(g_.map(z, c), {.psi = psi});
    write(name, "z", z);
    if (c.defined()) write(name, "c", c);
    if (psi != 1) write(name, "truncation_psi", at::scalar_tensor(psi));
    write(name, "rows", rows);
    write(name, "columns", columns);
    write(name, "image", g_.synthesize_at(ws, rows, columns));
  }
  void close() { file_.close(); }

 private:
  void write(const std::string& group, const std::string& name, const at::Tensor& value) {
    file_.write(group + "/" + name, value);
  }
  io::H5File file_;
  const CrepsGenerator& g_;
};

void expect_same_images(const nlohmann::json& more) {
  if (!has_onnxruntime()) GTEST_SKIP() << "NOT TESTED: no onnxruntime in .deps/venv";
  const TempDir dir;
  const std::string source = write_tiny_network(dir.file("n.h5"), kCreps, more);
  const Outcome o = run_program(1, "convert --source=" + source + " --dest=" + dir.file("n.onnx"));
  ASSERT_EQ(o.code, 0) << o.err;
  const auto g = tiny_generator(kCreps, tiny_args(more));
  const auto& creps = dynamic_cast<const CrepsGenerator&>(*g);
  Cases cases(dir.file("cases.h5"), creps);
  const auto grid = [](int64_t n) { return CrepsGenerator::grid(n, at::kFloat); };
  cases.add("own size", 1, grid(16), grid(16));
  cases.add("larger", 0.7, grid(40), grid(40));
  cases.add("tile", 0.7, grid(40).narrow(0, 5, 9), grid(40).narrow(0, 20, 20));
  cases.close();
  EXPECT_EQ(std::system(fmt::format("{} {}/cli/check_onnx.py {} {}", kPython, GALETTE_TEST_DATA,
                                    dir.file("n.onnx"), dir.file("cases.h5"))
                            .c_str()),
            0);
}

TEST(Onnx, ShowsTheSameImages) {
  expect_same_images(nlohmann::json::object());
}

TEST(Onnx, ShowsTheSameImagesOfClassesWithoutClamps) {
  expect_same_images({{"c_dim", 3}, {"fc_clamp", nullptr}, {"img_channels", 1}});
}

TEST(Onnx, OtherNetworksAreRefused) {
  const TempDir dir;
  const std::string source = write_tiny_network(dir.file("n.h5"), kStyleGan2);
  const Outcome o = run_program(1, "convert --source=" + source + " --dest=" + dir.file("n.onnx"));
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.complaint(), HasSubstr("only CREPS generators can be written as ONNX"));
  EXPECT_FALSE(std::filesystem::exists(dir.file("n.onnx")));
}

TEST(Onnx, ModelsOverTwoGigabytesAreRefused) {
  OnnxGraph graph;
  const at::Tensor large = at::zeros({1}).expand({600'000'000});  // takes no memory
  EXPECT_THAT(error_of([&] {
                graph.constant("a", at::zeros({8}));
                graph.constant("b", large);
              }),
              HasSubstr("more than 2 GB"));
}

}  // namespace
}  // namespace galette::testing
