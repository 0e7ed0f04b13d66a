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
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

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

  void make(int protocol) {
    write_safetensors(dir_.file("n"), to_safetensors(sample_file()));
    ASSERT_EQ(python(fmt::format("{}/io/make_pickle.py {} {} {}", GALETTE_TEST_DATA, dir_.file("n"),
                                 pickle_, protocol)),
              0);
  }
  static int python(const std::string& arguments) {
    return std::system(("python3 " + arguments).c_str());
  }
  /// Lets Python evaluate an expression whose bytes become the pickle.
  std::string refusal_of(const std::string& expression) {
    write_file(dir_.file("make.py"), to_bytes("import os, pickle, struct, sys\n"
                                              "class Call:\n"
                                              "    def __init__(self, *call): self.call = call\n"
                                              "    def __reduce__(self): return self.call\n"
                                              "TRAP = sys.argv[2]\n"
                                              "open(sys.argv[1], 'wb').write(" +
                                              expression + ")\n"));
    EXPECT_EQ(python(fmt::format("{} {} {}", dir_.file("make.py"), pickle_, trap_)), 0);
    return refusal();
  }
  std::string refusal() {
    const std::string message = input_error([&] { read_pickled_networks(pickle_); });
    EXPECT_THAT(message, HasSubstr("n.pkl: "));
    EXPECT_FALSE(std::filesystem::exists(trap_)) << "the pickle was executed";
    return message;
  }

  TempDir dir_;
  std::string pickle_ = dir_.file("n.pkl");
  std::string trap_ = dir_.file("trap");
};

