"""The images that an export is measured on."""

import numpy as np
import pytest

from kcnn.errors import DataNotFoundError


def test_data_that_is_gone_is_asked_for(exported, jpegs, tmp_path):
    from kcnn import recipe as recipes
    from kcnn.workflows._certified_images import certified_images

    recipe = recipes.load(exported[0].recipe, [f"data.path={tmp_path / 'gone'}"])
    names = ["blue", "green", "grey", "red"]
    with pytest.raises(DataNotFoundError, match="--data PATH says where the images lie"):
        certified_images(recipe, names, most=5)
    assert certified_images(recipe, names, path=jpegs, most=5).split == "validation"
    without = recipes.load(exported[0].recipe, ["data.validation=0", "callbacks.best=false"])
    assert certified_images(without, names, most=5).split == "test"


def test_certified_images_are_spread_over_the_split(exported):
    from kcnn import data
    from kcnn import recipe as recipes
    from kcnn.workflows._certified_images import certified_images

    names = ["blue", "green", "grey", "red"]
    recipe = recipes.load(exported[0].recipe, ["data.validation=0.4"])
    dataset = data.load(recipe.data, recipe.seed, class_names=names)
    whole, found = dataset.validation, certified_images(recipe, names, most=8, calibration=8)
    assert set(found.labels) == {0, 1, 2, 3}
    assert (found.names[0], found.names[-1]) == (whole.names[0], whole.names[-1])
    assert len(whole) > len(found.names) == len(found.images) == 8
    for name, label, image in zip(found.names, found.labels, found.images, strict=True):
        at = whole.names.index(name)
        assert label == whole.labels[at]
        np.testing.assert_array_equal(image, whole.images[at])
    of = {image.tobytes(): label for image, label in zip(dataset.train.images, dataset.train.labels, strict=True)}
    assert {of[image.tobytes()] for image in found.calibration} == {0, 1, 2, 3}
