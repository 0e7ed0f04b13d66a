// SPDX-License-Identifier: Apache-2.0
// An optimiser whose work the ranks share does what one rank does alone, to the bit when the
// gradients are the same, and leaves the same checkpoint.
#include <gtest/gtest.h>

#include "io/checkpoint.h"
#include "parallel/gradient_reducer.h"
#include "parallel/mpi_communicator.h"
#include "tests/support/temp_dir.h"
#include "training/adam.h"

namespace galette {
namespace {

// More than three blocks of a checkpoint, and not a multiple of any number of ranks.
const std::vector<int64_t> kSizes{5, 250'000, 150'002};
constexpr int64_t kTotal = 400'007;
constexpr int64_t kBucketBytes = 500'000;

class Optimised {
 public:
  explicit Optimised(const OptimizerShare& share = {}) {
    for (size_t i = 0; i < kSizes.size(); ++i) {
      arena_.add_parameter("p" + std::string(1, static_cast<char>('0' + i)), {kSizes[i]},
                           Init::constant(1));
    }
    arena_.allocate();
    arena_.initialize(SampleRng(0), 1);
    arena_.enable_gradients();
    adam_.emplace(arena_, AdamConfig{.lr = 0.1}, share);
  }

  /// A step of all parameters but the first one in every second step; returns how many gradients
  /// were not finite.
  int64_t step(int number) {
    arena_.flat_gradients().copy_(
        (at::arange(kTotal, at::kDouble) + number).mul(0.001).sin().mul_(number));
    if (number == 3) arena_.flat_gradients().slice(0, 0, kTotal, 1000).fill_(INFINITY);
    arena_.reached().fill_(1);
    arena_.reached()[0] = number % 2;
    return adam_->step(0.5).item<int64_t>();
  }

  at::Tensor parameters() const { return arena_.flat_parameters(); }
  Adam& adam() { return *adam_; }

 private:
  ParameterArena arena_{at::kDouble};
  std::optional<Adam> adam_;
};

class SharedOptimizerRanks : public ::testing::Test {
 protected:
  SharedOptimizerRanks() {
    for (int number = 1; number <= 4; ++number) {
      const int64_t bad = alone_.step(number);
      EXPECT_EQ(comm_.sum(static_cast<double>(shared_.step(number))), bad);
      EXPECT_EQ(bad > 0, number == 3);
      gather_pieces(shared_.adam().plan(), shared_.parameters(), comm_);
    }
  }

  /// Of which only what this rank writes is defined.
  at::Tensor written(io::CheckpointWriter writer) {
    const at::Tensor whole = at::full({kTotal}, 7, at::kDouble);
    const at::Tensor part = io::written_share(whole, writer, comm_.handle());
    shared_.adam().gather_second_moment({part.storage_offset(), part.numel()}, whole, comm_);
    return whole;
  }

  MpiCommunicator comm_{MPI_COMM_WORLD};
  Optimised alone_, shared_{{comm_.rank(), comm_.size(), kBucketBytes}};
};

TEST_F(SharedOptimizerRanks, StepsAsOneRankDoes) {
  EXPECT_TRUE(at::equal(shared_.parameters(), alone_.parameters()));
  EXPECT_TRUE(at::equal(shared_.adam().step_counts(), alone_.adam().step_counts()));
}

TEST_F(SharedOptimizerRanks, KeepsItsShareAlone) {
  const int64_t size = shared_.adam().second_moment().numel();
  EXPECT_EQ(comm_.sum(static_cast<double>(size)), kTotal);
  EXPECT_LE(size, kTotal / comm_.size() + comm_.size());
}

TEST_F(SharedOptimizerRanks, GathersAnyRange) {
  for (const FlatRange& range : {FlatRange{0, kTotal}, {0, 0}, {100'000, 200'000}, {400'000, 7}}) {
    const at::Tensor whole = at::full({kTotal}, -1, at::kDouble);
    shared_.adam().gather_second_moment(range, whole, comm_);
    EXPECT_TRUE(at::equal(whole.narrow(0, range.begin, range.size),
                          alone_.adam().second_moment().narrow(0, range.begin, range.size)));
  }
}

TEST_F(SharedOptimizerRanks, LeavesTheSameCheckpoint) {
  const testing::TempDir folder(MPI_COMM_WORLD);
  for (const auto writer : {io::CheckpointWriter::collective, io::CheckpointWriter::rank0}) {
    io::write_checkpoint(folder.file("c.h5"), {{{"moment", written(writer), {}}}, {}},
                         comm_.handle(), writer);
    io::CheckpointContent read{{{"moment", at::zeros({kTotal}, at::kDouble), {}}}, {}};
    io::read_checkpoint(folder.file("c.h5"), read, comm_.handle());
    EXPECT_TRUE(at::equal(read.arrays[0].values, alone_.adam().second_moment()));
    Optimised other({comm_.rank(), comm_.size(), kBucketBytes});
    other.adam().take_second_moment(read.arrays[0].values);
    EXPECT_TRUE(at::equal(other.adam().second_moment(), shared_.adam().second_moment()));
  }
}

}  // namespace
}  // namespace galette
