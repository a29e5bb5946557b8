"""The same image in two splits is an error."""

import numpy as np
import pytest

from kcnn.data import content, leaks, load
from kcnn.data.folder import folder
from kcnn.data.leaks import HEAD
from kcnn.data.listing import Listing
from kcnn.errors import DataError


def listing(*contents, where=""):
    return Listing([f"{index}.png" for index in range(len(contents))], ["a"] * len(contents), list(contents), where)


def check_leaks(splits):
    leaks.check_leaks(splits, leaks.find_copies(splits))


def test_different_images_pass():
    check_leaks({"train": listing(b"a", b"a", b"bb"), "test": listing(b"c", b"dd")})


def test_copies_are_counted_and_the_first_pair_is_named():
    splits = {
        "train": listing(b"x", b"y", where="p/train/"),
        "test": listing(b"z", b"y", b"x", where="p/test/"),
    }
    with pytest.raises(DataError, match=r"2 images lie.*'p/train/0.png \(train\)'.*'p/test/2.png \(test\)'"):
        check_leaks(splits)
    with pytest.raises(DataError, match="1 image lies"):
        check_leaks({"train": listing(b"x"), "validation": listing(b"x")})


def test_large_files_that_differ_late():
    start = bytes(HEAD)
    check_leaks({"train": listing(start + b"a"), "test": listing(start + b"b")})
    with pytest.raises(DataError, match="1 image lies"):
        check_leaks({"train": listing(start + b"a"), "test": listing(start + b"a")})


def test_empty_missing_and_array_contents_are_left_alone():
    check_leaks({"train": listing(b"", "/none"), "test": listing(b"", "/none")})
    check_leaks({"train": listing(b"x"), "test": Listing(["0"], ["a"], np.zeros((1, 2, 2, 1), "uint8"))})


@pytest.mark.parametrize("memory_limit", [4.0, 0.0])
@pytest.mark.parametrize("splits", [("train", "validation"), ("test",)])
def test_load_checks_splits_that_nobody_asked_for(tmp_path, write_classes, make_config, memory_limit, splits):
    write_classes(tmp_path, prefix="train/")
    write_classes(tmp_path, prefix="test/")
    copy = (tmp_path / "train/cat/003.png").read_bytes()
    (tmp_path / "test/dog/extra.png").write_bytes(copy)
    with pytest.raises(DataError, match=r"train/cat/003.png.*test/dog/extra.png"):
        load(make_config(tmp_path, memory_limit=memory_limit), 0, splits=splits)


@pytest.fixture
def copied(tmp_path, write_classes):
    """Two classes of 40 different images; five of a class lie there a second time, and one a third time."""
    root = write_classes(tmp_path / "pets", count=40)
    for label in ("cat", "dog"):
        for index in range(5):
            (root / label / f"again{index}.png").write_bytes((root / label / f"{index:03d}.png").read_bytes())
        (root / label / "third.png").write_bytes((root / label / "000.png").read_bytes())
    return root


@pytest.mark.parametrize("seed", range(6))
def test_copies_in_one_folder_stay_together(copied, make_config, seed):
    config = make_config(copied, validation=0.3, test=0.3)
    dataset = load(config, seed, splits=("train", "validation", "test"))
    splits = (dataset.train, dataset.validation, dataset.test)
    assert sum(map(len, splits)) == 92
    seen = [{image.tobytes() for image in split.images} for split in splits]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]
    assert not seen[0] & seen[2]
    assert load(config, seed, splits=("test",)).test.names == dataset.test.names


@pytest.mark.parametrize("seed", range(3))
def test_copies_move_no_other_image_and_nothing_out_of_training(copied, make_config, seed):
    config = make_config(copied, validation=0.3, test=0.3)
    splits = ("train", "validation", "test")
    with_copies = load(config, seed, splits=splits)
    for path in [*copied.rglob("again*.png"), *copied.rglob("third.png")]:
        path.unlink()
    without = load(config, seed, splits=splits)
    once = {f"{label}/{index:03d}.png" for label in ("cat", "dog") for index in range(5, 40)}
    before, after = ({split: set(getattr(found, split).names) for split in splits} for found in (without, with_copies))
    for split in splits:
        assert before[split] & once == after[split] & once
    assert before["train"] <= after["train"]
    assert after["test"] & before["test"] == {name for name in after["test"] if name[4].isdigit()}


def test_what_could_not_be_read_is_compared_the_next_time(cached, copied, monkeypatch):
    splits, read = folder(str(copied)).splits, content.read

    def fails(item, *limit):
        if item.endswith("cat/000.png"):
            raise OSError(5, "Input/output error")
        return read(item, *limit)

    with monkeypatch.context() as patch:
        patch.setattr(content, "read", fails)
        found = leaks.find_copies_once(splits, "train")
    assert sorted(map(len, found)) == [2] * 9 + [3]
    for _ in range(2):
        found = leaks.find_copies_once(splits, "train")
        assert sorted(map(len, found)) == [2] * 8 + [3] * 2


def test_a_class_of_copies_alone_cannot_be_divided(tmp_path, write_classes, make_config):
    root = write_classes(tmp_path / "pets", count=4)
    for path in (root / "dog").iterdir():
        path.write_bytes((root / "dog/000.png").read_bytes())
    with pytest.raises(DataError, match=r"at least 2 images.*copies count once.*'dog'"):
        load(make_config(root, validation=0.3), 0)
    assert len(load(make_config(root), 0).train) == 8


def test_copies_beside_given_splits(copied, write_classes, make_config):
    (copied / "train").mkdir()
    for name in ("cat", "dog"):
        (copied / name).rename(copied / "train" / name)
    write_classes(copied, prefix="test/", count=3, size=(9, 9))
    assert len(load(make_config(copied, validation=0.3), 0).validation) > 10
    copy = (copied / "train/cat/again1.png").read_bytes()
    (copied / "test/cat/copy.png").write_bytes(copy)
    with pytest.raises(DataError, match=r"2 images lie in more than one split.*train/cat/001.png.*test/cat/copy.png"):
        load(make_config(copied, validation=0.3), 0)