TEST_F(PickledNetworks, AreReadExactlyInEveryProtocol) {
  for (const int protocol : {2, 3, 4, 5}) {
    make(protocol);
    const NetworkFile read = read_pickled_networks(pickle_);
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
  for (const char* protocol : {"2", "4"}) {
    const auto dumped = [&](const std::string& call) {
      return refusal_of(
          fmt::format("pickle.dumps({{'G': Call({})}}, protocol={})", call, protocol));
    };
    EXPECT_THAT(dumped("os.system, ('touch ' + TRAP,)"), HasSubstr("it names posix.system"));
    EXPECT_THAT(dumped("eval, ('open(TRAP, \"w\")',)"), HasSubstr(".eval"));
    EXPECT_THAT(dumped("getattr, (1, 'real')"), HasSubstr(".getattr"));
  }
  EXPECT_THAT(refusal_of("b'\\x80\\x02cos\\nsystem\\nX\\x02\\0\\0\\0ls\\x85R.'"),
              HasSubstr("it names os.system"));
  EXPECT_THAT(refusal_of("b'\\x80\\x02ctorch\\nload\\n)R.'"), HasSubstr("it names torch.load"));
  EXPECT_THAT(refusal_of("b'\\x80\\x02c_imported_module_1\\nSystem\\n)R.'"), HasSubstr("it names"));
}

TEST_F(PickledNetworks, OtherOpcodesAreRefused) {
  // INST, OBJ, EXT1, PERSID, BINPERSID, NEXT_BUFFER, BYTEARRAY8, text forms, an old protocol.
  for (const char* body :
       {"(ios\\nsystem\\n.", "(cos\\nsystem\\no.", "\\x82\\x01.", "Pabc\\n.", "NQ.", "\\x97.",
        "\\x96\\0\\0\\0\\0\\0\\0\\0\\0.", "I01\\n.", "S'a'\\n.", "L1L\\n.", "\\x80\\x07N."}) {
    EXPECT_THAT(refusal_of(fmt::format("b'\\x80\\x04' + b\"{}\"", body)), HasSubstr("refused"))
        << body;
  }
}

TEST_F(PickledNetworks, LengthsThatLieCostNothing) {
  for (const char* body :
       {"X\\xff\\xff\\xff\\xff.", "\\x8d\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x7f.",
        "\\x8e\\0\\0\\0\\0\\0\\0\\0\\x40.", "\\x8b\\xff\\xff\\xff\\xff.", "\\x8aZ.",
        "\\x95\\0\\0\\0\\0\\0\\1\\0\\0.", "B\\xff\\xff\\xff\\x7f.", ""}) {
    EXPECT_THAT(refusal_of(fmt::format("b'\\x80\\x04' + b\"{}\"", body)), HasSubstr("too early"))
        << body;
  }
  for (const char* body :
       {".", "0.", "a.", "(.", "h\\7.", "}NNs.", "]Na1.", "t.", "}(Nu.", "NNb.", "N)R.", "NR."}) {
    EXPECT_THAT(refusal_of(fmt::format("b'\\x80\\x04' + b\"{}\"", body)),
                AnyOf(HasSubstr("not a valid pickle"), HasSubstr("without networks")))
        << body;
  }
}

TEST_F(PickledNetworks, BombsEndEarly) {
  // Lists of twice the list before, 60 times: 2^60 values for who walks them.
  const std::string state = "{'_init_args': (), '_init_kwargs': {'a': bomb}, '_modules': {}}";
  const std::string meta =
      "dict(type='class', version=6, module_src='', class_name='G', state=" + state + ")";
  const std::string prelude =
      "(lambda: (exec('import types; m = types.ModuleType(\"torch_utils.persistence\")\\n"
      "sys.modules[\"torch_utils\"] = types.ModuleType(\"torch_utils\"); "
      "sys.modules[\"torch_utils.persistence\"] = m\\n"
      "def _reconstruct_persistent_obj(meta): pass\\n"
      "_reconstruct_persistent_obj.__module__ = \"torch_utils.persistence\"\\n"
      "m._reconstruct_persistent_obj = _reconstruct_persistent_obj\\n"
      "bomb = []\\n"
      "for i in range(60): bomb = [bomb, bomb]\\n', globals()), ";
  EXPECT_THAT(refusal_of(prelude + "pickle.dumps({'G': Call(_reconstruct_persistent_obj, (" + meta +
                         ",))}, protocol=4))[1])()"),
              HasSubstr("nested too deeply"));
  // A million containers inside each other.
  EXPECT_THAT(refusal_of("b'\\x80\\x04' + b']' * 10**6 + b'a' * (10**6 - 1) + b'.'"),
              HasSubstr("without networks"));
}

TEST_F(PickledNetworks, CutFilesAreDamaged) {
  make(4);
  const Bytes whole = read_file(pickle_);
  for (size_t size = 0; size < whole.size(); size += 1 + whole.size() / 150) {
    write_file(pickle_, Bytes(whole.begin(), whole.begin() + int64_t(size)));
    EXPECT_THROW(read_pickled_networks(pickle_), DamagedFile) << size << " bytes";
  }
}

TEST_F(PickledNetworks, ChangedFilesNeverCrash) {
  make(2);
  const Bytes whole = read_file(pickle_);
  uint32_t random = 12345;
  const auto next = [&] { return random = random * 1664525 + 1013904223; };
  for (int round = 0; round < 400; ++round) {
    Bytes changed = whole;
    for (int i = 0; i < 1 + round % 4; ++i)
      changed[next() % changed.size()] = uint8_t(next() >> 24);
    write_file(pickle_, changed);
    try {
      read_pickled_networks(pickle_);
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
  const int64_t huge = int64_t{1} << 62;
  EXPECT_THROW(view(1, {6}, {1}), DamagedFile);
  EXPECT_THROW(view(-1, {2}, {1}), DamagedFile);
  EXPECT_THROW(view(5, {2}, {-1}), DamagedFile);
  EXPECT_THROW(view(0, {-2}, {1}), DamagedFile);
  EXPECT_THROW(view(0, {2}, {1, 1}), DamagedFile);
  EXPECT_THROW(view(0, {100}, {0}), DamagedFile) << "more elements than there are";
  EXPECT_THROW(view(0, {huge, 4}, {0, 0}), DamagedFile);
  EXPECT_THROW(view(0, {3, 3}, {huge, huge}), DamagedFile);
  EXPECT_THROW(view(INT64_MAX, {2}, {1}), DamagedFile);
}

}  // namespace
}  // namespace galette::io
