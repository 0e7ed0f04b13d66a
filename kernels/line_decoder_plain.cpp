// SPDX-License-Identifier: Apache-2.0
#include "kernels/line_decoder_plain.h"

#include <cmath>

#include "kernels/bias_act.h"

namespace galette {
namespace {

/// One layer per pixel: x [N, I, P].
at::Tensor plain_layer(const DecoderLayer& layer, const at::Tensor& x, Activation act) {
  const at::Tensor& w = layer.weight;
  const at::Tensor z = at::bmm(w.dim() == 3 ? w : w.unsqueeze(0).expand({x.size(0), -1, -1}), x);
  const BiasActOptions options{.clamp = layer.clamp};
  if (layer.bias.dim() == 1) return bias_act(z, layer.bias, act, options);
  return bias_act(z + layer.bias.unsqueeze(2), std::nullopt, act, options);
}

}  // namespace

at::Tensor plain_line_sum(const std::optional<at::Tensor>& x, const at::Tensor& rows,
                          const at::Tensor& columns) {
  if (!x) return at::bmm(rows * 0.5, columns);
  return at::baddbmm(x->view({rows.size(0), rows.size(1), columns.size(2)}), rows, columns, 1, 0.5);
}

at::Tensor plain_layers(const at::Tensor& s, const std::vector<DecoderLayer>& layers,
                        const std::vector<DecoderHead>& heads) {
  std::vector<at::Tensor> values{s};
  for (const DecoderLayer& layer : layers)
    values.push_back(plain_layer(layer, values.back(), Activation::kLrelu));
  if (heads.empty()) return values.back();
  at::Tensor y;
  for (const DecoderHead& head : heads) {
    const at::Tensor part = plain_layer(head.layer, values[head.after], Activation::kLinear);
    y = y.defined() ? y + part : part;
  }
  return y;
}

at::Tensor plain_layers(const LineDecoderCall& call, const at::Tensor& s,
                        const at::Tensor& parameters, const at::Tensor& head_biases) {
  const int64_t without_biases = call.parameters() - call.head_biases();
  std::vector<DecoderLayer> layers;
  std::vector<DecoderHead> heads;
  for (const DecoderLayerShape& shape : call.layers) {
    DecoderLayer layer;
    layer.weight = parameters.narrow(1, shape.weight_at, shape.in * shape.out)
                       .reshape({call.parameter_sets, shape.out, shape.in});
    const bool is_head = static_cast<int64_t>(layers.size()) == call.chain();
    layer.bias = is_head ? head_biases.narrow(1, shape.bias_at - without_biases, shape.out)
                         : parameters.narrow(1, shape.bias_at, shape.out);
    if (call.parameter_sets == 1) layer = {layer.weight.squeeze(0), layer.bias.squeeze(0), {}};
    if (std::isfinite(shape.clamp)) layer.clamp = shape.clamp;
    if (is_head) {
      heads.push_back({layer, static_cast<size_t>(shape.level)});
    } else {
      layers.push_back(layer);
    }
  }
  return plain_layers(s, layers, heads);
}

}  // namespace galette
