"""make_pickle.py NETWORKS.safetensors DEST PROTOCOL [DEST PROTOCOL ...]

Pickles networks as the published training programs do, without any of their libraries: stand-ins
with the same names leave the same opcodes in the file."""

import collections
import io
import json
import pickle
import struct
import sys
import types


def place(module, cls):
    """Lets pickle find a class or function under the name of a published module."""
    for end in range(len(module.split("."))):
        name = ".".join(module.split(".")[: end + 1])
        sys.modules.setdefault(name, types.ModuleType(name))
    cls.__module__, cls.__qualname__ = module, cls.__name__
    setattr(sys.modules[module], cls.__name__, cls)
    return cls


def function(module, name):
    def stand_in():
        pass

    stand_in.__name__ = name
    return place(module, stand_in)


EasyDict = place("dnnlib.util", type("EasyDict", (dict,), {}))
FloatStorage = place("torch", type("FloatStorage", (), {}))
Sequential = place("torch.nn.modules.container", type("Sequential", (), {}))
SynthesisInput = place("training.networks_creps", type("SynthesisInput", (), {}))
reconstruct = function("torch_utils.persistence", "_reconstruct_persistent_obj")
rebuild_parameter = function("torch._utils", "_rebuild_parameter")
rebuild_tensor = function("torch._utils", "_rebuild_tensor_v2")
load_from_bytes = function("torch.storage", "_load_from_bytes")
make_scalar = function("numpy.core.multiarray", "scalar")


class dtype:
    def __reduce__(self):
        return dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 0)


place("numpy", dtype)


class Scalar:
    """A NumPy float64."""

    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return make_scalar, (dtype(), struct.pack("<d", self.value))


class Storage:
    def __init__(self, data):
        self.data = data

    def stream(self):
        out = io.BytesIO()
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
        for value in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(value, out, protocol=2)
        count = len(self.data) // 4
        pickler = pickle.Pickler(out, protocol=2)
        pickler.persistent_id = lambda value: (
            ("storage", FloatStorage, "123", "cpu", count, None) if value is self else None
        )
        pickler.dump(self)
        pickle.dump(["123"], out, protocol=2)
        return out.getvalue() + struct.pack("<q", count) + self.data

    def __reduce__(self):
        return load_from_bytes, (self.stream(),)


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.arguments = storage, offset, shape, strides, False, collections.OrderedDict()

    def __reduce__(self):
        return rebuild_tensor, self.arguments


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Persistent:
    def __init__(self, class_name, state):
        self.class_name, self.state = class_name, state

    def __reduce__(self):
        meta = EasyDict(type="class", version=6, module_src="raise SystemExit('executed')\n" * 50)
        meta.update(class_name=self.class_name, state=self.state)
        return reconstruct, (meta,)


def tensor_of(shape, data):
    """Matrices lie column by column, after two unused numbers: offset and strides must be obeyed."""
    if len(shape) != 2:
        strides, step = [], 1
        for side in reversed(shape):
            strides.insert(0, step)
            step *= side
        return Tensor(Storage(data), 0, tuple(shape), tuple(strides))
    rows, columns = shape
    numbers = struct.unpack("<%df" % (rows * columns), data)
    turned = [numbers[r * columns + c] for c in range(columns) for r in range(rows)]
    stored = struct.pack("<%df" % (2 + len(turned)), 7, 7, *turned)
    return Tensor(Storage(stored), 2, (rows, columns), (1, rows))


def new_state():
    state = {"training": False, "_parameters": collections.OrderedDict(), "_buffers": {}}
    state.update(_non_persistent_buffers_set=set(), _backward_hooks=collections.OrderedDict())
    state.update(_modules=collections.OrderedDict(), weight_gain=Scalar(0.25), in_features=512)
    return state


def module_of(name, state):
    """What a module is pickled as depends on its class."""
    leaf = name.split(".")[-1]
    if leaf.startswith("decoder_") and leaf != "decoder_img":
        module = Sequential()
    elif name.endswith("b4.input"):
        module = SynthesisInput()
    else:
        return Persistent("Layer", state)
    module.__dict__.update(state)
    return module


def build(tree, name, state):
    for child, subtree in tree.items():
        full = f"{name}.{child}" if name else child
        if isinstance(subtree, dict):
            child_state = new_state()
            build(subtree, full, child_state)
            state["_modules"][child] = module_of(full, child_state)
        else:
            tensor, is_buffer = subtree
            if is_buffer:
                state["_buffers"][child] = tensor
            else:
                state["_parameters"][child] = Parameter(tensor)


def network(name, header, data):
    meta, tree = header["__metadata__"], {}
    buffers = json.loads(meta[name + ".buffers"])
    for full, entry in header.items():
        if not full.startswith(name + ".") or full == "__metadata__":
            continue
        assert entry["dtype"] == "F32"
        path = full[len(name) + 1 :]
        begin, end = entry["data_offsets"]
        node = tree
        for part in path.split(".")[:-1]:
            node = node.setdefault(part, {})
        node[path.split(".")[-1]] = tensor_of(entry["shape"], data[begin:end]), path in buffers
    state = new_state()
    kwargs = EasyDict(json.loads(meta[name + ".init"]))
    if "gain" in kwargs:
        kwargs["gain"] = Scalar(kwargs["gain"])
    state.update(_init_args=(), _init_kwargs=kwargs)
    build(tree, "", state)
    return Persistent(meta[name + ".class"].split(".")[-1], state)


def main():
    source, *outputs = sys.argv[1:]
    with open(source, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    names = {name.split(".")[0] for name in header if name != "__metadata__"}
    snapshot = {name: network(name, header, data) for name in sorted(names)}
    snapshot["augment_pipe"] = None
    snapshot["training_set_kwargs"] = EasyDict(path="/elsewhere/ffhq256.zip", use_labels=False)
    for dest, protocol in zip(outputs[::2], outputs[1::2]):
        with open(dest, "wb") as file:
            pickle.dump(snapshot, file, protocol=int(protocol))


main()
