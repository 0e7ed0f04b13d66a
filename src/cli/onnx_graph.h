// SPDX-License-Identifier: Apache-2.0
// A model of ONNX (onnx.ai/onnx/repo-docs/IR.html, operator set 17) under construction. A value is
// known by its name; results are named by the layer that is being described and their operator.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <ATen/ATen.h>

#include "io/protobuf_writer.h"

namespace galette {

class OnnxGraph {
 public:
  using Value = std::string;
  /// Sides of a tensor; a text names one that is free.
  using Shape = std::vector<std::variant<int64_t, std::string>>;
  struct Attribute {
    std::string name;
    std::variant<int64_t, float, std::vector<int64_t>> value;
  };

  /// Results from here on belong to this layer.
  void enter(const std::string& layer) { layer_ = layer; }

  /// A float32 input.
  Value input(const std::string& name, const Shape& shape);
  /// A float32 input without axes, that may be left out.
  Value optional_input(const std::string& name, float value);
  void output(const std::string& name, const Value& value, const Shape& shape);
  /// A stored tensor, as float32. Throws InputError when the model becomes larger than a file of
  /// this format can be.
  Value constant(const std::string& name, const at::Tensor& value);
  Value scalar(double value);
  Value integers(const std::vector<int64_t>& values);

  /// The first result of any operator.
  Value op(const std::string& type, const std::vector<Value>& inputs,
           const std::vector<Attribute>& attributes = {});

  Value add(const Value& a, const Value& b) { return op("Add", {a, b}); }
  Value multiply(const Value& a, const Value& b) { return op("Mul", {a, b}); }
  /// 1 / sqrt(x + epsilon).
  Value inverse_root(const Value& x, double epsilon);
  /// x weight^T + bias: x [N, in], weight [out, in], bias [out].
  Value linear(const Value& x, const Value& weight, const Value& bias);
  /// With the gain that keeps the variance: leaky ReLU times sqrt(2).
  Value leaky_relu(const Value& x);
  Value clamp(const Value& x, double limit);
  /// 0 keeps a side, -1 stands for what is left.
  Value reshape(const Value& x, const std::vector<int64_t>& shape);
  Value concat(const std::vector<Value>& values, int64_t axis);
  /// Elements [begin, end) of an axis; both are integers of shape [1].
  Value slice(const Value& x, int64_t axis, const Value& begin, const Value& end);

  /// The bytes of the file; `description` is for people.
  std::string model(const std::string& version, const std::string& description) const;

 private:
  void add_initializer(const std::string& name, const at::Tensor& value);

  std::string layer_;
  io::ProtobufMessage graph_;
  std::map<std::string, int> names_;  ///< of results: how often each was wanted
  std::set<std::string> shared_;      ///< scalars and integers that exist
  uint64_t bytes_ = 0;                ///< of stored tensors
};

}  // namespace galette
