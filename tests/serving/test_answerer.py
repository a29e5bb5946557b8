"""Batches of any size for a model that knows few sizes."""

import numpy as np
import pytest
from known import Known

from kcnn.serving.answerer import Answerer


@pytest.mark.parametrize("most", [1, 2, 3, 8, 24, 32])
def test_padding_takes_few_sizes_and_changes_no_answer(most):
    model = Known()
    images = np.random.default_rng(0).integers(0, 4, (most, 8, 8, 3), dtype="uint8")
    padded, plain = Answerer(model, most=most, padded=True), Answerer(model, most=most, padded=False)
    padded.warm_up()
    warm = set(model.sizes)
    assert warm == set(padded.sizes())
    assert len(warm) <= 6
    for count in range(1, most + 1):
        model.sizes.clear()
        np.testing.assert_array_equal(padded(list(images[:count])), model.probabilities(images[:count]))
        assert model.sizes[0] in warm
        assert count <= model.sizes[0] < 2 * count
        model.sizes.clear()
        plain(list(images[:count]))
        assert model.sizes == [count]
