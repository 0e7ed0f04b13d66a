// SPDX-License-Identifier: Apache-2.0
// Scripts for Slurm: jobs/train.sbatch, which the build puts into the program, with its resources
// and its command filled in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace galette {

/// The text of jobs/train.sbatch.
extern const std::string_view kTrainJob;

struct JobPlan {
  int64_t nodes = 1;
  int64_t ranks_per_node = 1;
  bool has_gpus = true;  ///< one for each rank
  int64_t cpus_per_rank = 8;
  std::string time;      ///< as Slurm reads it
  int64_t notice = 300;  ///< seconds before the end at which Slurm signals the ranks
  std::string name = "galette";
  std::string partition;  ///< empty for the site's default; so are the next two
  std::string account;
  std::string qos;
  std::string site;  ///< a file that is read first, or empty
  std::string program;
  std::string run_dir;
  std::vector<std::string> options;  ///< of `galette train`, without --run-dir
};

/// The script, which sbatch takes without arguments.
std::string job_script(const JobPlan& plan);

/// A word as a shell reads it back: in quotes unless it has only harmless characters.
std::string shell_quoted(const std::string& word);

/// Throws InputError when Slurm would read `--time` otherwise than it was meant, or not at all:
/// accepted are minutes, HH:MM:SS, D-HH, D-HH:MM and D-HH:MM:SS, more than nothing. (Two fields
/// without days are minutes and seconds to Slurm, but hours and minutes to most people.)
void check_job_time(const std::string& text);

}  // namespace galette
