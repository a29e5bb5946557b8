"""The article's network, explained by the article's own function and by pytorch-grad-cam."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kcnn import backend
from kcnn.explain.maps import normalise
from kcnn.explain.network import TakenApart
from kcnn.initial import initialize
from kcnn.registry import METHODS, MODELS

SCRIPT = Path(__file__).parent.parent / "article_cam.py"
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The network with its images and classes, and what plain PyTorch finds, by method."""
    if "torch" not in backend.installed():
        pytest.skip("compares with PyTorch")
    folder = tmp_path_factory.mktemp("cam")
    network = MODELS.get("simple_cnn")((32, 32, 3), 10, mean=MEAN, std=STD, initialization="pytorch")
    initialize(network, 0)
    logits = network.get_layer("logits")
    # Derivatives far above the 1e-6 that pytorch-grad-cam adds to their squares in Grad-CAM++, and ours do not.
    logits.set_weights([300 * array for array in logits.get_weights()])
    generator = np.random.default_rng(0)
    # Blots of eight pixels, which pooling does not level as it does noise.
    images = generator.integers(0, 256, (10, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2).astype("float32")
    classes = np.arange(10)
    weights = [array for layer in network.layers if layer.weights for array in layer.get_weights()]
    np.savez(
        folder / "input.npz",
        images=images,
        classes=classes,
        weights=len(weights),
        **{f"weight{index}": array for index, array in enumerate(weights)},
    )
    # In a process of its own: nothing of Keras or kcnn takes part.
    subprocess.run([sys.executable, SCRIPT, folder / "input.npz", folder / "output.npz"], check=True)
    return TakenApart(network), images, classes, np.load(folder / "output.npz")


def test_grad_cam_is_the_articles(both):
    network, images, classes, plain = both
    found = METHODS.get("grad_cam")(network, images, classes)
    assert (plain["article"].max(axis=(1, 2)) > 0).sum() >= 5
    np.testing.assert_allclose(normalise(found), normalise(plain["article"]), atol=1e-4)


@pytest.mark.parametrize("name", ["grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam"])
def test_maps_are_those_of_pytorch_grad_cam(name, both):
    network, images, classes, plain = both
    found = METHODS.get(name)(network, images, classes)
    # It takes the least of each small map away, which ours keep: what is 0 here says nothing for the class.
    low, high = (edge(found, axis=(1, 2), keepdims=True) for edge in (np.min, np.max))
    scaled = (found - low) / np.where(high > low, high - low, 1)
    np.testing.assert_allclose(scaled, plain[name], atol=1e-4)
