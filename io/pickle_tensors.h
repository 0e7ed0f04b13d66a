// SPDX-License-Identifier: Apache-2.0
// Tensors as PyTorch pickles them: storages, and views of them.
#pragma once

#include <span>
#include <string>

#include "io/pickle_machine.h"
#include "io/pickle_value.h"

namespace galette::io {

/// How a pickle describes a storage: ("storage", class, key, location, element count[, none]).
struct StorageReference {
  std::string key;
  at::ScalarType type = at::kFloat;
  int64_t count = 0;
  int64_t bytes = 0;
};

/// Throws DamagedFile for references that make no sense. `where` opens messages.
StorageReference read_storage_reference(const PickleValue& reference, const std::string& where);

/// What PyTorch's legacy stream holds: five pickles (a magic number, the version, the system, an
/// object, a list of keys), then for each key an element count and a storage's raw bytes. The
/// object may name `names`. `where` opens messages. Throws DamagedFile when the stream makes no
/// sense, InputError when it names what it must not.
PickleValue* load_tensor_stream(std::span<const uint8_t> stream, PickleNames names,
                                PickleArena& arena, const std::string& where);

/// Whether a file starts as such a stream does.
bool is_tensor_stream(std::span<const uint8_t> bytes);

/// A view (storage, offset, shape, strides, ...) that lies within its storage and has no more
/// elements than that. Nothing is copied. Throws DamagedFile for others.
PickleValue* rebuild_tensor(const PickleValue& arguments, PickleArena& arena,
                            const std::string& where);

}  // namespace galette::io
