// SPDX-License-Identifier: Apache-2.0
// Published pickles: those of the right structure are read exactly, and hostile ones are refused in
// one line, before anything happens.
#include "io/pickled_networks.h"

#include <cstdlib>
#include <filesystem>

#include "io/network_exchange.h"
#include "io/pickle_machine.h"
#include "io/pickle_tensors.h"
#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using namespace std::string_literals;

NetworkFile sample_file() {
  NetworkFile file;
  NetworkRecord& g = file.networks["G_ema"];
  g.class_name = "training.networks_creps.Generator";
  g.init = {{"z_dim", 512},
            {"fc_clamp", nullptr},
            {"mapping_kwargs", {{"num_layers", 2}}},
            {"gain", 0.25}};
  g.tensors = {
      {"synthesis.b4.fc1.weight", {at::arange(12, at::kFloat).view({3, 4}), TensorKind::param}},
      {"synthesis.b4.input.freqs", {at::arange(5, at::kFloat).view({1, 5}), TensorKind::buffer}},
      {"synthesis.decoder_8.0.weight", {at::ones({2, 2, 1, 1}), TensorKind::param}},
      {"mapping.w_avg", {at::full({5}, 0.1f), TensorKind::buffer}},
      {"synthesis.magnitude_ema", {at::full({}, 2.0f), TensorKind::buffer}}};
  file.networks["D"] = {"training.networks_stylegan2.Discriminator",
                        {{"block_kwargs", {{"freeze_layers", 0}}}},
                        {{"b4.out.bias", {at::ones({1}), TensorKind::param}}}};
  return file;
}

class PickledNetworks : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v python3 > /dev/null") != 0)
      GTEST_SKIP() << "NOT TESTED: no python3";
  }

  /// n2.pkl and n4.pkl, by the protocol.
  void make() {
    write_safetensors(dir_.file("n"), to_safetensors(sample_file()));
    ASSERT_EQ(python(fmt::format("{0}/io/make_pickle.py {1}/n {1}/n2.pkl 2 {1}/n4.pkl 4",
                                 GALETTE_TEST_DATA, dir_.path())),
              0);
  }
  static int python(const std::string& arguments) {
    return std::system(("python3 -I -S " + arguments).c_str());
  }
  /// What is said of the pickles that Python makes of expressions; all in one start of Python.
  std::vector<std::string> refusals_of(const std::vector<std::string>& expressions) {
    std::string script = R"(
import os, pickle, sys, types
class Call:
    def __init__(self, *call): self.call = call
    def __reduce__(self): return self.call
sys.modules["torch_utils"] = types.ModuleType("torch_utils")
module = sys.modules["torch_utils.persistence"] = types.ModuleType("torch_utils.persistence")
def _reconstruct_persistent_obj(meta): pass
_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
module._reconstruct_persistent_obj = _reconstruct_persistent_obj
bomb = []
for i in range(60): bomb = [bomb, bomb]
FOLDER, TRAP = sys.argv[1:]
)";
    for (size_t i = 0; i < expressions.size(); ++i)
      script += fmt::format("open(FOLDER + '/{}.pkl', 'wb').write({})\n", i, expressions[i]);
    write_file(dir_.file("make.py"), to_bytes(script));
    EXPECT_EQ(python(fmt::format("{} {} {}", dir_.file("make.py"), dir_.path(), trap_)), 0);
    std::vector<std::string> messages;
    for (size_t i = 0; i < expressions.size(); ++i)
      messages.push_back(refusal(dir_.file(std::to_string(i) + ".pkl")));
    return messages;
  }
  std::string refusal_of(const std::string& bytes) {
    write_file(dir_.file("b.pkl"), to_bytes("\x80\x04" + bytes));
    return refusal(dir_.file("b.pkl"));
  }
  std::string refusal(const std::string& path) {
    const std::string message = input_error([&] { read_pickled_networks(path); });
    EXPECT_THAT(message, HasSubstr(".pkl: "));
    EXPECT_FALSE(std::filesystem::exists(trap_)) << "the pickle was executed";
    return message;
  }

  TempDir dir_;
  std::string trap_ = dir_.file("trap");
};

