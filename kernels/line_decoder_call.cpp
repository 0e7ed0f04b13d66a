// SPDX-License-Identifier: Apache-2.0
#include "kernels/line_decoder_call.h"

#include <cmath>
#include <limits>

#include <ATen/Context.h>

#include "kernels/bias_act.h"

namespace galette {
namespace {

void check_like(const at::Tensor& tensor, const at::Tensor& rows, const char* name) {
  TORCH_CHECK(tensor.scalar_type() == rows.scalar_type() && tensor.device() == rows.device(),
              "line_decoder: ", name, " is ", tensor.scalar_type(), " on ", tensor.device(),
              ", rows are ", rows.scalar_type(), " on ", rows.device());
}

void check_lines(const at::Tensor& rows, const at::Tensor& columns) {
  TORCH_CHECK(rows.dim() == 3 && columns.dim() == 3 && rows.size(0) == columns.size(0) &&
                  rows.size(2) == columns.size(1),
              "line_decoder: rows have shape ", rows.sizes(), ", columns ", columns.sizes(),
              "; give [N*B, h, r] and [N*B, r, w]");
  check_like(columns, rows, "columns");
}

/// Appends a layer that acts on `level`.
void add_layer(LineDecoderCall& call, const DecoderLayer& layer, int64_t level,
               const at::Tensor& rows) {
  const at::Tensor& w = layer.weight;
  TORCH_CHECK(w.dim() == 2 || w.dim() == 3, "line_decoder: a weight has shape ", w.sizes(),
              "; give [O, I] or [N, O, I]");
  DecoderLayerShape shape;
  shape.level = level;
  shape.in = w.size(-1);
  shape.out = w.size(-2);
  shape.clamp = layer.clamp.value_or(std::numeric_limits<double>::infinity());
  TORCH_CHECK(level == 0 || shape.in == call.channels(level), "line_decoder: a weight of shape ",
              w.sizes(), " follows a layer of ", call.channels(level), " channels");
  TORCH_CHECK(layer.bias.dim() == 1 && layer.bias.size(0) == shape.out,
              "line_decoder: a bias has shape ", layer.bias.sizes(), ", its weight ", w.sizes());
  TORCH_CHECK(shape.clamp > 0, "line_decoder: clamp is ", shape.clamp, "; give a positive one");
  check_like(w, rows, "a weight");
  check_like(layer.bias, rows, "a bias");
  if (w.dim() == 3) call.parameter_sets = w.size(0);
  call.layers.push_back(shape);
}

void place_parameters(LineDecoderCall& call) {
  int64_t at = 0;
  const auto place = [&](int64_t& begin, int64_t size) {
    begin = at;
    at += size;
  };
  for (int64_t k = 0; k < static_cast<int64_t>(call.layers.size()); ++k) {
    DecoderLayerShape& layer = call.layers[k];
    place(layer.weight_at, layer.in * layer.out);
    if (k < call.chain()) place(layer.bias_at, layer.out);
  }
  for (int64_t k = call.chain(); k < static_cast<int64_t>(call.layers.size()); ++k)
    place(call.layers[k].bias_at, call.layers[k].out);
}

void add_layers(LineDecoderCall& call, const std::vector<DecoderLayer>& layers,
                const std::vector<DecoderHead>& heads, const at::Tensor& rows) {
  TORCH_CHECK(!layers.empty(), "line_decoder: no layers; give one or more");
  for (const DecoderLayer& layer : layers) {
    add_layer(call, layer, static_cast<int64_t>(call.layers.size()), rows);
    call.layers.back().slope = 0.2;
    call.layers.back().gain = default_gain(Activation::kLrelu);
  }
  bool used = heads.empty();
  for (const DecoderHead& head : heads) {
    TORCH_CHECK(head.after <= layers.size(), "line_decoder: a head after ", head.after,
                " layers, of ", layers.size());
    used = used || head.after == layers.size();
    add_layer(call, head.layer, static_cast<int64_t>(head.after), rows);
    TORCH_CHECK(call.layers.back().in == call.channels(call.layers.back().level) &&
                    call.layers.back().out == heads[0].layer.bias.size(0),
                "line_decoder: a head has a weight of shape ", head.layer.weight.sizes());
  }
  TORCH_CHECK(used, "line_decoder: no head acts on the last layer");
  call.heads = static_cast<int64_t>(heads.size());
  place_parameters(call);
}

/// That of the fused bodies; for types that have none, any.
ElementType element_type(at::ScalarType type) {
  if (type == at::kDouble) return ElementType::kFloat64;
  if (type == at::kHalf) return ElementType::kFloat16;
  return type == at::kBFloat16 ? ElementType::kBFloat16 : ElementType::kFloat32;
}

}  // namespace

LineDecoderCall line_decoder_call(const std::optional<at::Tensor>& x, const at::Tensor& rows,
                                  const at::Tensor& columns,
                                  const std::vector<DecoderLayer>& layers,
                                  const std::vector<DecoderHead>& heads) {
  check_lines(rows, columns);
  LineDecoderCall call;
  add_layers(call, layers, heads, rows);
  const int64_t channels = call.channels(0);
  TORCH_CHECK(channels > 0 && rows.size(0) % channels == 0, "line_decoder: ", rows.size(0),
              " planes of rows are no multiple of the first layer's ", channels, " channels");
  call.type = element_type(rows.scalar_type());
  call.tf32 = rows.is_cuda() && at::globalContext().allowTF32CuBLAS();
  call.samples = rows.size(0) / channels;
  call.height = rows.size(1);
  call.width = columns.size(2);
  call.rank = rows.size(2);
  const auto check_samples = [&](const DecoderLayer& layer) {
    TORCH_CHECK(layer.weight.dim() == 2 || layer.weight.size(0) == call.samples,
                "line_decoder: a weight has shape ", layer.weight.sizes(), " for ", call.samples,
                " samples");
  };
  for (const DecoderLayer& layer : layers) check_samples(layer);
  for (const DecoderHead& head : heads) check_samples(head.layer);
  if (x) {
    TORCH_CHECK(x->sizes() == at::IntArrayRef({call.samples, channels, call.pixels()}),
                "line_decoder: x has shape ", x->sizes(), "; give [", call.samples, ", ", channels,
                ", ", call.pixels(), "]");
    check_like(*x, rows, "x");
  }
  return call;
}

}  // namespace galette
