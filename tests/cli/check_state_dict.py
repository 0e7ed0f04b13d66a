"""Compares a state dictionary, as PyTorch reads it without trusting it, with a network snapshot:
check_state_dict.py FILE.pth SNAPSHOT.h5 NETWORK"""

import sys

import h5py
import torch

state = torch.load(sys.argv[1], weights_only=True)
with h5py.File(sys.argv[2]) as snapshot:
    network = snapshot[sys.argv[3]]
    assert set(state) == set(network), set(state) ^ set(network)
    for name, tensor in state.items():
        expected = torch.from_numpy(network[name][()])
        assert tensor.dtype == expected.dtype and tensor.shape == expected.shape, name
        assert torch.equal(tensor, expected), name
        tensor.add_(1)  # its memory is its own
