// SPDX-License-Identifier: Apache-2.0
#include "training/trainer.h"

#include <numeric>

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "io/check.h"
#include "io/together.h"
#include "training/network_snapshot.h"
#include "training/train_networks.h"

namespace galette {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A tick is 4 kimg by default: too long to keep what a rank reads ahead in memory.
constexpr int64_t kBatchesAheadPerWorker = 2;

BatchPlan batch_plan(const TrainOptions& o, const Communicator& comm) {
  return {o.batch, comm.size(), comm.rank(), *o.batch_gpu};
}

}  // namespace

Trainer::Trainer(const TrainOptions& options, const io::Dataset& data, const RunDirectory& run,
                 MpiCommunicator& comm, const PreemptionSignals& signals)
    : options_(options),
      data_(data),
      run_(run),
      comm_(comm),
      signals_(signals),
      draws_(SampleRng(static_cast<uint64_t>(options.seed)), tensor_options(options)),
      plan_(batch_plan(options, comm)),
      state_(make_train_state(options, data.info().resolution, data.info().channels,
                              data.label_dim())),
      losses_(loss_config(options)),
      phases_(state_, losses_, plan_, comm_, draws_, fake_labels(), statistics_),
      grid_(data, draws_, *state_.g_ema),
      sampler_(SampleRng(static_cast<uint64_t>(options.seed)), data.size()) {
  ema_.half_life_kimg = 10.0 * static_cast<double>(options.batch) / 32;
  // A transferred network is a good average from the first iteration on.
  if (options.resume != "none") ema_.ramp_up.reset();
}

PhaseRunner::FakeLabels Trainer::fake_labels() const {
  return [this](Phase phase, int64_t iteration, const std::vector<int64_t>& samples) {
    std::vector<int64_t> items;
    for (const int64_t g : samples) {
      items.push_back(draws_.label_item(phase, iteration, g, data_.size()));
    }
    return data_.labels(items);
  };
}

int Trainer::run() {
  start();
  while (!finished()) {
    iterate();
    if (tick_is_over()) end_tick();
    const Verdict verdict = agree();
    if (verdict.checkpoint || verdict.stop || finished()) save_checkpoint();
    if (verdict.stop && !finished()) {
      log::info("Stopped after {} iterations, as asked; the same command goes on from here.",
                state_.iteration);
      return kExitSavedGoOn;
    }
  }
  progress_.reset();
  log::info("Done: {:.1f} kimg in {}.", static_cast<double>(state_.images) / 1000, run_.path());
  return kExitDone;
}

void Trainer::start() {
  const bool continued = go_on_from_checkpoint();
  start_ = last_checkpoint_ = Clock::now();
  if (!continued) {
    if (options_.resume != "none") transfer_networks(options_.resume, state_, comm_.handle());
    log_network(*state_.g);
    log_network(*state_.d);
    if (comm_.rank() == 0) grid_.write_reals(run_.file("reals.png"));
    grid_.write_fakes(run_.file("fakes_init.png"), *state_.g_ema, comm_, plan_.micro);
  }
  log_.emplace(run_.file("stats.jsonl"), state_, seconds(), 1000 * options_.kimg,
               comm_.rank() == 0);
  start_prefetcher();
  progress_.emplace("train", static_cast<double>(options_.kimg), "kimg");
  log::info("Training for {} kimg...", options_.kimg);
}

void Trainer::start_prefetcher() {
  const int64_t ahead = kBatchesAheadPerWorker * options_.workers;
  prefetcher_.emplace(
      data_, [this](int64_t iteration) { return items_of(iteration); }, state_.iteration,
      static_cast<int>(options_.workers), static_cast<int>(ahead));
}

std::vector<int64_t> Trainer::items_of(int64_t iteration) {
  std::vector<int64_t> items(static_cast<size_t>(plan_.local()));
  sampler_.seek(iteration * plan_.batch + plan_.rank * plan_.local());
  for (int64_t& item : items) item = sampler_.next();
  return items;
}

void Trainer::iterate() {
  const io::Batch batch = prefetcher_->next();
  const RealBatch reals{batch.images, batch.labels};
  for (const Phase phase : kPhases) {
    if (!losses_.due(phase, state_.iteration)) continue;
    const Clock::time_point begin = Clock::now();
    non_finite_ += phases_.run(phase, reals);
    if (comm_.rank() == 0) {
      statistics_.report("Timing/" + phase_name(phase), 1000 * seconds_since(begin));
    }
  }
  update_ema(*state_.g_ema, *state_.g,
             ema_beta(ema_, static_cast<double>(state_.images), static_cast<double>(plan_.batch)));
  state_.images += plan_.batch;
  ++state_.iteration;
  progress_->update(static_cast<double>(state_.images) / 1000);
}

