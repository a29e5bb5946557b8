"""A batch is a function of its number."""

import builtins
import itertools

import numpy as np
import pytest

from kcnn.data import load
from kcnn.data.batches import EvaluationBatches, TrainingBatches
from kcnn.data.dataset import Split
from kcnn.errors import DataError, ImageError


@pytest.fixture
def split():
    """23 images whose pixels hold their own index."""
    images = np.zeros((23, 2, 2, 1), "uint8") + np.arange(23, dtype="uint8")[:, None, None, None]
    return Split(images, np.arange(23, dtype="int32") % 3, [f"{index:02d}" for index in range(23)])


def assert_equal(one, two):
    assert len(one) == len(two)
    assert set(one[0]) == set(two[0]) == {"pixels", "position"}
    for left, right in zip([*one[0].values(), *one[1:]], [*two[0].values(), *two[1:]], strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def assert_all_equal(one, two):
    for left, right in itertools.zip_longest(one, two):
        assert_equal(left, right)


def seen(batches, epoch):
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    return np.concatenate([batches[step][0]["pixels"][:, 0, 0, 0] for step in steps])


@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_each_image_once_an_epoch(split, batch_size):
    batches = TrainingBatches(split, 3, batch_size, 0, 3)
    orders = [seen(batches, epoch) for epoch in range(3)]
    for order in orders:
        assert sorted(order) == list(range(23))
    assert len({tuple(order) for order in orders}) == 3


def test_order_does_not_depend_on_the_batch_size(split):
    np.testing.assert_array_equal(
        seen(TrainingBatches(split, 3, 4, 9, 2), 1), seen(TrainingBatches(split, 3, 7, 9, 2), 1)
    )


def test_seed_changes_the_order(split):
    assert tuple(seen(TrainingBatches(split, 3, 4, 0, 1), 0)) != tuple(seen(TrainingBatches(split, 3, 4, 1, 1), 0))


def test_shapes_and_positions(split):
    batches = TrainingBatches(split, 3, 5, 0, 2)
    assert (batches.steps_per_epoch, len(batches)) == (5, 10)
    inputs, labels = batches[9]
    assert inputs["pixels"].shape == (3, 2, 2, 1)
    assert inputs["pixels"].dtype == np.uint8
    assert inputs["position"].tolist() == [43, 44, 45]
    assert inputs["position"].dtype == np.int32
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels.argmax(axis=1), inputs["pixels"][:, 0, 0, 0] % 3)
    np.testing.assert_array_equal(labels.sum(axis=1), 1)
    for step in (-1, 10):
        with pytest.raises(IndexError, match=f"step={step}"):
            batches[step]


def test_position_wraps(split):
    batches = TrainingBatches(split, 3, 23, 0, 2**27)
    assert batches[2**27 - 1][0]["position"][0] == (23 * (2**27 - 1) + 2**31) % 2**32 - 2**31


def test_batches_are_a_pure_function_of_the_step(split):
    batches = TrainingBatches(split, 3, 5, 0, 3)
    again = TrainingBatches(split, 3, 5, 0, 3)
    backwards = [again[step] for step in reversed(range(len(again)))]
    assert_all_equal(batches, reversed(backwards))
    for start in (0, 4, 5, 14, 15):
        assert_all_equal(batches.iterate(start), [again[step] for step in range(start, len(again))])


def test_class_weights(split):
    weights = np.array([1, 2, 5])
    for inputs, labels, sample_weight in TrainingBatches(split, 3, 5, 0, 1, class_weights=weights):
        assert sample_weight.dtype == np.float32
        np.testing.assert_array_equal(sample_weight, weights[labels.argmax(axis=1)])
        assert len(sample_weight) == len(inputs["position"])


def test_mixed_labels_are_weighted_after_mixing(split):
    calls = []

    def mix_labels(labels, position):
        calls.append(position)
        return (labels + np.roll(labels, 1, axis=0)) / 2

    weights = np.array([1, 2, 5], "float32")
    batches = TrainingBatches(split, 3, 5, 0, 1, mix_labels=mix_labels, class_weights=weights)
    inputs, labels, sample_weight = batches[1]
    np.testing.assert_array_equal(calls[0], inputs["position"])
    np.testing.assert_allclose(sample_weight, labels @ weights)
    plain = TrainingBatches(split, 3, 5, 0, 1)[1][1]
    np.testing.assert_array_equal(labels, (plain + np.roll(plain, 1, axis=0)) / 2)


def test_evaluation_goes_through_in_order(split):
    batches = EvaluationBatches(split, 3, 5)
    assert len(batches) == 5
    for _ in range(2):
        pixels = np.concatenate([inputs["pixels"][:, 0, 0, 0] for inputs, _ in batches])
        np.testing.assert_array_equal(pixels, np.arange(23))
    inputs, labels = batches[4]
    assert inputs["position"].tolist() == [0, 0, 0]
    assert labels.argmax(axis=1).tolist() == [2, 0, 1]
    with pytest.raises(IndexError):
        batches[5]


@pytest.fixture(scope="module")
def both(tmp_path_factory, write_classes, make_config):
    root = write_classes(tmp_path_factory.mktemp("pets"), count=23)
    return [load(make_config(root, memory_limit=limit), 0).train for limit in (4.0, 0.0)]


@pytest.mark.parametrize("start", [0, 3, 17, 24])
def test_streamed_training_batches_are_the_same(both, start):
    weights = np.array([1, 3])
    memory, stream = (TrainingBatches(split, 2, 6, 5, 3, class_weights=weights) for split in both)
    assert len(memory) == 24
    assert_all_equal(memory.iterate(start), stream.iterate(start))


def test_streamed_evaluation_batches_are_the_same(both):
    memory, stream = (EvaluationBatches(split, 2, 6) for split in both)
    for _ in range(2):
        assert_all_equal(memory, stream)
    assert_all_equal(memory.iterate(5), stream.iterate(5))


def test_streaming_can_be_left_early(both):
    batches = TrainingBatches(both[1], 2, 6, 5, 3)
    for _ in range(3):
        assert_equal(next(iter(batches)), batches[0])


def test_streaming_without_grain(both, monkeypatch):
    original = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "grain":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=r"pip install 'kcnn\[data\]'"):
        TrainingBatches(both[1], 2, 6, 5, 3).iterate()


def test_image_that_vanishes_while_streaming(tmp_path, write_classes, make_config):
    train = load(make_config(write_classes(tmp_path), memory_limit=0), 0).train
    (tmp_path / "cat/003.png").unlink()
    with pytest.raises(ImageError, match=r"cat/003\.png: there is no such file"):
        list(EvaluationBatches(train, 2, 4))
