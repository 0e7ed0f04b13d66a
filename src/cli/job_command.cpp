// SPDX-License-Identifier: Apache-2.0
// `galette job` checks the resources and the training command before a job waits for days in a
// queue only to find them wrong. It needs no Slurm itself.
#include "cli/job_command.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <mpi.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "cli/job_script.h"
#include "io/check.h"
#include "io/file_util.h"
#include "io/together.h"
#include "training/train_options.h"

namespace galette {
namespace {

struct JobOptions {
  JobPlan plan;
  std::optional<int64_t> gpus_per_node;
  std::optional<int64_t> ranks_per_node;
  std::string output;
  std::vector<std::string> command;  ///< "train" and its options
};

OptionTable job_option_table(JobOptions& o) {
  const Defines no = Defines::nothing;
  OptionTable table;
  table.add("nodes", no, o.plan.nodes, "nodes of the job", {1, 1 << 20}).required();
  table.add("gpus-per-node", no, o.gpus_per_node, "GPUs of a node, one rank for each", {1, 1024});
  table.add("ranks-per-node", no, o.ranks_per_node, "ranks of a node without GPUs", {1, 4096});
  table.add("cpus-per-rank", no, o.plan.cpus_per_rank, "cores of a rank", {1, 4096});
  table
      .add("time", no, o.plan.time,
           "time limit of one stay in the machine: minutes, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS")
      .required();
  table.add("notice", no, o.plan.notice,
            "seconds before the time limit at which the ranks are told to save", {30, 65535});
  table.add("partition", no, o.plan.partition, "partition");
  table.add("account", no, o.plan.account, "account that pays");
  table.add("qos", no, o.plan.qos, "quality of service");
  table.add("job-name", no, o.plan.name, "name of the job and of its log");
  table.add("site", no, o.plan.site,
            "file that the job reads first: modules, NCCL, UCX; see jobs/env/example.sh");
  table.add("output", no, o.output, "file to write; without it the script is printed");
  return table;
}

struct JobCommand {
  JobOptions options;
  OptionTable table = job_option_table(options);
};

/// Slurm takes these from a comment line, where quotes mean nothing.
void require_one_word(const char* option, const std::string& text) {
  const auto is_bad = [](unsigned char c) { return std::isspace(c) != 0 || c == '"' || c == '\''; };
  if (std::any_of(text.begin(), text.end(), is_bad)) {
    throw InputError(fmt::format("--{}={}: must be one word without quotes", option, text));
  }
}

/// Parses the options as `galette train` will.
TrainOptions parsed_training(const std::vector<std::string>& command) {
  if (command.empty() || command.front() != "train") {
    throw InputError("give the training command after two dashes: galette job ... -- train ...");
  }
  TrainOptions options;
  OptionTable table = train_option_table(options);
  CLI::App app;
  table.add_to(app, Sources::environment_and_file);
  try {
    app.parse(std::vector<std::string>(command.rbegin(), command.rend() - 1));
  } catch (const CLI::ParseError& error) {
    throw InputError(fmt::format("train: {} (see `galette train --help`)", error.what()));
  }
  table.finish("config");
  return options;
}

/// The words of the command but `train` and the run directory, which has its own place in a script.
std::vector<std::string> options_without_run_dir(const std::vector<std::string>& command) {
  std::vector<std::string> options;
  for (size_t i = 1; i < command.size(); ++i) {
    if (command[i] == "--run-dir") {
      ++i;
    } else if (!command[i].starts_with("--run-dir=")) {
      options.push_back(command[i]);
    }
  }
  return options;
}

void check_training(const TrainOptions& train, int64_t ranks) {
  if (train.run_dir.empty()) {
    throw InputError("train: give --run-dir, in which a job that is put back finds its run again");
  }
  if (train.batch % ranks != 0) {
    throw InputError(fmt::format("train: --batch={} is not divisible by the {} ranks of the job",
                                 train.batch, ranks));
  }
}

/// Completes the plan from the options.
void resolve(JobOptions& o) {
  JobPlan& plan = o.plan;
  check_job_time(plan.time);
  if (o.gpus_per_node.has_value() == o.ranks_per_node.has_value()) {
    throw InputError("give either --gpus-per-node or, for nodes without GPUs, --ranks-per-node");
  }
  plan.has_gpus = o.gpus_per_node.has_value();
  plan.ranks_per_node = plan.has_gpus ? *o.gpus_per_node : *o.ranks_per_node;
  require_one_word("partition", plan.partition);
  require_one_word("account", plan.account);
  require_one_word("qos", plan.qos);
  require_one_word("job-name", plan.name);
  const TrainOptions train = parsed_training(o.command);
  check_training(train, plan.nodes * plan.ranks_per_node);
  plan.run_dir = train.run_dir;
  plan.options = options_without_run_dir(o.command);
  plan.program = std::filesystem::read_symlink("/proc/self/exe");
}

void deliver(const std::string& script, const std::string& output) {
  if (output.empty()) {
    log::info("{}", script.substr(0, script.size() - 1));  // the log ends its lines itself
    return;
  }
  if (std::filesystem::exists(output)) {
    throw InputError(fmt::format("--output={}: exists already; remove it or name another", output));
  }
  io::write_file(output, {reinterpret_cast<const uint8_t*>(script.data()), script.size()});
  log::info("Submit it with: sbatch {}", output);
}

int job(JobOptions& o) {
  io::on_root(MPI_COMM_WORLD, [&] {
    resolve(o);
    deliver(job_script(o.plan), o.output);
  });
  return kExitDone;
}

}  // namespace

void add_job_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand(
      "job", "Writes a script for Slurm that trains until the run is done, whatever stops it");
  auto command = std::make_shared<JobCommand>();
  command->table.add_to(*sub);
  sub->add_option("COMMAND", command->options.command,
                  "After two dashes: train and its options, of which --run-dir is required");
  sub->callback([command, &action] { action = [command] { return job(command->options); }; });
}

}  // namespace galette