Trainer::Verdict Trainer::agree() const {
  const bool time = seconds_since(last_checkpoint_) >= 60 * options_.checkpoint_every;
  // Clocks differ; rank 0's decides.
  at::Tensor flags =
      at::tensor({signals_.requested() ? 1 : 0, comm_.rank() == 0 && time ? 1 : 0}, at::kInt);
  comm_.all_reduce(flags, ReduceOp::max);
  return {flags[0].item<int>() != 0, flags[1].item<int>() != 0};
}

bool Trainer::tick_is_over() const {
  return finished() || state_.tick == 0 ||
         state_.images >= state_.tick_start + 1000 * options_.tick;
}

void Trainer::end_tick() {
  if (non_finite_ > 0) {
    log::warning("{} gradient values were not finite in this tick and were replaced", non_finite_);
    non_finite_ = 0;
  }
  log_->end_tick(state_, seconds(), statistics_, comm_);
  if (finished() || state_.tick % options_.snap == 0) write_snapshot();
  log_->write_row(statistics_, seconds());
  ++state_.tick;
  state_.tick_start = state_.images;
}

void Trainer::write_snapshot() {
  const int64_t kimg = state_.images / 1000;
  grid_.write_fakes(run_.file(fmt::format("fakes{:06d}.png", kimg)), *state_.g_ema, comm_,
                    plan_.micro);
  write_network_snapshot(run_.file(fmt::format("network-snapshot-{:06d}.h5", kimg)), state_,
                         options_, data_.info(), comm_.handle());
}

double Trainer::seconds() const {
  return state_.seconds + seconds_since(start_);
}

io::CheckpointContent Trainer::checkpoint_content() {
  nlohmann::json state = state_.scalars();
  state["seconds"] = seconds();
  state["seed"] = options_.seed;
  state["batch"] = options_.batch;
  state["dataset_fingerprint"] = data_.info().fingerprint;
  const at::Tensor statistics = statistics_.save(comm_).flatten();
  const double* values = statistics.const_data_ptr<double>();
  state["statistics"] = std::vector<double>(values, values + statistics.numel());
  return {state_.arrays(), state};
}

void Trainer::save_checkpoint() {
  const std::string path = run_.file(io::checkpoint_name(state_.iteration));
  io::write_checkpoint(path, checkpoint_content(), comm_.handle());
  if (comm_.rank() == 0) io::prune_checkpoints(run_.path(), static_cast<size_t>(options_.keep));
  last_checkpoint_ = Clock::now();
}

bool Trainer::go_on_from_checkpoint() {
  if (options_.restart == "never") return false;
  io::CheckpointContent content{state_.arrays(), {}};
  std::string path = options_.restart;
  if (options_.restart == "auto") {
    io::on_root(comm_.handle(), [&] { io::sweep_checkpoint_temporaries(run_.path()); });
    const io::LoadedCheckpoint loaded =
        io::load_newest_checkpoint(run_.path(), content, comm_.handle());
    for (const std::string& why : loaded.rejected) log::warning("{}", why);
    if (loaded.path.empty()) return false;
    path = loaded.path;
  } else {
    io::read_checkpoint(path, content, comm_.handle());
  }
  const nlohmann::json& state = content.state;
  if (state.at("seed") != options_.seed || state.at("batch") != options_.batch ||
      state.at("dataset_fingerprint") != data_.info().fingerprint) {
    throw InputError(path + ": was made with another --seed, --batch or --data; give those");
  }
  state_.set_scalars(state);
  std::vector<double> values;
  // Sums that are not finite were stored as null.
  for (const nlohmann::json& value : state.at("statistics")) {
    values.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                     : value.get<double>());
  }
  const auto names = static_cast<int64_t>(Statistics::names().size());
  statistics_.load(at::tensor(values, at::kDouble).view({-1, names, 3}), comm_);
  log::info("Going on from {} at {:.1f} kimg.", path, static_cast<double>(state_.images) / 1000);
  return true;
}

}  // namespace galette
