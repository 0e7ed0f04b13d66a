// SPDX-License-Identifier: Apache-2.0
#include "cli/onnx_graph.h"

#include <cmath>
#include <limits>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/check.h"

namespace galette {
namespace {

using io::ProtobufMessage;

// Fields of the messages that are used here, as onnx.proto numbers them.
namespace model_field {
constexpr int kIrVersion = 1, kProducer = 2, kProducerVersion = 3, kDocumentation = 6, kGraph = 7,
              kOperatorSet = 8;
}
namespace operator_set_field {
constexpr int kVersion = 2;
}
namespace graph_field {
constexpr int kNode = 1, kName = 2, kInitializer = 5, kInput = 11, kOutput = 12;
}
namespace node_field {
constexpr int kInput = 1, kOutput = 2, kName = 3, kType = 4, kAttribute = 5;
}
namespace attribute_field {
constexpr int kName = 1, kFloat = 2, kInteger = 3, kIntegers = 8, kType = 20;
}
namespace tensor_field {
constexpr int kSides = 1, kType = 2, kName = 8, kBytes = 9;
}
namespace value_field {
constexpr int kName = 1, kType = 2;
constexpr int kTensorType = 1;                     // of TypeProto
constexpr int kElementType = 1, kShape = 2;        // of TypeProto.Tensor
constexpr int kSide = 1;                           // of TensorShapeProto
constexpr int kSideValue = 1, kSideParameter = 2;  // of its dimensions
}  // namespace value_field

constexpr int64_t kIrVersion = 8, kOperatorSet = 17;
constexpr int64_t kFloatType = 1, kInt64Type = 7;
constexpr int64_t kFloatAttribute = 1, kIntegerAttribute = 2, kIntegersAttribute = 7;
// What readers of Protocol Buffers take as one message; the rest of a model is small beside this.
constexpr uint64_t kMaxBytes = std::numeric_limits<int32_t>::max() - (uint64_t{16} << 20);

ProtobufMessage value_info(const std::string& name, const OnnxGraph::Shape& shape) {
  ProtobufMessage sides;
  for (const auto& side : shape) {
    ProtobufMessage message;
    if (const auto* number = std::get_if<int64_t>(&side)) {
      message.add_integer(value_field::kSideValue, *number);
    } else {
      message.add_bytes(value_field::kSideParameter, std::get<std::string>(side));
    }
    sides.add_message(value_field::kSide, message);
  }
  ProtobufMessage tensor, type, info;
  tensor.add_integer(value_field::kElementType, kFloatType);
  tensor.add_message(value_field::kShape, sides);
  type.add_message(value_field::kTensorType, tensor);
  info.add_bytes(value_field::kName, name);
  info.add_message(value_field::kType, type);
  return info;
}

ProtobufMessage attribute_message(const OnnxGraph::Attribute& attribute) {
  ProtobufMessage message;
  message.add_bytes(attribute_field::kName, attribute.name);
  if (const auto* integer = std::get_if<int64_t>(&attribute.value)) {
    message.add_integer(attribute_field::kInteger, *integer);
    message.add_integer(attribute_field::kType, kIntegerAttribute);
  } else if (const auto* number = std::get_if<float>(&attribute.value)) {
    message.add_float(attribute_field::kFloat, *number);
    message.add_integer(attribute_field::kType, kFloatAttribute);
  } else {
    for (const int64_t each : std::get<std::vector<int64_t>>(attribute.value))
      message.add_integer(attribute_field::kIntegers, each);
    message.add_integer(attribute_field::kType, kIntegersAttribute);
  }
  return message;
}

}  // namespace

OnnxGraph::Value OnnxGraph::input(const std::string& name, const Shape& shape) {
  graph_.add_message(graph_field::kInput, value_info(name, shape));
  return name;
}

OnnxGraph::Value OnnxGraph::optional_input(const std::string& name, float value) {
  graph_.add_message(graph_field::kInput, value_info(name, {}));
  add_initializer(name, at::scalar_tensor(value));
  return name;
}

void OnnxGraph::output(const std::string& name, const Value& value, const Shape& shape) {
  ProtobufMessage node;
  node.add_bytes(node_field::kInput, value);
  node.add_bytes(node_field::kOutput, name);
  node.add_bytes(node_field::kName, name + "/Identity");
  node.add_bytes(node_field::kType, "Identity");
  graph_.add_message(graph_field::kNode, node);
  graph_.add_message(graph_field::kOutput, value_info(name, shape));
}

OnnxGraph::Value OnnxGraph::constant(const std::string& name, const at::Tensor& value) {
  bytes_ += static_cast<uint64_t>(value.numel()) * sizeof(float);
  if (bytes_ > kMaxBytes)
    throw InputError(
        "the network has more than 2 GB, which is the most that an ONNX file can hold");
  add_initializer(name, value.detach().to(at::kCPU, at::kFloat));
  return name;
}

void OnnxGraph::add_initializer(const std::string& name, const at::Tensor& value) {
  const at::Tensor data = value.contiguous();
  ProtobufMessage tensor;
  for (const int64_t side : data.sizes()) tensor.add_integer(tensor_field::kSides, side);
  tensor.add_integer(tensor_field::kType,
                     data.scalar_type() == at::kLong ? kInt64Type : kFloatType);
  tensor.add_bytes(tensor_field::kName, name);
  // Little-endian, as the machines that Galette runs on.
  tensor.add_bytes(tensor_field::kBytes,
                   {static_cast<const char*>(data.const_data_ptr()), data.nbytes()});
  graph_.add_message(graph_field::kInitializer, tensor);
}

OnnxGraph::Value OnnxGraph::scalar(double value) {
  const std::string name = fmt::format("number {:.9g}", value);
  if (shared_.insert(name).second) add_initializer(name, at::scalar_tensor(value));
  return name;
}

OnnxGraph::Value OnnxGraph::integers(const std::vector<int64_t>& values) {
  const std::string name = fmt::format("integers {}", fmt::join(values, ","));
  if (shared_.insert(name).second) add_initializer(name, at::tensor(values, at::kLong));
  return name;
}

OnnxGraph::Value OnnxGraph::op(const std::string& type, const std::vector<Value>& inputs,
                               const std::vector<Attribute>& attributes) {
  std::string name = layer_ + "/" + type;
  if (const int earlier = names_[name]++; earlier > 0) name += fmt::format("_{}", earlier);
  ProtobufMessage node;
  for (const Value& each : inputs) node.add_bytes(node_field::kInput, each);
  node.add_bytes(node_field::kOutput, name);
  node.add_bytes(node_field::kName, name);
  node.add_bytes(node_field::kType, type);
  for (const Attribute& each : attributes)
    node.add_message(node_field::kAttribute, attribute_message(each));
  graph_.add_message(graph_field::kNode, node);
  return name;
}

OnnxGraph::Value OnnxGraph::inverse_root(const Value& x, double epsilon) {
  return op("Reciprocal", {op("Sqrt", {add(x, scalar(epsilon))})});
}

OnnxGraph::Value OnnxGraph::linear(const Value& x, const Value& weight, const Value& bias) {
  return op("Gemm", {x, weight, bias}, {{"transB", int64_t{1}}});
}

OnnxGraph::Value OnnxGraph::leaky_relu(const Value& x) {
  return multiply(op("LeakyRelu", {x}, {{"alpha", 0.2F}}), scalar(std::sqrt(2.0)));
}

OnnxGraph::Value OnnxGraph::clamp(const Value& x, double limit) {
  return op("Clip", {x, scalar(-limit), scalar(limit)});
}

OnnxGraph::Value OnnxGraph::reshape(const Value& x, const std::vector<int64_t>& shape) {
  return op("Reshape", {x, integers(shape)});
}

OnnxGraph::Value OnnxGraph::concat(const std::vector<Value>& values, int64_t axis) {
  return op("Concat", values, {{"axis", axis}});
}

OnnxGraph::Value OnnxGraph::slice(const Value& x, int64_t axis, const Value& begin,
                                  const Value& end) {
  return op("Slice", {x, begin, end, integers({axis})});
}

std::string OnnxGraph::model(const std::string& version, const std::string& description) const {
  ProtobufMessage operators, model, graph = graph_;
  graph.add_bytes(graph_field::kName, "galette");
  operators.add_integer(operator_set_field::kVersion, kOperatorSet);
  model.add_integer(model_field::kIrVersion, kIrVersion);
  model.add_bytes(model_field::kProducer, "galette");
  model.add_bytes(model_field::kProducerVersion, version);
  model.add_bytes(model_field::kDocumentation, description);
  model.add_message(model_field::kGraph, graph);
  model.add_message(model_field::kOperatorSet, operators);
  return model.bytes();
}

}  // namespace galette
