"""Runs an ONNX model with onnxruntime and compares its images with stored ones:
check_onnx.py MODEL.onnx CASES.h5

Each group of CASES.h5 has the model's inputs by name, and "image". Fails when a pixel differs by
more than 1e-4 of the image's largest magnitude: float32 sums in another order."""

import sys

import h5py
import numpy
import onnxruntime

TOLERANCE = 1e-4

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
model = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
with h5py.File(sys.argv[2]) as cases:
    assert len(cases) > 0
    for name, case in cases.items():
        inputs = {key: numpy.array(value) for key, value in case.items() if key != "image"}
        (image,) = model.run(["image"], inputs)
        expected = case["image"][()]
        assert image.dtype == numpy.float32 and image.shape == expected.shape, image.shape
        error = numpy.abs(image - expected).max() / numpy.abs(expected).max()
        print(f"{name}: shape {image.shape}, relative error {error:.2e}")
        assert error < TOLERANCE, name
