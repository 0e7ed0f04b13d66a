"""make_weights.py FOLDER

Writes weight files as PyTorch does, without PyTorch: stand-ins with the same names leave the same
opcodes. legacy.pth, zip.pth and pairs.pth hold the same tensors (see torch_file_test.cpp); the others are
refused: call*.pth call a function, packed.pth is compressed, short.pth and missing.pth have too
little data, huge*.pth claim more than there is, beyond.pth has a tensor outside of its storage."""

import collections
import os
import pickle
import struct
import sys
import types
import zipfile


def place(module, cls):
    parts = module.split(".")
    for end in range(len(parts)):
        name = ".".join(parts[: end + 1])
        sys.modules.setdefault(name, types.ModuleType(name))
    cls.__module__, cls.__qualname__ = module, cls.__name__
    setattr(sys.modules[module], cls.__name__, cls)
    return cls


def _rebuild_tensor_v2():
    pass


def _rebuild_parameter():
    pass


place("torch._utils", _rebuild_tensor_v2)
place("torch._utils", _rebuild_parameter)
CLASSES = {code: place("torch", type(name, (), {})) for code, name in
           {"f": "FloatStorage", "e": "HalfStorage", "q": "LongStorage"}.items()}


class Storage:
    def __init__(self, key, code, values):
        self.key, self.type, self.count = key, CLASSES[code], len(values)
        self.data = struct.pack("<%d%s" % (len(values), code), *values)


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.arguments = storage, offset, shape, strides, False, collections.OrderedDict()

    def __reduce__(self):
        return _rebuild_tensor_v2, self.arguments


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return _rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Pairs:
    """An ordered dictionary as Python 2 leaves it."""

    def __init__(self, values):
        self.values = values

    def __reduce__(self):
        return collections.OrderedDict, ([list(pair) for pair in self.values.items()],)


class Call:
    def __reduce__(self):
        return os.system, ("touch " + os.path.join(sys.argv[1], "trap"),)


def reference(value):
    if isinstance(value, Storage):
        return "storage", value.type, value.key, "cuda:0", value.count
    return None


class Sink:
    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data


def dump(value, persistent_id=lambda value: None):
    sink = Sink()
    pickler = pickle.Pickler(sink, protocol=2)
    pickler.persistent_id = persistent_id
    pickler.dump(value)
    return sink.data


def legacy(path, value, storages):
    legacy_id = lambda v: reference(v) + (None,) if isinstance(v, Storage) else None
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    data = dump(0x1950A86A20F9469CFC6C) + dump(1001) + dump(system) + dump(value, legacy_id)
    data += dump([s.key for s in storages])
    for storage in storages:
        data += struct.pack("<q", storage.count) + storage.data
    with open(path, "wb") as file:
        file.write(data)


def archive(path, value, storages, compression=zipfile.ZIP_STORED, cut=0, code=False):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("weights/data.pkl", dump(value, reference))
        file.writestr("weights/byteorder", b"little")
        for storage in storages:
            file.writestr("weights/data/" + storage.key, storage.data[cut:])
        file.writestr("weights/version", b"3\n")
        if code:
            file.writestr("weights/code/__torch__.py", b"raise SystemExit('executed')\n")


def main(folder):
    numbers = Storage("0", "f", range(10))
    halves = Storage("1", "e", [0.5, -2])
    count = Storage("2", "q", [7])
    weights = collections.OrderedDict()
    weights["a.weight"] = Parameter(Tensor(numbers, 1, (2, 3), (1, 2)))
    weights["a.bias"] = Tensor(numbers, 7, (3,), (1,))
    weights["b.weight"] = Tensor(halves, 0, (2,), (1,))
    weights["b.count"] = Tensor(count, 0, (), ())
    weights._metadata = collections.OrderedDict({"": {"version": 1}})
    storages = [halves, count, numbers]
    path = lambda name: os.path.join(folder, name)
    legacy(path("legacy.pth"), weights, storages)
    archive(path("zip.pth"), {"epoch": 3, "state_dict": weights}, storages)
    legacy(path("pairs.pth"), Pairs(weights), storages)
    archive(path("call.pth"), Call(), [])
    archive(path("call_script.pth"), Call(), [], code=True)
    legacy(path("call_legacy.pth"), {"a": Call()}, [])
    archive(path("packed.pth"), weights, storages, zipfile.ZIP_DEFLATED)
    archive(path("short.pth"), weights, storages, cut=2)
    legacy(path("missing.pth"), weights, storages[1:])
    archive(path("beyond.pth"), {"a": Tensor(count, 0, (2,), (1,))}, [count])
    huge = Storage("0", "f", [1])
    huge.count = 1 << 40
    legacy(path("huge_legacy.pth"), {"a": Tensor(huge, 0, (1,), (1,))}, [huge])
    archive(path("huge.pth"), {"a": Tensor(huge, 0, (1,), (1,))}, [huge])


main(sys.argv[1])
