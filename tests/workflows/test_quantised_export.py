"""Exports with smaller weights: their size, their scales, and what they may lose."""

import functools

import numpy as np
import pytest
from copied_runs import copy_of

from kcnn.classifier import Classifier
from kcnn.workflows.export import export

pytestmark = pytest.mark.usefixtures("short_timing")


@pytest.fixture(scope="module")
def quantised(smoke_run, tmp_path_factory):
    """Return `quantised(quantize)`: a trained run, and its certificates by format."""
    run = copy_of(smoke_run, tmp_path_factory.mktemp("quantised"))

    @functools.cache
    def made(quantize):
        certificates = export(run, ["onnx", "litert", "openvino"], quantize=quantize, budget=5.0)
        return run, {one.format: one for one in certificates}

    return made


@pytest.mark.parametrize("name", ["onnx", "litert", "openvino"])
@pytest.mark.parametrize(("quantize", "share"), [("int8", 0.25), pytest.param("float16", 0.5, marks=pytest.mark.slow)])
def test_a_quantised_file_is_small_and_keeps_its_budget(quantised, name, quantize, share):
    run, certificates = quantised(quantize)
    certificate = certificates[name]
    assert certificate.holds, certificate.complaints
    assert certificate.rule == {"budget": 5.0}
    page = (run.exports / f"{name}-{quantize}" / "certificate.html").read_text()
    assert f"--format {name} --quantize {quantize} --budget 5 --backend" in page
    assert 0 < certificate.difference["probability"] < 0.1
    weights = 4 * Classifier.open(run.path).model.count_params()
    size = sum(file["bytes"] for name, file in certificate.exported["files"].items() if not name.endswith(".xml"))
    assert size < 1.1 * share * weights + 2**14  # graph and metadata, much for a tiny network
    calibration = certificate.images["calibration"]
    assert calibration == ({"split": "train", "count": 256} if quantize == "int8" else None)


def test_convolutions_are_quantised_channel_by_channel(quantised):
    import onnx
    from onnx import numpy_helper

    run, _ = quantised("int8")
    model = onnx.load(run.exports / "onnx-int8" / "model.onnx")
    arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    producers = {output: node for node in model.graph.node for output in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        dequantised = producers[node.input[1]]
        assert dequantised.op_type == "DequantizeLinear"
        weights, scales = (arrays[name] for name in dequantised.input[:2])
        assert weights.dtype == np.int8
        assert abs(weights).max() <= 64, "two products of 8 bits overflow 16, on processors without VNNI"
        assert scales.shape == (len(weights),)


def test_scales_come_from_images_that_are_not_measured(smoke_run):
    from kcnn import recipe as recipes
    from kcnn.workflows._certified_images import certified_images

    recipe = recipes.load(smoke_run.recipe)
    names = [str(digit) for digit in range(10)]
    measured = certified_images(recipe, names, most=10_000, calibration=100)
    from kcnn import data

    dataset = data.load(recipe.data, recipe.seed)
    train = {image.tobytes() for image in dataset.train.images}
    assert all(image.tobytes() in train for image in measured.calibration)
    np.testing.assert_array_equal(measured.images, dataset.validation.images)
