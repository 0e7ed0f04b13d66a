"""make_inception.py FOLDER

Gives the Inception network of pytorch-fid random weights, writes them to FOLDER/inception.pth as a
published weight file is written, and images and the network's features of them, computed in
float64, to FOLDER/features.h5."""

import importlib.util
import sys
import types

import h5py
import torch

NAMES = ["torchvision", "torchvision.models", "torchvision.transforms"]
UNUSED = {"torchvision.utils": "_log_api_usage_once",
          "torchvision.transforms._presets": "ImageClassification"}


def place_torchvision():
    """Of torchvision, pytorch-fid takes one module. The packages around it would import others on
    image files, which this network does not use and whose wheels are not here."""
    folder = importlib.util.find_spec("torchvision").submodule_search_locations[0]
    for name in NAMES:
        package = types.ModuleType(name)
        package.__path__ = [folder + "".join("/" + part for part in name.split(".")[1:])]
        sys.modules[name] = package
    for name, member in UNUSED.items():
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], member, lambda *_: None)
    version = importlib.import_module("torchvision.version").__version__
    sys.modules["torchvision"].__version__ = version
    models = sys.modules["torchvision"].models = sys.modules["torchvision.models"]
    models.inception = importlib.import_module("torchvision.models.inception")
    models.inception_v3 = models.inception.inception_v3


place_torchvision()
import pytorch_fid.inception as fid  # noqa: E402


def random_weights(*_, **__):
    """In the place of the download. Activations keep their size from layer to layer, and every
    number of the normalisation counts."""
    draws = torch.Generator().manual_seed(7)
    state = fid._inception_v3(num_classes=1008, aux_logits=False, weights=None).state_dict()
    for name, value in state.items():
        if name.endswith(("running_var", "bn.weight")):
            value.uniform_(0.5, 1.5, generator=draws)
        elif value.dim() > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=draws)
        elif value.dtype.is_floating_point:
            value.normal_(0, 0.2, generator=draws)
    return state


def main(folder):
    fid.load_state_dict_from_url = random_weights
    torch.save(random_weights(), folder + "/inception.pth")
    network = fid.InceptionV3().double().eval()
    with h5py.File(folder + "/features.h5", "w") as file, torch.no_grad():
        for name, shape in {"same": (1, 3, 299, 299), "small": (3, 3, 32, 48)}.items():
            draws = torch.Generator().manual_seed(len(name))
            images = torch.randint(0, 256, shape, generator=draws, dtype=torch.uint8)
            file["images/" + name] = images.numpy()
            file["features/" + name] = network(images.double() / 255)[0].flatten(1).numpy()


main(sys.argv[1])
