"""What a folder of images may look like."""

import os
import shutil

import pytest

from kcnn.data import load
from kcnn.data.folder import folder, walk
from kcnn.data.layout import split_of
from kcnn.errors import DataError, DataNotFoundError


def test_one_folder_a_class(tmp_path, write_classes):
    source = folder(str(write_classes(tmp_path, ("dog", "cat"))))
    assert set(source.splits) == {"train"}
    train = source.splits["train"]
    assert train.names == sorted(train.names)
    assert train.names[0] == "cat/000.png"
    assert train.location(0) == f"{tmp_path}/cat/000.png"
    assert set(train.labels) == {"cat", "dog"}
    assert source.skipped == []


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "VALID", "Testing"), ("train", "dev", "eval")]
)
def test_split_folders(tmp_path, write_classes, names):
    for name in names:
        write_classes(tmp_path, prefix=f"{name}/", count=2)
    source = folder(str(tmp_path))
    assert set(source.splits) == {"train", "validation", "test"}
    for split, name in zip(("train", "validation", "test"), names, strict=True):
        assert source.splits[split].names == ["cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png"]
        assert source.splits[split].where == f"{tmp_path}/{name}/"


@pytest.mark.parametrize("prefix", ["wrapped/", "a/b/"])
def test_wrapping_folders_change_no_name(tmp_path, write_classes, prefix):
    write_classes(tmp_path, prefix=f"{prefix}train/")
    assert folder(str(tmp_path)).splits["train"].names[0] == "cat/000.png"


def test_wrapped_classes(tmp_path, write_classes):
    write_classes(tmp_path, prefix="pets/")
    assert set(folder(str(tmp_path)).splits["train"].labels) == {"cat", "dog"}


def test_only_test_images(tmp_path, write_classes, make_config):
    write_classes(tmp_path, prefix="test/")
    assert set(folder(str(tmp_path)).splits) == {"test"}
    assert len(load(make_config(tmp_path), 0, splits=("test",)).test) == 20
    with pytest.raises(DataNotFoundError, match="no training images"):
        load(make_config(tmp_path), 0)


def test_images_anywhere_below_the_class(tmp_path, write_image):
    for name in ("cat/a/b/1.png", "cat/2.png", "dog/x/1.png"):
        write_image(tmp_path, name)
    train = folder(str(tmp_path)).splits["train"]
    assert dict(zip(train.names, train.labels, strict=True)) == {
        "cat/2.png": "cat",
        "cat/a/b/1.png": "cat",
        "dog/x/1.png": "dog",
    }


def test_a_class_may_be_called_train(tmp_path, write_classes):
    assert set(folder(str(write_classes(tmp_path, ("train", "car", "bus")))).splits["train"].labels) == {
        "train",
        "car",
        "bus",
    }


def test_a_known_class_is_no_wrapping_folder(tmp_path, write_image):
    write_image(tmp_path, "cat/old/1.png")
    write_image(tmp_path, "cat/new/1.png")
    assert set(folder(str(tmp_path)).splits["train"].labels) == {"old", "new"}
    assert set(folder(str(tmp_path), class_names=["cat", "dog"]).splits["train"].labels) == {"cat"}


def test_clutter_is_ignored(tmp_path, write_classes, write_image):
    write_classes(tmp_path, count=2)
    for name in (".hidden/1.png", "__MACOSX/cat/1.png", "cat/.1.png"):
        write_image(tmp_path, name)
    (tmp_path / "cat/Thumbs.db").write_bytes(b"")
    (tmp_path / "README.md").write_text("pets")
    source = folder(str(tmp_path))
    assert len(source.splits["train"]) == 4
    assert source.skipped == []


