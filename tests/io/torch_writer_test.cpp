// SPDX-License-Identifier: Apache-2.0
// State dictionaries come back as they were written. That PyTorch reads them is tested with
// `galette convert`.
#include "io/torch_writer.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/torch_file.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

TEST(TorchWriter, EveryTypeAndShapeComesBack) {
  const TempDir dir;
  std::map<std::string, at::Tensor> tensors{
      {"number", at::scalar_tensor(2.5)},
      {"nothing", at::zeros({0, 3})},
      {"across", at::arange(6, at::kFloat).view({2, 3}).t()},
      {"a.b.long name", at::arange(1000, at::kFloat)},
  };
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                                    at::kInt, at::kShort, at::kChar, at::kByte, at::kBool})
    tensors[c10::toString(type)] = at::arange(5).to(type);
  io::write_torch_file(dir.file("t.pth"), tensors);
  const auto back = io::read_torch_file(dir.file("t.pth"));
  ASSERT_EQ(back.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(back.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(back.at(name).equal(tensor)) << name;
  }
}

TEST(TorchWriter, WhatCannotBeWrittenIsNamed) {
  const TempDir dir;
  const auto message = [](const std::string& path, const at::Tensor& value) -> std::string {
    try {
      io::write_torch_file(path, {{"odd", value}});
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message(dir.file("t.pth"), at::zeros({1}, at::kComplexFloat)),
              ::testing::HasSubstr("tensor odd has type ComplexFloat"));
  EXPECT_THAT(message(dir.file("none/t.pth"), at::zeros({1})),
              ::testing::HasSubstr("none/t.pth.tmp: cannot be written"));
  EXPECT_FALSE(std::filesystem::exists(dir.file("t.pth")));
}

}  // namespace
}  // namespace galette::testing
