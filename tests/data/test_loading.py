"""From a recipe's [data] to a Dataset."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kcnn.data import load
from kcnn.data.statistics import lowest, measure
from kcnn.errors import DataError, DataNotFoundError, ImageError, RecipeError

MODES = pytest.mark.parametrize("memory_limit", [4.0, 0.0], ids=["memory", "streamed"])


def everything(split):
    return split.images[np.arange(len(split))]


def test_labels_follow_the_names(tmp_path, write_classes, make_config, make_pixels):
    dataset = load(make_config(write_classes(tmp_path, ("b", "a", "c"))), 0)
    assert dataset.class_names == ["a", "b", "c"]
    assert dataset.validation is None
    assert dataset.test is None
    train = dataset.train
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int32
    for image, label, name in zip(train.images, train.labels, train.names, strict=True):
        assert name.startswith(dataset.class_names[label])
        np.testing.assert_array_equal(image, make_pixels(name))


@MODES
def test_splits_are_disjoint_and_whole(tmp_path, write_classes, make_config, memory_limit):
    config = make_config(write_classes(tmp_path, count=40), validation=0.2, test=0.2, memory_limit=memory_limit)
    dataset = load(config, 0, splits=("train", "validation", "test"))
    names = [set(split.names) for split in (dataset.train, dataset.validation, dataset.test)]
    assert sum(map(len, names)) == len(set.union(*names)) == 80
    alone = load(config, 0, splits=("test",))
    assert alone.test.names == dataset.test.names
    assert (alone.train, alone.validation, alone.mean, alone.std) == (None, None, None, None)
    np.testing.assert_array_equal(everything(alone.test), everything(dataset.test))


def test_seed_moves_validation_images_but_never_test_images(tmp_path, write_classes, make_config):
    config = make_config(write_classes(tmp_path, count=40), validation=0.2, test=0.2)
    one, two = (load(config, seed, splits=("validation", "test")) for seed in (0, 1))
    assert one.test.names == two.test.names
    assert one.validation.names != two.validation.names


def test_given_splits_win_over_fractions(tmp_path, write_classes, make_config):
    for prefix in ("train/", "val/", "test/"):
        write_classes(tmp_path, prefix=prefix)
    config = make_config(tmp_path, validation=0.5, test=0.5)
    dataset = load(config, 0, splits=("train", "validation", "test"))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [20, 20, 20]


def test_only_wanted_splits_are_decoded(tmp_path, write_classes, make_config):
    write_classes(tmp_path, prefix="train/")
    write_classes(tmp_path, prefix="test/")
    (tmp_path / "test/cat/000.png").write_bytes(b"broken")
    assert load(make_config(tmp_path), 0).test is None
    with pytest.raises(ImageError):
        load(make_config(tmp_path), 0, splits=("test",))


def test_adding_images_moves_nothing(tmp_path, write_classes, make_config):
    config = make_config(write_classes(tmp_path, count=40), validation=0.2, test=0.2)
    before = load(config, 0, splits=("train", "validation", "test"))
    write_classes(tmp_path, ("cat", "dog", "emu"), count=50)
    after = load(config, 0, splits=("train", "validation", "test"))
    for split in ("train", "validation", "test"):
        assert set(getattr(before, split).names) <= set(getattr(after, split).names)


def test_limit_is_taken_after_the_validation_split(tmp_path, write_classes, make_config):
    write_classes(tmp_path, count=40)
    whole = load(make_config(tmp_path, validation=0.2), 0)
    small = load(make_config(tmp_path, validation=0.2, limit=10), 0)
    assert small.validation.names == whole.validation.names
    assert set(small.train.names) < set(whole.train.names)
    assert np.bincount(small.train.labels).tolist() == [5, 5]
    assert load(make_config(tmp_path, validation=0.2, limit=1000), 0).train.names == whole.train.names


@MODES
def test_memory_and_stream_agree(tmp_path, write_classes, make_config, memory_limit):
    write_classes(tmp_path, size=(30, 40))
    options = {"validation": 0.3, "image_size": (10, 12)}
    memory = load(make_config(tmp_path, **options), 0)
    other = load(make_config(tmp_path, memory_limit=memory_limit, **options), 0)
    assert isinstance(other.train.images, np.ndarray) == (memory_limit > 0)
    np.testing.assert_array_equal(everything(other.train), memory.train.images)
    assert (other.mean, other.std) == (memory.mean, memory.std)


def test_mean_and_std(tmp_path, write_classes, make_config):
    dataset = load(make_config(write_classes(tmp_path)), 0)
    scaled = dataset.train.images / 255
    np.testing.assert_allclose(dataset.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, scaled.std(axis=(0, 1, 2)), rtol=1e-9)


def test_statistics_of_a_sample(tmp_path, write_classes, make_config, monkeypatch):
    train = load(make_config(write_classes(tmp_path)), 0).train
    monkeypatch.setattr("kcnn.data.statistics.SAMPLE", 7)
    rows = lowest(train.names, 7)
    assert len(rows) == 7
    np.testing.assert_allclose(measure(train)[0], train.images[rows].mean(axis=(0, 1, 2)) / 255)


def test_constant_images_have_a_std_above_zero(make_config, tmp_path, write_image):
    for index, name in enumerate(("a/1.bmp", "b/1.bmp")):
        path = write_image(tmp_path, name)
        path.write_bytes(path.read_bytes()[:54] + bytes(192) + bytes(index))
    assert load(make_config(tmp_path), 0).std == (1 / 255,) * 3


def test_given_mean_and_std(tmp_path, write_classes, make_config):
    write_classes(tmp_path)
    dataset = load(make_config(tmp_path, mean=[0.5, 0.5, 0.5], std=[1, 1, 1]), 0, splits=("test",))
    assert (dataset.mean, dataset.std) == ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    half = load(make_config(tmp_path, mean=[0.5, 0.5, 0.5]), 0)
    assert half.mean == (0.5, 0.5, 0.5)
    assert 0.2 < half.std[0] < 0.4
    with pytest.raises(RecipeError, match=r"data\.mean must have one number for each of the 3 channels"):
        load(make_config(tmp_path, mean=[0.5]), 0)


@pytest.mark.parametrize(
    ("size", "channels", "expected"),
    [((10, 20), 3, (10, 20, 3)), ((128, 30), 1, (128, 30, 1)), ((129, 30), 3, (64, 64, 3))],
)
def test_shape_comes_from_the_images(tmp_path, write_classes, make_config, size, channels, expected):
    write_classes(tmp_path, size=size, channels=channels, count=3)
    dataset = load(make_config(tmp_path), 0)
    assert dataset.image_shape == expected
    assert dataset.train.images.shape[1:] == expected


def test_shape_of_mixed_images(tmp_path, write_image, make_config):
    write_image(tmp_path, "a/1.png", size=(10, 10), channels=1)
    write_image(tmp_path, "b/1.png", size=(10, 11), channels=3)
    assert load(make_config(tmp_path), 0).image_shape == (64, 64, 3)
    assert load(make_config(tmp_path, image_size=(9, 9), channels=1), 0).image_shape == (9, 9, 1)


def test_evaluation_has_the_shape_of_training(tmp_path, write_classes, make_config):
    write_classes(tmp_path, prefix="train/", size=(10, 12))
    write_classes(tmp_path, prefix="test/", size=(30, 40))
    assert load(make_config(tmp_path), 0, splits=("test",)).image_shape == (10, 12, 3)


def test_one_class(tmp_path, write_classes, make_config):
    write_classes(tmp_path, ("cat",))
    with pytest.raises(DataNotFoundError, match=r"at least two classes\. Received one: 'cat'.*PATH/<class>/<image>"):
        load(make_config(tmp_path), 0)


def test_class_with_one_image(tmp_path, write_classes, make_config):
    write_classes(tmp_path)
    write_classes(tmp_path, ("lonely",), count=1)
    with pytest.raises(DataError, match="'lonely'"):
        load(make_config(tmp_path, validation=0.2), 0)
    assert len(load(make_config(tmp_path), 0).class_names) == 3


def test_classes_need_an_image_for_each_split(tmp_path, write_classes, make_config):
    write_classes(tmp_path)
    write_classes(tmp_path, ("pair",), count=2)
    with pytest.raises(DataError, match=r"at least 3 images where test images .* 'pair'.* data\.test = 0"):
        load(make_config(tmp_path, validation=0.2, test=0.2), 0)
    assert len(load(make_config(tmp_path, validation=0.2), 0).class_names) == 3


def test_class_that_training_lacks(tmp_path, write_classes, make_config):
    write_classes(tmp_path, prefix="train/")
    write_classes(tmp_path, ("cat", "emu"), prefix="val/")
    with pytest.raises(DataError, match="validation images have classes that the train images lack: 'emu'"):
        load(make_config(tmp_path), 0)


def test_known_classes_decide_the_labels(tmp_path, write_classes, make_config):
    write_classes(tmp_path, ("cat",), prefix="test/")
    dataset = load(make_config(tmp_path), 0, splits=("test",), class_names=["dog", "emu", "cat"])
    assert dataset.class_names == ["dog", "emu", "cat"]
    assert set(dataset.test.labels) == {2}


def test_unknown_labels(tmp_path, write_classes, make_config):
    write_classes(tmp_path, ("cat", "zebra"), prefix="test/")
    with pytest.raises(DataError, match=r"labels that the model does not know: 'zebra'\. It knows: dog, cat\."):
        load(make_config(tmp_path), 0, splits=("test",), class_names=["dog", "cat"])


@MODES
def test_bad_images_fail_in_one_message(tmp_path, write_classes, make_config, memory_limit):
    write_classes(tmp_path)
    for index in range(5):
        (tmp_path / f"cat/{index:03d}.png").write_bytes(b"bad")
    with pytest.raises(ImageError) as caught:
        load(make_config(tmp_path, memory_limit=memory_limit), 0)
    message = str(caught.value)
    assert message.startswith("5 of 20 images cannot be used:")
    assert "cat/002.png: its content is not" in message
    assert "cat/003.png" not in message
    assert "and 2 more" in message
    assert 'on_bad_image = "skip"' in message


@MODES
def test_bad_images_are_skipped(tmp_path, write_classes, make_config, memory_limit):
    write_classes(tmp_path)
    whole = load(make_config(tmp_path), 0)
    data = (tmp_path / "cat/004.png").read_bytes()
    (tmp_path / "cat/004.png").write_bytes(data[: len(data) // 2])
    dataset = load(make_config(tmp_path, memory_limit=memory_limit, on_bad_image="skip"), 0)
    [(name, reason)] = dataset.skipped
    assert name.endswith("cat/004.png")
    assert "cut short" in reason
    keep = [index for index, other in enumerate(whole.train.names) if other != "cat/004.png"]
    assert dataset.train.names == [whole.train.names[index] for index in keep]
    np.testing.assert_array_equal(dataset.train.labels, whole.train.labels[keep])
    np.testing.assert_array_equal(everything(dataset.train), whole.train.images[keep])


def test_class_that_is_skipped_whole(tmp_path, write_classes, make_config):
    write_classes(tmp_path, count=2)
    for path in (tmp_path / "cat").iterdir():
        path.write_bytes(b"bad")
    (tmp_path / "dog/001.png").write_bytes(b"bad")
    (tmp_path / "cat").rename(tmp_path / "zebra")
    with pytest.raises(
        ImageError, match=r"No train image of the classes 'zebra' can be read; for instance .*zebra/001"
    ):
        load(make_config(tmp_path, on_bad_image="skip"), 0)


def test_progress(tmp_path, write_classes, make_config, capsys, monkeypatch):
    monkeypatch.setattr("kcnn.data.counted.SECONDS", 0)
    calls = []
    load(make_config(write_classes(tmp_path), validation=0.2), 0, progress=lambda *call: calls.append(call))
    assert [call for call in calls if call[2] == "files found"] == [
        (n, None, "files found") for n in (*range(1, 21), 20)
    ]
    calls = [call for call in calls if call[1] is not None]
    assert {what for _, _, what in calls} == {
        "putting files in order",
        "sorting images into classes",
        "comparing the images",
        "dividing off the validation images",
        "train images",
        "validation images",
        "fingerprint of the data",
    }
    last = {what: (done, total) for done, total, what in calls}
    assert all(done == total for done, total in last.values())
    assert capsys.readouterr() == ("", "")


def test_unknown_split(make_config):
    with pytest.raises(ValueError, match="must be of train, validation, test"):
        load(make_config(name="digits"), 0, splits=("training",))


PEAK = """
import re, sys
from pathlib import Path
import kcnn.data.loading
from kcnn import data
from kcnn.schema import DataConfig

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

