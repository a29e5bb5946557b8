"""The recipe cifar10_simple_cnn is the article's run: plain PyTorch makes the same losses, on every backend."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kcnn import backend, data, recipe
from kcnn.assemble import assemble

ARTICLE = Path(__file__).parent.parent / "article.py"
EPOCHS, STEPS, BATCH = 4, 5, 64


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """320 handwritten digits as colour images of 32 x 32 pixels, one folder a class."""
    folder = tmp_path_factory.mktemp("images")
    digits = load_digits()
    for index in range(STEPS * BATCH):
        target = folder / str(digits.target[index])
        target.mkdir(exist_ok=True)
        pixels = (digits.images[index] * 255 / 16).round().astype("uint8")
        image = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC)
        tinted = [image.point(lambda value, tint=tint: int(value * tint)) for tint in (1.0, 0.8, 0.6)]
        Image.merge("RGB", tinted).save(target / f"{index:03d}.png")
    return folder


@pytest.mark.skipif("torch" not in backend.installed(), reason="compares with PyTorch")
def test_plain_pytorch_has_the_same_logits_rates_and_losses(images, tmp_path):
    settings = (
        f"epochs={EPOCHS}",
        f"batch_size={BATCH}",
        "augment=[]",
        "model.dropout=0.0",
        "model.block_dropout=0.0",
        "data.validation=0.0",
        "data.test=0.0",
    )
    loaded = recipe.load("cifar10_simple_cnn", settings, data=str(images))
    training = assemble(loaded, data.load(loaded.data, loaded.seed))
    batches = [training.batches[step] for step in range(EPOCHS * STEPS)]
    states = [weights(training)]
    logits = training.network.predict_on_batch(batches[0][0]["pixels"].astype("float32"))
    losses = []
    for inputs, labels in batches:
        training.model.reset_metrics()
        losses.append(float(training.model.train_on_batch(inputs, labels, return_dict=True)["loss"]))
        states.append(weights(training))
    np.savez(
        tmp_path / "input.npz",
        images=np.stack([inputs["pixels"] for inputs, _ in batches]),
        labels=np.stack([labels.argmax(axis=1) for _, labels in batches]),
        epochs=EPOCHS,
        weights=len(states[0]),
        **{f"weight{index}": np.stack(arrays) for index, arrays in enumerate(zip(*states, strict=True))},
    )

    # In a process of its own: nothing of Keras or kcnn takes part.
    subprocess.run([sys.executable, ARTICLE, tmp_path / "input.npz", tmp_path / "output.npz"], check=True)
    plain = np.load(tmp_path / "output.npz")
    np.testing.assert_allclose(logits, plain["logits"], atol=1e-4)
    np.testing.assert_allclose(training.rates, plain["rates"], rtol=1e-6)
    # From the same weights each step is the same step. An update may differ in the few weights whose gradient is no
    # larger than its rounding, since Adam makes full steps of those too.
    np.testing.assert_allclose(losses, plain["same"], rtol=5e-5)
    assert plain["updates"].max() < 0.05
    # On their own the two part as any two float32 trainings of this network do (docs/parity.md).
    np.testing.assert_allclose(losses, plain["losses"], atol=0.01 * losses[0])
    assert losses[-1] < 0.1 * losses[0]


def weights(training):
    return [np.array(array) for layer in training.network.layers if layer.weights for array in layer.get_weights()]
