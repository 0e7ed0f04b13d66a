// SPDX-License-Identifier: Apache-2.0
// infinite_sampler: the recurrence of the sample order under the legacy generator, the generator's
// own draws, and the selection of subsets. Integers throughout: equality is exact.
#include "training/infinite_sampler.h"

#include "golden.h"
#include "io/dataset_items.h"
#include "io/legacy_random.h"

namespace galette::golden {
namespace {

at::Tensor to_tensor(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong);
}

void check_order(const Case& c, const nlohmann::json& config) {
  const int64_t replicas = config["num_replicas"], rank = config["rank"];
  io::LegacyRandom random(config["seed"].get<uint32_t>());
  const auto below = [&](uint64_t n) { return random.up_to(static_cast<uint32_t>(n - 1)); };
  // Without shuffling the reference exchanges nothing either.
  const bool shuffled = config["shuffle"];
  WindowOrder order(config["dataset_size"], shuffled ? config["window_size"].get<double>() : 0);
  if (shuffled) order.shuffle(below);
  const int64_t count = c.raw("out/index").numel();
  std::vector<int64_t> items;
  while (static_cast<int64_t>(items.size()) < count) {
    const int64_t position = order.position();
    const int64_t item = order.next(below);
    if (position % replicas == rank) items.push_back(item);
  }
  c.compare("out/index", to_tensor(items), 0);
}

template <typename Draw>
void check_draws(const Case& c, const std::string& name, double tolerance, Draw draw) {
  std::vector<double> values(static_cast<size_t>(c.raw("out/" + name).numel()));
  for (double& value : values) value = static_cast<double>(draw());
  c.compare("out/" + name, at::tensor(values, at::kDouble), tolerance);
}

void check_generator(const Case& c, uint32_t seed) {
  io::LegacyRandom bits(seed), bounded(seed), normal(seed), shuffled(seed);
  check_draws(c, "raw_uint32", 0, [&] { return bits.bits(); });
  check_draws(c, "randint500", 0, [&] { return bounded.up_to(499); });
  check_draws(c, "randn16", 1e-15, [&] { return normal.normal(); });
  std::vector<int64_t> items(10);
  std::iota(items.begin(), items.end(), 0);
  shuffled.shuffle(std::span(items));
  c.compare("out/shuffle10", to_tensor(items), 0);
  check_draws(c, "randint5_after_shuffle", 0, [&] { return shuffled.up_to(4); });
}

void check_items(const Case& c, const nlohmann::json& config) {
  const std::optional<int64_t> max_size =
      config["max_size"].is_null() ? std::nullopt : std::optional<int64_t>(config["max_size"]);
  const io::DatasetItems items(config["raw_size"], max_size, config["random_seed"],
                               config["xflip"]);
  std::vector<int64_t> raw, flip;
  for (int64_t i = 0; i < items.size(); ++i) {
    raw.push_back(items.raw_index(i));
    flip.push_back(items.is_mirrored(i) ? 1 : 0);
  }
  c.compare("out/raw_idx", to_tensor(raw), 0);
  c.compare("out/xflip", to_tensor(flip), 0);
}

bool run(const Case& c) {
  const nlohmann::json config = c.config();
  if (config.contains("num_replicas")) {
    check_order(c, config);
  } else if (config.contains("raw_size")) {
    check_items(c, config);
  } else if (c.has("out/raw_uint32")) {
    check_generator(c, config["seed"]);
  } else {
    return false;
  }
  return true;
}

}  // namespace

Section infinite_sampler_section() {
  return {"infinite_sampler", root_groups, run, /*is_for_cpu=*/true};
}

}  // namespace galette::golden
