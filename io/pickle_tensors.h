// SPDX-License-Identifier: Apache-2.0
// Tensors as PyTorch pickles them: a storage in a stream of its own, and views of it.
#pragma once

#include <string>

#include "io/pickle_value.h"

namespace galette::io {

/// A storage out of PyTorch's legacy stream: five pickles (a magic number, the version, the system,
/// the storage's description, a list of keys), then an element count and the raw bytes. `where`
/// opens messages. Throws DamagedFile when the stream makes no sense.
PickleValue* load_storage(const std::string& stream, PickleArena& arena, const std::string& where);

/// A view (storage, offset, shape, strides, ...) that lies within its storage and has no more
/// elements than that. Nothing is copied. Throws DamagedFile for others.
PickleValue* rebuild_tensor(const PickleValue& arguments, PickleArena& arena,
                            const std::string& where);

}  // namespace galette::io
