// SPDX-License-Identifier: Apache-2.0
#include "training/trainer.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "io/check.h"
#include "io/network_file.h"
#include "parallel/heartbeat.h"
#include "training/consistency.h"
#include "training/network_snapshot.h"
#include "training/train_networks.h"

namespace galette {
namespace {

/// Starting and ending a tick may take so much longer than a section of an iteration.
constexpr double kLongSections = 10;

/// Something that a full disk may prevent and that a run can do without.
void write_if_possible(const std::function<void()>& write) {
  try {
    write();
  } catch (const std::runtime_error& error) {
    log::warning("{}; training goes on", error.what());
  }
}

BatchPlan batch_plan(const TrainOptions& o, const Communicator& comm) {
  return {o.batch, comm.size(), comm.rank(), *o.batch_gpu};
}

ImageShape image_shape(const io::Dataset& data) {
  return {data.info().resolution, data.info().channels, data.label_dim()};
}

}  // namespace

Trainer::Trainer(const RunSurroundings& surroundings, const io::Dataset& data,
                 const TrainDetectors& detectors)
    : options_(surroundings.options),
      data_(data),
      run_(surroundings.run),
      comm_(surroundings.comm),
      tensors_(surroundings.tensors),
      draws_(SampleRng(static_cast<uint64_t>(options_.seed)), tensor_options(options_)),
      plan_(batch_plan(options_, comm_)),
      state_(
          make_train_state(options_, image_shape(data), optimizer_share(options_, comm_.rank()))),
      losses_(loss_config(options_)),
      pipe_(make_augment_pipe(options_, image_shape(data))),
      phases_(state_, losses_, plan_, tensors_,
              PhaseInputs(state_, losses_, draws_, fake_labels(), pipe_ ? &*pipe_ : nullptr),
              statistics_, phase_execution(options_)),
      grid_(data, draws_, *state_.g_ema),
      sampler_(SampleRng(static_cast<uint64_t>(options_.seed)), data.size()),
      keeper_(surroundings),
      metrics_(options_, run_, tensors_, data, detectors) {
  ema_.half_life_kimg = 10.0 * static_cast<double>(options_.batch) / 32;
  // A transferred network is a good average from the first iteration on.
  if (options_.resume != "none") ema_.ramp_up.reset();
}

PhaseInputs::FakeLabels Trainer::fake_labels() const {
  return [this](Phase phase, const std::vector<int64_t>& samples) {
    std::vector<int64_t> items;
    for (const int64_t g : samples) {
      items.push_back(draws_.label_item(phase, g, data_.size()));
    }
    return data_.labels(items);
  };
}

int Trainer::run() {
  if (!start()) return kExitDoNotRestart;
  for (;;) {
    const RunKeeper::Verdict verdict = keeper_.agree();
    bool save = verdict.checkpoint;
    // What is decided here rests on all iterations.
    if (save || verdict.stop != StopLevel::none || tick_is_over()) finish_iterations(0);
    // In haste, what a tick writes waits for the next start.
    if (tick_is_over() && verdict.stop != StopLevel::in_haste) save |= end_tick();
    if (finished() && !tick_is_over()) break;
    if (verdict.stop != StopLevel::none) return stop(verdict.reason);
    // What a bad iteration led to waits for a good one.
    if (save && !health_.is_bad()) save_checkpoint();
    iterate();
    if (health_.is_hopeless(options_.stop_on_nan)) return give_up();
  }
  save_last_checkpoint();
  progress_.reset();
  log::info("Done: {:.1f} kimg in {}.", static_cast<double>(state_.images) / 1000, run_.path());
  return kExitDone;
}

int Trainer::stop(int reason) {
  if (health_.is_bad()) {
    log::warning(
        "the last gradients were not finite, so nothing was saved after the last checkpoint");
  } else {
    save_last_checkpoint();
  }
  progress_.reset();
  log::info("Stopped after {} iterations ({}); the same command goes on from here.",
            state_.iteration, stop_reason(reason));
  return kExitSavedGoOn;
}

int Trainer::give_up() {
  progress_.reset();
  log::error(
      "gradients were not finite in {} iterations in a row (first of them: {}): stopped without "
      "saving; go on from the last checkpoint with a lower --glr or --dlr, or --precision=fp32",
      options_.stop_on_nan, health_.first_of_streak());
  return kExitDoNotRestart;
}

bool Trainer::start() {
  const WatchedSection section("start-up", kLongSections * options_.watchdog);
  const bool continued = go_on_from_checkpoint();
  if (continued) saved_ = {state_.iteration, state_.tick};
  if (!finished() && !keeper_.may_start(state_.iteration)) return false;
  start_ = Clock::now();
  start_output(continued);
  return true;
}

void Trainer::start_output(bool continued) {
  if (!continued) {
    if (options_.resume != "none") transfer_networks(options_.resume, state_, comm_.handle());
    log_network(*state_.g);
    log_network(*state_.d);
    if (comm_.rank() == 0) grid_.write_reals(run_.file("reals.png"));
    grid_.write_fakes(run_.file("fakes_init.png"), *state_.g_ema, comm_, plan_.micro);
  }
  log_.emplace(run_.file("stats.jsonl"), state_, seconds(), 1000 * options_.kimg,
               comm_.rank() == 0);
  metrics_.go_back_to(state_.tick);
  start_reading();
  start_progress();
  log::info("Training for {} kimg...", options_.kimg);
}

void Trainer::start_progress() {
  progress_.emplace("train", static_cast<double>(options_.kimg), "kimg");
}

void Trainer::start_reading() {
  reals_.emplace(make_real_batches(
      data_, [this](int64_t iteration) { return items_of(iteration); }, state_.iteration,
      static_cast<int>(options_.workers), state_.d->arena().options()));
}

std::vector<int64_t> Trainer::items_of(int64_t iteration) {
  std::vector<int64_t> items(static_cast<size_t>(plan_.local()));
  sampler_.seek(iteration * plan_.batch + plan_.rank * plan_.local());
  for (int64_t& item : items) item = sampler_.next();
  return items;
}

void Trainer::iterate() {
  keeper_.begin_iteration(state_.iteration);
  const RealBatch reals = reals_->next();
  QueuedIteration& queued = queued_.emplace_back();
  queued.number = state_.iteration;
  for (const Phase phase : kPhases) {
    if (!losses_.due(phase, state_.iteration)) continue;
    const WatchedSection section(phase_name(phase));
    queued.phases.push_back(phases_.run(phase, reals));
  }
  tensors_.check();
  update_ema(*state_.g_ema, *state_.g,
             ema_beta(ema_, static_cast<double>(state_.images), static_cast<double>(plan_.batch)));
  state_.images += plan_.batch;
  ++state_.iteration;
  state_.ada.update(state_.iteration, plan_.batch, comm_);
  // A GPU is at work on this iteration while the host looks at the last one.
  finish_iterations(state_.g->arena().options().device().is_cuda() ? 1 : 0);
  progress_->update(static_cast<double>(state_.images) / 1000);
}

void Trainer::finish_iterations(size_t left) {
  const WatchedSection section("end of phases");
  for (; queued_.size() > left; queued_.pop_front()) {
    bool is_healthy = true;
    for (const QueuedPhase& queued : queued_.front().phases) {
      const GradientHealth health = phases_.finish(queued);
      if (health.non_finite > 0) is_healthy = false;
      health_.note(health, queued_.front().number);
    }
    health_.end_iteration(is_healthy);
  }
}

bool Trainer::tick_is_over() const {
  if (state_.images == state_.tick_start) return false;
  return finished() || state_.tick == 0 ||
         state_.images >= state_.tick_start + 1000 * options_.tick;
}

bool Trainer::end_tick() {
  const WatchedSection section("end of tick", kLongSections * options_.watchdog);
  const int64_t non_finite = health_.end_tick();
  if (comm_.rank() == 0) {
    statistics_.report("Health/nonfinite_gradients", static_cast<double>(non_finite));
  }
  log_->end_tick(state_, seconds(), statistics_, comm_);
  const bool is_snapshot = finished() || state_.tick % options_.snap == 0;
  if (is_snapshot) write_snapshot();
  const bool is_trained = state_.tick > 0 || finished();
  if (is_snapshot && (is_trained || options_.metrics_at_start)) compute_metrics();
  write_if_possible(
      [&] { log_->write_row(statistics_, seconds(), is_snapshot ? fakes_file() : std::string()); });
  ++state_.tick;
  state_.tick_start = state_.images;
  return is_snapshot;
}

/// Equal copies on all ranks are what everything else rests on.
void Trainer::check_consistency() {
  const std::string array = inconsistent_array(state_, comm_);
  if (array.empty()) return;
  throw std::runtime_error(
      fmt::format("the ranks' copies of {} differ after iteration {}: check memory and MPI of the "
                  "hosts; the same command goes on from the last checkpoint",
                  array, state_.iteration));
}

/// The sheet of the present kimg.
std::string Trainer::fakes_file() const {
  return run_.file(fmt::format("fakes{:06d}.png", state_.images / 1000));
}

void Trainer::write_snapshot() {
  keeper_.finish_save();
  check_consistency();
  const int64_t kimg = state_.images / 1000;
  write_if_possible([&] { grid_.write_fakes(fakes_file(), *state_.g_ema, comm_, plan_.micro); });
  write_if_possible([&] {
    write_network_snapshot(run_.file(fmt::format("network-snapshot-{:06d}.h5", kimg)), state_,
                           options_, data_.info(), comm_.handle());
  });
}

void Trainer::compute_metrics() {
  if (metrics_.empty()) return;
  progress_.reset();  // metrics have bars of their own
  const std::optional<double> value =
      metrics_.compute({*state_.g_ema, io::network_snapshot_name(state_.images / 1000), state_.tick,
                        static_cast<double>(state_.images) / 1000},
                       [this] { return keeper_.is_asked_to_stop(); });
  if (value) keeper_.offer_best(*value);
  start_progress();
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
  state["ada"] = state_.ada.save(comm_);
  keeper_.complete_state(state);
  const at::Tensor statistics = statistics_.save(comm_).flatten();
  const double* values = statistics.const_data_ptr<double>();
  state["statistics"] = std::vector<double>(values, values + statistics.numel());
  state["statistics_names"] = Statistics::names();
  return {state_.arrays_to_write(checkpoint_writer(options_), tensors_, comm_.handle()), state};
}

void Trainer::save_checkpoint() {
  const Clock::time_point begin = Clock::now();
  keeper_.save(state_.iteration, checkpoint_content());
  saved_ = {state_.iteration, state_.tick};
  if (comm_.rank() == 0) {
    statistics_.report("Timing/checkpoint_stall_ms", 1000 * seconds_since(begin));
  }
}

void Trainer::save_last_checkpoint() {
  keeper_.finish_save();
  if (saved_ == std::pair(state_.iteration, state_.tick) && keeper_.is_saved()) return;
  keeper_.save_and_wait(state_.iteration, checkpoint_content());
}

bool Trainer::go_on_from_checkpoint() {
  io::CheckpointContent content{state_.arrays_to_read(), {}};
  const std::string path = keeper_.load(content);
  if (path.empty()) return false;
  state_.take_read(content.arrays);
  const nlohmann::json& state = content.state;
  if (state.at("seed") != options_.seed || state.at("batch") != options_.batch ||
      state.at("dataset_fingerprint") != data_.info().fingerprint) {
    throw InputError(path + ": was made with another --seed, --batch or --data; give those");
  }
  state_.set_scalars(state);
  state_.ada.load(state.at("ada"), comm_);
  load_statistics(state);
  log::info("Going on from {} at {:.1f} kimg.", path, static_cast<double>(state_.images) / 1000);
  return true;
}

void Trainer::load_statistics(const nlohmann::json& state) {
  const auto names = state.value("statistics_names", std::vector<std::string>());
  if (!std::equal(names.begin(), names.end(), Statistics::names().begin(),
                  Statistics::names().end())) {
    log::info("The checkpoint has other statistics; those of this tick begin anew.");
    return;
  }
  std::vector<double> values;
  // Sums that are not finite were stored as null.
  for (const nlohmann::json& value : state.at("statistics")) {
    values.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                     : value.get<double>());
  }
  const auto rows = static_cast<int64_t>(names.size());
  statistics_.load(at::tensor(values, at::kDouble).view({-1, rows, 3}), comm_);
}

}  // namespace galette
