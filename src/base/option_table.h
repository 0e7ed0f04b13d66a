// SPDX-License-Identifier: Apache-2.0
// One table of a command's options. It drives the parser, `--help` with defaults and ranges, the
// JSON dump, and the comparison of two runs, so that none of them can drift from the others.
//
// A row is bound to a variable, whose value at that time is the default. A std::optional without a
// value is a default that is found out later; a text says how.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

namespace galette {

/// Both ends are allowed.
template <typename T>
struct Range {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
};

/// Where an option's value may come from.
enum class Sources { command_line, environment_and_file };

/// Whether an option decides what a run computes, so that a run cannot go on with another value.
enum class Defines { run, nothing };

class OptionTable {
 public:
  /// A row that was just added, for what most rows do not need.
  class Row {
   public:
    /// The option must be given.
    Row& required();
    /// What `--help` says in place of the default value.
    Row& default_text(std::string text);
    /// A further spelling, such as "-n".
    Row& alias(const std::string& spelling);

   private:
    friend class OptionTable;
    std::string name_;
    std::string aliases_;
    std::string type_;
    std::string meaning_;
    std::string default_value_;
    bool is_required_ = false;
    bool is_flag_ = false;
    bool is_given_ = false;
    Defines defines_ = Defines::nothing;
    std::function<void(const std::string&)> parse_;
    std::function<nlohmann::ordered_json()> value_;
    nlohmann::ordered_json initial_;
  };

  // `name` has no leading dashes. A value that cannot be read or lies outside the range, the
  // choices, throws InputError while parsing. Booleans take 0, 1, true, false, yes, no in any case.
  Row& add(const std::string& name, Defines defines, int64_t& value, const std::string& meaning,
           Range<int64_t> range = {});
  Row& add(const std::string& name, Defines defines, std::optional<int64_t>& value,
           const std::string& meaning, Range<int64_t> range = {});
  Row& add(const std::string& name, Defines defines, double& value, const std::string& meaning,
           Range<double> range = {});
  Row& add(const std::string& name, Defines defines, std::optional<double>& value,
           const std::string& meaning, Range<double> range = {});
  /// Also takes the word `auto`, which leaves it without a value.
  Row& add_or_auto(const std::string& name, Defines defines, std::optional<double>& value,
                   const std::string& meaning, Range<double> range = {});
  Row& add(const std::string& name, Defines defines, bool& value, const std::string& meaning);
  /// With choices, only one of them is accepted.
  Row& add(const std::string& name, Defines defines, std::string& value, const std::string& meaning,
           std::vector<std::string> choices = {});
  /// A comma list; `none` is the empty one. With choices, only they may appear in it.
  Row& add_list(const std::string& name, Defines defines, std::vector<std::string>& value,
                const std::string& meaning, std::vector<std::string> choices = {});
  /// A comma list, `none` for the empty one, whose words `check` accepts; it throws InputError
  /// otherwise.
  Row& add_checked_list(const std::string& name, Defines defines, std::vector<std::string>& value,
                        const std::string& meaning, std::function<void(const std::string&)> check);
  /// An option without a value.
  Row& add_flag(const std::string& name, bool& value, const std::string& meaning);

  /// Makes the options of a (sub)command. The table and its variables must outlive the parsing.
  /// With more sources than the command line, finish() must follow the parsing.
  void add_to(CLI::App& app, Sources sources = Sources::command_line);

  /// Takes what the command line did not give from the environment (GALETTE_BATCH_GPU for
  /// --batch-gpu), and what neither gave from a TOML file (`batch-gpu = 4`; its path is the value
  /// of option `file_option`, empty for none). Throws InputError on unknown names, bad values, and
  /// required options that nobody gave.
  void finish(const std::string& file_option);

  /// Whether a value was given, as opposed to the default.
  bool is_given(const std::string& name) const;

  /// All values by option name, in the order of the table.
  nlohmann::ordered_json to_json() const;

  /// The options that define the run and differ from those of `other` (a to_json()), one text each:
  /// `--batch (16 there, 32 here)`. An option that `other` does not know had its default there.
  std::vector<std::string> differences(const nlohmann::ordered_json& other) const;

 private:
  template <typename T, typename Parse>
  Row& add_row(const std::string& name, Defines defines, T& value, std::string type,
               const std::string& meaning, const Parse& parse);
  void read_environment();
  void read_file(const std::string& path);
  void require(const std::string& file_option) const;
  Row* find(const std::string& name);

  std::deque<Row> rows_;  ///< references to rows stay valid while others are added
};

}  // namespace galette