def test_what_belongs_to_no_class_is_reported(tmp_path, write_classes, write_image):
    write_classes(tmp_path, prefix="train/", count=2)
    write_image(tmp_path, "preview.png")
    write_image(tmp_path, "test/1.png")
    (tmp_path / "train/zebra").mkdir()
    (tmp_path / "train/zebra/1.heic").write_bytes(b"?")
    skipped = dict(folder(str(tmp_path)).skipped)
    assert skipped == {
        "preview.png": "it lies in no class folder",
        "test/1.png": "it lies in no class folder",
        f"{tmp_path}/train/zebra": "the folder holds no images of a known type",
    }


def test_images_beside_a_wrapping_folder_are_reported(tmp_path, write_classes, write_image):
    write_classes(tmp_path, prefix="pets/", count=2)
    write_image(tmp_path, "preview.png")
    assert folder(str(tmp_path)).skipped == [("preview.png", "it lies in no class folder")]


def test_split_folders_beside_others(tmp_path, write_classes):
    write_classes(tmp_path, prefix="train/")
    write_classes(tmp_path, prefix="extra/")
    with pytest.raises(DataError, match="'train', beside folders that are none: 'extra'"):
        folder(str(tmp_path))


def test_two_folders_for_one_split(tmp_path, write_classes):
    write_classes(tmp_path, prefix="train/")
    write_classes(tmp_path, prefix="training/")
    with pytest.raises(DataError, match="two folders for the train images, 'train' and 'training'"):
        folder(str(tmp_path))


def test_links_and_loops(tmp_path, write_classes):
    write_classes(tmp_path / "real", count=2)
    root = tmp_path / "linked"
    root.mkdir()
    os.symlink(tmp_path / "real/cat", root / "cat")
    os.symlink(tmp_path / "real/dog", root / "dog")
    os.symlink(root, tmp_path / "real/cat/loop")
    os.symlink("nowhere", root / "broken")
    os.symlink("itself", root / "itself")
    train = folder(str(root)).splits["train"]
    assert {"cat/000.png", "dog/001.png"} <= set(train.names)
    assert len(train) == len(set(train.names)) <= 8


def test_order_of_the_disk_does_not_matter(tmp_path, write_classes, make_config):
    write_classes(tmp_path / "one", ("a", "b", "c"))
    for path in sorted((tmp_path / "one").rglob("*.png"), reverse=True):
        target = tmp_path / "two" / path.relative_to(tmp_path / "one")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    one, two = (load(make_config(tmp_path / name, validation=0.3), 5) for name in ("one", "two"))
    assert one.train.names == two.train.names
    assert (one.validation.images == two.validation.images).all()


def test_missing_path():
    for path in ("/none/such", "~no-such-user/x"):
        with pytest.raises(DataNotFoundError, match=f"no file or folder '{path}'"):
            folder(path)
    with pytest.raises(DataNotFoundError, match="needs a path: --data PATH"):
        folder(None)


def test_nothing_that_looks_like_data(tmp_path, write_image):
    with pytest.raises(DataNotFoundError, match=r"holds no images\. Expected one folder a class"):
        folder(str(tmp_path))
    write_image(tmp_path, "1.png")
    with pytest.raises(DataNotFoundError, match="holds 1 images, but in no class folder"):
        folder(str(tmp_path))
    (tmp_path / "data.txt").write_text("x")
    with pytest.raises(DataNotFoundError, match="is no folder, archive"):
        folder(str(tmp_path / "data.txt"))


def test_folder_without_permission(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"Cannot list the folder .*Permission denied"):
        list(walk(tmp_path))


def test_split_names():
    assert split_of(" Validation ") == "validation"
    assert split_of("trainer") is None


def test_names_that_are_no_utf8_are_spelled_out(tmp_path, write_classes, make_config):
    write_classes(tmp_path)
    try:
        os.rename(os.fsencode(tmp_path / "cat"), os.fsencode(tmp_path) + b"/caf\xe9")
    except OSError:
        pytest.skip("this disk takes UTF-8 alone")
    train = folder(str(tmp_path)).splits["train"]
    assert train.names[0] == "caf\\udce9/000.png"
    assert os.path.isfile(train.contents[0])
    assert load(make_config(tmp_path), 0).class_names == ["caf\\udce9", "dog"]
