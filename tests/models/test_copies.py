"""AlexNet and GoogLeNet give what a plain PyTorch copy gives with the same weights, on every backend."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from families import unsettled

from kcnn.initial import initialize, undrawn
from kcnn.registry import MODELS

COPIES = Path(__file__).parent.parent / "copies.py"

if importlib.util.find_spec("torch") is None:
    pytest.skip("compares with PyTorch, which is not installed", allow_module_level=True)


def copy_says(folder, name, options, model, pixels):
    """Return the outputs of the copy in a process of its own, since one process holds one framework."""
    weights = {
        f"{layer.name}/{index}": value for layer in model.layers for index, value in enumerate(layer.get_weights())
    }
    network = json.dumps([name, options])
    np.savez(folder / "given.npz", network=network, images=(pixels / 255).astype("float32"), **weights)
    subprocess.run([sys.executable, COPIES, folder / "given.npz", folder / "found.npz"], check=True, timeout=300)
    with np.load(folder / "found.npz") as found:
        return list(found.values())


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("alexnet", 32, {"stem": "small"}),
        pytest.param("alexnet", 101, {"stem": "large"}, marks=pytest.mark.slow),
        ("alexnet", 67, {"stem": "large", "form": "two_towers"}),
        ("googlenet", 32, {"stem": "small", "auxiliary": True}),
        pytest.param("googlenet", 75, {"stem": "large"}, marks=pytest.mark.slow),
        ("googlenet", 99, {"stem": "large", "form": "paper", "auxiliary": True}),
    ],
    ids=str,
)
def test_logits_are_equal(name, size, options, images, tmp_path):
    rng = np.random.default_rng(0)
    with undrawn():
        model = MODELS.get(name)((size, size, 3), 10, **options)
    initialize(model, 0)
    for weight in model.weights:
        weight.assign(unsettled(weight, rng))
    x = images(2, size, size, 3)
    received = model.predict_on_batch(x)
    received = received if isinstance(received, list) else [received]
    expected = copy_says(tmp_path, name, options, model, x)
    assert len(received) == len(expected)
    for ours, theirs in zip(received, expected, strict=True):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5)