TEST_F(PickledNetworks, AreReadExactly) {
  make();
  for (const char* name : {"n2.pkl", "n4.pkl"}) {
    const NetworkFile read = read_pickled_networks(dir_.file(name));
    EXPECT_EQ(read.cfg, "creps");
    EXPECT_EQ(read.dataset, "ffhq256");
    EXPECT_EQ(read.options["training_set_kwargs"]["use_labels"], false);
    const NetworkFile expected = sample_file();
    ASSERT_EQ(read.networks.size(), expected.networks.size());
    for (const auto& [network, record] : expected.networks) {
      const NetworkRecord& other = read.networks.at(network);
      EXPECT_EQ(other.class_name, record.class_name);
      EXPECT_EQ(other.init, record.init);
      ASSERT_EQ(other.tensors.size(), record.tensors.size());
      for (const auto& [name, tensor] : record.tensors) {
        EXPECT_TRUE(other.tensors.at(name).value.equal(tensor.value)) << name;
        EXPECT_TRUE(other.tensors.at(name).value.is_contiguous()) << name;
        EXPECT_EQ(other.tensors.at(name).kind, tensor.kind) << name;
      }
    }
  }
}

TEST_F(PickledNetworks, CallsAreRefusedByName) {
  std::vector<std::string> expressions;
  for (const char* protocol : {"2", "4"})
    for (const char* call :
         {"os.system, ('touch ' + TRAP,)", "eval, ('open(TRAP, \"w\")',)", "getattr, (1, 'real')"})
      expressions.push_back(
          fmt::format("pickle.dumps({{'G': Call({})}}, protocol={})", call, protocol));
  const auto messages = refusals_of(expressions);
  for (const size_t first : {0, 3}) {
    EXPECT_THAT(messages[first], HasSubstr("it names posix.system"));
    EXPECT_THAT(messages[first + 1], HasSubstr(".eval"));
    EXPECT_THAT(messages[first + 2], HasSubstr(".getattr"));
  }
  EXPECT_THAT(refusal_of("cos\nsystem\nX\x02\0\0\0ls\x85R."s), HasSubstr("it names os.system"));
  EXPECT_THAT(refusal_of("ctorch\nload\n)R."), HasSubstr("it names torch.load"));
  EXPECT_THAT(refusal_of("c_imported_module_1\nSystem\n)R."), HasSubstr("it names"));
}

TEST_F(PickledNetworks, OtherOpcodesAreRefused) {
  // INST, OBJ, EXT1, PERSID, BINPERSID, NEXT_BUFFER, BYTEARRAY8, text forms, another protocol.
  for (const std::string& bytes :
       {"(ios\nsystem\n."s, "(cos\nsystem\no."s, "\x82\x01."s, "Pabc\n."s, "NQ."s, "\x97."s,
        "\x96\0\0\0\0\0\0\0\0."s, "I01\n."s, "S'a'\n."s, "L1L\n."s, "\x80\x07N."s})
    EXPECT_THAT(refusal_of(bytes), HasSubstr("refused"));
}

TEST_F(PickledNetworks, LengthsThatLieCostNothing) {
  for (const std::string& bytes :
       {"X\xff\xff\xff\xff."s, "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f."s, "\x8e\0\0\0\0\0\0\0\x40."s,
        "\x8b\xff\xff\xff\xff."s, "\x8aZ."s, "\x95\0\0\0\0\0\1\0\0."s, "B\xff\xff\xff\x7f."s, ""s})
    EXPECT_THAT(refusal_of(bytes), HasSubstr("too early"));
  for (const char* bytes :
       {".", "0.", "a.", "(.", "h\7.", "}NNs.", "]Na1.", "t.", "}(Nu.", "NNb.", "N)R.", "NR."})
    EXPECT_THAT(refusal_of(bytes),
                AnyOf(HasSubstr("not a valid pickle"), HasSubstr("without networks")))
        << bytes;
}

