// SPDX-License-Identifier: Apache-2.0
#include "models/network.h"

namespace galette {

at::Tensor Generator::broadcast(const at::Tensor& w, const Truncation& truncation) const {
  const at::Tensor ws = w.unsqueeze(1).expand({-1, num_ws(), -1});
  if (truncation.psi == 1) return ws;
  const at::Tensor truncated = at::lerp(w_avg().expand_as(ws), ws, truncation.psi);
  const int64_t cutoff = truncation.cutoff < 0 ? num_ws() : std::min(truncation.cutoff, num_ws());
  return at::cat({truncated.narrow(1, 0, cutoff), ws.narrow(1, cutoff, num_ws() - cutoff)}, 1);
}

}  // namespace galette