config = DataConfig(name="folder", path=sys.argv[1], image_size=(256, 256), channels=3, on_bad_image="skip")
before = peak()
dataset = data.load(config, 0)
held = sum(split.images.nbytes for split in (dataset.train, dataset.validation))
print((peak() - before) / held)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("limit", [0, 1], ids=["decoded", "kept"])
def test_peak_memory_is_one_copy(tmp_path, write_classes, limit):
    write_classes(tmp_path / "pets", count=700)
    (tmp_path / "pets/cat/004.png").write_bytes(b"bad")
    environment = {**os.environ, "KCNN_CACHE": str(tmp_path / "cache"), "KCNN_CACHE_LIMIT": str(limit)}
    command = [sys.executable, "-c", PEAK, str(tmp_path / "pets")]
    for _ in range(1 + limit):
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert 0.95 < float(result.stdout) < 1.3  # of 262 MiB


@pytest.mark.parametrize(("size", "in_memory"), [(20 * 8 * 8 * 3, True), (20 * 8 * 8 * 3 - 1, False)])
def test_the_limit_counts_gib(tmp_path, write_classes, make_config, size, in_memory):
    dataset = load(make_config(write_classes(tmp_path), memory_limit=size / 2**30), 0)
    assert isinstance(dataset.train.images, np.ndarray) == in_memory
