"""The encoded images that a file which decodes by itself is compared on."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kcnn.data.decode import peek
from kcnn.workflows import _encoded


@pytest.mark.parametrize(
    ("side", "most", "expected"),
    [
        (20, 2**24, {(52, 34), (26, 62), (170, 170)}),
        (20, 1600, {(40, 34), (26, 40), (40, 40)}),  # as of a model whose images are large
        (20, 100, {(20, 20)}),
    ],
)
def test_images_are_enlarged_as_far_as_they_can_be_decoded(tmp_path, monkeypatch, side, most, expected):
    monkeypatch.setattr(_encoded, "LARGEST", most)
    images = np.zeros((5, side, side, 3), "uint8")
    found = SimpleNamespace(images=images, original=lambda position: None)
    paths = _encoded.samples(found, tmp_path / "encoded")
    assert {peek(path)[1::-1] for path in paths} == expected
    assert _encoded.decoded(paths, (side, side, 3), "crop").shape == (len(paths), side, side, 3)


def test_what_a_file_does_otherwise_is_told():
    paths = [Path("file-0"), Path("enlarged-0"), Path("enlarged-1")]
    pixels = np.full((3, 4, 4, 3), 100, "uint8")
    other = pixels.copy()
    other[0] += 3
    other[1] -= 3
    kcnns = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]], "float32")
    of_pixels = np.array([[0.6, 0.4], [0.7, 0.3], [0.7, 0.3]], "float32")
    probabilities = np.array([[0.5, 0.5], [0.4, 0.6], [0.8, 0.2]], "float32")
    theirs = {"pixels": other, "of_pixels": of_pixels, "probabilities": probabilities}
    assert _encoded.compare(paths, pixels, theirs, kcnns) == {
        "files": 1,
        "enlarged": 2,
        "largest": 3,
        "mean": pytest.approx(2),
        "equal": pytest.approx(1 / 3),
        "between": pytest.approx(0.3, abs=1e-6),
        "probability": pytest.approx(0.3, abs=1e-6),
        "top1": pytest.approx(2 / 3),
    }