TEST_F(PickledNetworks, BombsEndEarly) {
  // `bomb` is a list of twice the list before, 60 times: 2^60 values for who walks them.
  EXPECT_THAT(
      refusals_of({"pickle.dumps({'G': Call(_reconstruct_persistent_obj, (dict(type='class', "
                   "version=6, module_src='', class_name='G', state={'_init_args': (), "
                   "'_init_kwargs': {'a': bomb}, '_modules': {}}),))}, protocol=4)"})[0],
      HasSubstr("nested too deeply"));
  // Containers inside each other, and an object that is its own state.
  constexpr size_t kDeep = 1'000'000;
  EXPECT_THAT(refusal_of(std::string(kDeep, ']') + std::string(kDeep - 1, 'a') + "."),
              HasSubstr("without networks"));
  EXPECT_THAT(refusal_of("}X\1\0\0\0Gctorch\ndevice\n)Rq\0h\0bs."s), HasSubstr("was built with"));
  EXPECT_THAT(refusal_of(std::string(3 * kDeep, 'N') + "."), HasSubstr("more than 2000000 values"));
}

TEST_F(PickledNetworks, CutFilesAreDamaged) {
  make();
  const Bytes whole = read_file(dir_.file("n4.pkl"));
  for (size_t size = 0; size < whole.size(); size += 1 + whole.size() / 150) {
    write_file(dir_.file("n.pkl"), Bytes(whole.begin(), whole.begin() + int64_t(size)));
    EXPECT_THROW(read_pickled_networks(dir_.file("n.pkl")), DamagedFile) << size << " bytes";
  }
}

TEST_F(PickledNetworks, ChangedFilesNeverCrash) {
  make();
  const Bytes whole = read_file(dir_.file("n2.pkl"));
  uint32_t random = 12345;
  const auto next = [&] { return random = random * 1664525 + 1013904223; };
  for (int round = 0; round < 400; ++round) {
    Bytes changed = whole;
    for (int i = 0; i < 1 + round % 4; ++i)
      changed[next() % changed.size()] = uint8_t(next() >> 24);
    write_file(dir_.file("n.pkl"), changed);
    try {
      read_pickled_networks(dir_.file("n.pkl"));
    } catch (const InputError&) {
      // The usual end; a change of a tensor's numbers passes.
    }
  }
}

TEST(PickleTensors, ViewsMustLieWithinTheirStorage) {
  PickleArena arena("f");
  const auto number = [&](int64_t value) {
    PickleValue* v = arena.make(PickleValue::Kind::integer);
    v->integer = value;
    return v;
  };
  const auto tuple = [&](const std::vector<int64_t>& values) {
    PickleValue* v = arena.make(PickleValue::Kind::tuple);
    for (const int64_t value : values) v->items.push_back(number(value));
    return v;
  };
  PickleValue* storage = arena.make(PickleValue::Kind::storage);
  storage->tensor = at::arange(6, at::kFloat);
  const auto view = [&](int64_t offset, const std::vector<int64_t>& shape,
                        const std::vector<int64_t>& strides) {
    PickleValue arguments;
    arguments.items = {storage, number(offset), tuple(shape), tuple(strides)};
    return rebuild_tensor(arguments, arena, "f")->tensor;
  };
  EXPECT_TRUE(view(1, {2, 2}, {1, 2}).equal(at::tensor({1, 3, 2, 4}, at::kFloat).view({2, 2})));
  EXPECT_EQ(view(0, {}, {}).item<float>(), 0);
  EXPECT_EQ(view(0, {0, 3}, {3, 1}).numel(), 0);
  EXPECT_EQ(view(6, {0, 300}, {300, 1}).numel(), 0);
  const int64_t huge = int64_t{1} << 62;
  EXPECT_THROW(view(1, {6}, {1}), DamagedFile);
  EXPECT_THROW(view(-1, {2}, {1}), DamagedFile);
  EXPECT_THROW(view(5, {2}, {-1}), DamagedFile);
  EXPECT_THROW(view(0, {-2}, {1}), DamagedFile);
  EXPECT_THROW(view(0, {2}, {1, 1}), DamagedFile);
  EXPECT_THROW(view(0, {100}, {0}), DamagedFile) << "more elements than there are";
  EXPECT_THROW(view(0, {huge, 4}, {0, 0}), DamagedFile);
  EXPECT_THROW(view(0, {0, huge, 4}, {0, 0, 0}), DamagedFile);
  EXPECT_THROW(view(0, {3, 3}, {huge, huge}), DamagedFile);
  EXPECT_THROW(view(INT64_MAX, {2}, {1}), DamagedFile);
}

}  // namespace
}  // namespace galette::io
