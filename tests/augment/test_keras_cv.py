"""KerasCV in the input pipeline; a clear message where it is not installed."""

import os
import subprocess
import sys

import numpy as np
import pytest

from kcnn.augment.keras_cv import KerasCvAugMix, KerasCvGridMask, KerasCvRandAugment
from kcnn.errors import BackendError

LAYERS = [KerasCvRandAugment, KerasCvAugMix, KerasCvGridMask]


@pytest.mark.parametrize("layer_class", LAYERS)
def test_without_the_extra_the_error_says_what_to_install(layer_class, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_cv", None)  # what cannot be imported
    with pytest.raises(BackendError, match=r"pip install 'kcnn\[cv\]'"):
        layer_class()


@pytest.mark.parametrize("layer_class", LAYERS)
@pytest.mark.filterwarnings("ignore")  # KerasCV's last release, on a newer Python and Keras
def test_images_follow_their_position(layer_class, noise):
    images, position = noise(5, 16, 16, 3), np.arange(5, dtype="int32")
    layer = layer_class(seed=2, name="cv")
    assert layer.in_pipeline
    first = layer.transform(images, position)
    assert first.dtype == np.uint8
    assert first.shape == images.shape
    assert (first != images).any()
    copy = layer_class.from_config(layer.get_config())
    np.testing.assert_array_equal(copy.transform(images, position), first)
    # In another order and another batch.
    np.testing.assert_array_equal(layer.transform(images[3:0:-2], position[3:0:-2]), first[3:0:-2])
    same = np.repeat(images[:1], 12, axis=0)
    assert len(np.unique(layer.transform(same, np.arange(12)), axis=0)) > 3


@pytest.mark.parametrize("layer_class", LAYERS)
@pytest.mark.filterwarnings("ignore")
def test_grey_images_stay_grey(layer_class, noise):
    """Some operations of KerasCV take three channels alone, and which one comes is drawn."""
    images = noise(40, 8, 8, 1)
    changed = layer_class(seed=2, name="cv").transform(images, np.arange(40, dtype="int32"))
    assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
    assert (changed != images).any()


def test_options_are_checked_before_anything_is_imported():
    with pytest.raises(ValueError, match="`magnitude` must be"):
        KerasCvRandAugment(magnitude=2.0)
    with pytest.raises(ValueError, match="`severity` must be"):
        KerasCvAugMix(severity=0.0)
    with pytest.raises(ValueError, match="`ratio` must be"):
        KerasCvGridMask(ratio=1.5)


@pytest.mark.parametrize("deterministic", ["true", "false"])
def test_they_can_be_trained_with(tmp_path, deterministic, backend_name):
    """Where operations are deterministic TensorFlow lends no random numbers, which parts of AugMix ask for."""
    names = ("keras_cv_aug_mix", "keras_cv_rand_augment", "keras_cv_grid_mask")
    augment = ", ".join(f'{{name="{name}"}}' for name in names)
    words = ["fit", "smoke", "--epochs", "1", "--out", str(tmp_path)]
    for setting in ("data.limit=20", f"run.deterministic={deterministic}", f"augment=[{augment}]"):
        words += ["--set", setting]
    result = subprocess.run(
        [sys.executable, "-m", "kcnn", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": backend_name},
    )
    assert result.returncode == 0, result.stderr
