// SPDX-License-Identifier: Apache-2.0
// PyTorch's weight files: what Python's pickle and LibTorch write is read exactly, and hostile or
// broken files end in one line.
#include "io/torch_file.h"

#include <cstdlib>
#include <filesystem>

#include <torch/csrc/jit/api/module.h>

#include "io/checksum.h"
#include "io/safetensors.h"
#include "io/weight_file.h"
#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;
using ::testing::HasSubstr;
using namespace std::string_literals;

class TorchFile : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v python3 > /dev/null") != 0)
      GTEST_SKIP() << "NOT TESTED: no python3";
    ASSERT_EQ(std::system(fmt::format("python3 -I -S {}/io/make_weights.py {}", GALETTE_TEST_DATA,
                                      dir_.path())
                              .c_str()),
              0);
  }
  std::string refusal(const std::string& name) {
    const std::string message = input_error([&] { read_weights(dir_.file(name)); });
    EXPECT_THAT(message, HasSubstr(name + ": "));
    EXPECT_FALSE(std::filesystem::exists(dir_.file("trap"))) << "the pickle was executed";
    return message;
  }

  TempDir dir_;
};

TEST_F(TorchFile, LegacyStreamsAndArchivesAreReadExactly) {
  for (const char* name : {"legacy.pth", "zip.pth", "pairs.pth"}) {
    const auto tensors = read_weights(dir_.file(name));
    ASSERT_EQ(tensors.size(), 4u) << name;
    const at::Tensor weight = at::tensor({1, 3, 5, 2, 4, 6}, at::kFloat).view({2, 3});
    EXPECT_TRUE(tensors.at("a.weight").equal(weight)) << tensors.at("a.weight");
    EXPECT_TRUE(tensors.at("a.weight").is_contiguous());
    EXPECT_TRUE(tensors.at("a.bias").equal(at::tensor({7, 8, 9}, at::kFloat)));
    EXPECT_TRUE(tensors.at("b.weight").equal(at::tensor({0.5, -2.0}, at::kFloat).to(at::kHalf)));
    EXPECT_TRUE(tensors.at("b.count").equal(at::scalar_tensor(7, at::kLong)));
  }
}

TEST_F(TorchFile, HostileFilesAreRefused) {
  EXPECT_THAT(refusal("call.pth"), HasSubstr("it names posix.system"));
  EXPECT_THAT(refusal("call_script.pth"), HasSubstr("it names posix.system"));
  EXPECT_THAT(refusal("call_legacy.pth"), HasSubstr("it names posix.system"));
  EXPECT_THAT(refusal("packed.pth"), HasSubstr("it is compressed"));
  EXPECT_THAT(refusal("short.pth"), HasSubstr("bytes where"));
  EXPECT_THAT(refusal("missing.pth"), HasSubstr("lacks the data"));
  EXPECT_THAT(refusal("huge_legacy.pth"), HasSubstr("ends too early"));
  EXPECT_THAT(refusal("huge.pth"), HasSubstr("bytes where"));
  EXPECT_THAT(refusal("beyond.pth"), HasSubstr("does not lie within its storage"));
}

TEST_F(TorchFile, OtherFilesAreRefused) {
  write_file(dir_.file("text.pth"), to_bytes("not weights"));
  EXPECT_THAT(refusal("text.pth"), HasSubstr("no file of weights"));
  write_file(dir_.file("other.pkl"), to_bytes("\x80\x04}."));
  EXPECT_THAT(refusal("other.pkl"), HasSubstr("no file of PyTorch's weights"));
  EXPECT_THAT(refusal("none.pth"), HasSubstr("No such file"));
}

TEST_F(TorchFile, ChangedFilesNeverCrash) {
  uint32_t random = 12345;
  const auto next = [&] { return random = random * 1664525 + 1013904223; };
  for (const char* name : {"legacy.pth", "zip.pth"}) {
    const Bytes whole = read_file(dir_.file(name));
    for (int round = 0; round < 400; ++round) {
      Bytes changed = whole;
      for (int i = 0; i < 1 + round % 4; ++i)
        changed[next() % changed.size()] = uint8_t(next() >> 24);
      if (round % 8 == 0) changed.resize(next() % changed.size());
      write_file(dir_.file("c.pth"), changed);
      try {
        read_weights(dir_.file("c.pth"));
      } catch (const InputError&) {
        // The usual end; a change of a tensor's numbers in the legacy stream passes.
      }
    }
  }
}

TEST(TorchScript, ModulesAreReadByTheirAttributes) {
  const TempDir dir;
  torch::jit::Module inner("Inner"), outer("Outer");
  inner.register_parameter("weight", at::arange(6, at::kFloat).view({2, 3}).t(), false);
  inner.define("def forward(self, x):\n    return x @ self.weight\n");
  outer.register_buffer("lpips0", at::ones({4, 1, 1}));
  outer.register_attribute("size", c10::IntType::get(), 5);
  outer.register_attribute("names", c10::ListType::ofStrings(), c10::List<std::string>({"a", "b"}));
  outer.register_module("layers", inner);
  outer.define("def forward(self, x):\n    return self.layers.forward(x)\n");
  outer.save(dir.file("m.pt"));
  const auto tensors = read_weights(dir.file("m.pt"));
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_TRUE(tensors.at("layers.weight").equal(at::arange(6, at::kFloat).view({2, 3}).t()));
  EXPECT_TRUE(tensors.at("lpips0").equal(at::ones({4, 1, 1})));
}

TEST(WeightFile, SafetensorsAndDigest) {
  const TempDir dir;
  write_safetensors(dir.file("w"), {{{"a", at::ones({2})}}, {}});
  EXPECT_TRUE(read_weights(dir.file("w")).at("a").equal(at::ones({2})));
  const std::string digest = file_digest(dir.file("w"));
  const Bytes bytes = read_file(dir.file("w"));
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  EXPECT_EQ(digest, hash.hex_digest());
}

}  // namespace
}  // namespace galette::io
