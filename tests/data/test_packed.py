"""An archive is unpacked once; what it gives is what it gives without a cache, and never what it held before."""

import functools
import os

import archives
import numpy as np
import pytest

from kcnn.data import content, load, packed
from kcnn.data.loading import load_source
from kcnn.errors import DataError

pack = functools.partial(archives.pack, link=("train/cat/link.png", "000.png"))


@pytest.fixture
def pets(tmp_path, write_classes):
    root = write_classes(tmp_path / "pets", prefix="train/", count=20)
    write_classes(root, prefix="test/", count=3)
    (root / "train/cat/notes.txt").write_text("no image")
    (root / "train/empty").mkdir()
    (root / "train/empty/notes.txt").write_text("no image")
    return root


@pytest.fixture
def unpackings(monkeypatch):
    """Return a list that grows with each archive that is unpacked."""
    found = []
    real = packed.read_archive

    def noted(path, *arguments):
        found.append(path)
        return real(path, *arguments)

    monkeypatch.setattr(packed, "read_archive", noted)
    return found


def facts(dataset):
    rows = [np.asarray(split.images[np.arange(len(split))]) for split in (dataset.train, dataset.validation)]
    names = [split.names for split in (dataset.train, dataset.validation)]
    return rows, (names, dataset.class_names, dataset.mean, dataset.std, dataset.skipped, dataset.fingerprint)


def assert_same(one, two):
    (rows, others), (expected, known) = facts(one), facts(two)
    assert others == known
    for left, right in zip(rows, expected, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("memory_limit", [4.0, 0.0], ids=["memory", "file"])
@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_a_second_start_unpacks_nothing(
    cached, pets, make_config, unpackings, monkeypatch, tmp_path, suffix, memory_limit
):
    config = make_config(pack(pets, tmp_path / f"pets{suffix}"), validation=0.3, memory_limit=memory_limit)
    with monkeypatch.context() as patch:
        patch.setenv("KCNN_CACHE_LIMIT", "0")
        plain = load(config, 0)
        folder = load(make_config(pets, validation=0.3), 0)
    assert plain.fingerprint == folder.fingerprint
    assert len(plain.skipped) == 1 + (suffix != ".zip")
    unpackings.clear()
    assert_same(load(config, 0), plain)
    assert len(unpackings) == 1
    assert_same(load(config, 0), plain)
    assert len(unpackings) == 1


def test_other_seeds_unpack_nothing_where_the_recipe_gives_the_shape(
    cached, pets, make_config, unpackings, monkeypatch, tmp_path
):
    config = make_config(pack(pets, tmp_path / "pets.tar.xz"), validation=0.3, image_size=(8, 8), channels=3)
    load(config, 0)
    found = [load(config, seed) for seed in range(1, 4)]
    assert len(unpackings) == 1
    monkeypatch.setenv("KCNN_CACHE_LIMIT", "0")
    for seed, dataset in enumerate(found, 1):
        assert_same(dataset, load(config, seed))


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_changed_archive_of_equal_size_and_time_gives_what_it_holds_now(
    cached, pets, write_image, make_config, make_pixels, tmp_path, suffix
):
    path = tmp_path / f"pets{suffix}"
    config = make_config(pack(pets, path), validation=0.3)
    before = load(config, 0)
    status = path.stat()
    old, new = pets / "train/cat/000.png", write_image(tmp_path, "other.png")
    assert old.stat().st_size == new.stat().st_size
    old.write_bytes(new.read_bytes())
    pack(pets, path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    after = load(config, 0)
    assert after.fingerprint != before.fingerprint
    split = after.train if "cat/000.png" in after.train.names else after.validation
    np.testing.assert_array_equal(split.images[split.names.index("cat/000.png")], make_pixels("other.png"))


@pytest.mark.parametrize("memory_limit", [4.0, 0.0], ids=["memory", "file"])
def test_other_pixels_are_unpacked_again(cached, pets, make_config, unpackings, monkeypatch, tmp_path, memory_limit):
    path = pack(pets, tmp_path / "pets.tar.xz")
    load(make_config(path, validation=0.3), 0)
    config = make_config(path, validation=0.3, image_size=(4, 4), memory_limit=memory_limit)
    found = load(config, 0)
    assert len(unpackings) == 2
    with monkeypatch.context() as patch:
        patch.setenv("KCNN_CACHE_LIMIT", "0")
        assert_same(found, load(config, 0))


@pytest.mark.parametrize("on_bad_image", ["fail", "skip"])
def test_an_archive_that_changes_after_it_was_listed_stops_the_run(
    cached, pets, write_image, make_config, tmp_path, on_bad_image
):
    from kcnn.data.folder import folder

    path = pack(pets, tmp_path / "pets.tar")
    folder(str(path))
    source = folder(str(path))  # from what was noted
    write_image(pets, "train/cat/000.png", size=(9, 9))
    pack(pets, path)
    config = make_config(path, image_size=(8, 8), channels=3, on_bad_image=on_bad_image)
    with pytest.raises(DataError, match="has changed since this process listed it"):
        load_source(source, config, 0)
    assert not [entry for entry in cached.iterdir() if entry.is_dir()]


def test_an_archive_that_changes_while_it_is_read_is_not_noted(cached, pets, make_config, monkeypatch, tmp_path):
    path = pack(pets, tmp_path / "pets.tar")
    real = packed.read_archive

    def meanwhile(*arguments):
        found = real(*arguments)
        os.utime(path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(packed, "read_archive", meanwhile)
        packed.read_packed(path, 4.0)
    assert not cached.exists()


@pytest.mark.parametrize("damage", ["", "[", "{}", "null", "[1, 2]"])
def test_a_damaged_note_is_made_again(cached, pets, make_config, unpackings, tmp_path, damage):
    config = make_config(pack(pets, tmp_path / "pets.tar"), validation=0.3)
    first = load(config, 0)
    for path in cached.glob("*.json"):
        path.write_text(damage)
    assert_same(load(config, 0), first)
    assert_same(load(config, 0), first)
    assert len(unpackings) == 2


def test_members_are_spooled_above_the_limit_and_read_alike(cached, pets, tmp_path):
    path = pack(pets, tmp_path / "pets.tar")
    one, _ = packed.read_packed(path, 4.0)
    two, _ = packed.read_packed(path, 0.0)
    assert [name for name, _ in one] == [name for name, _ in two]
    for (name, left), (_, right) in zip(one, two, strict=True):
        assert content.read(left) == content.read(right)
        assert content.read(left, 9) == content.read(right, 9)
        assert content.size(left) == content.size(right) == len(content.read(left)), name


def test_what_the_system_refuses_while_it_unpacks_again_is_told_once(
    cached, pets, make_config, unpackings, monkeypatch, tmp_path
):
    """It is no image's own fault, and is not tried again for each."""

    def full(spool, data):
        raise OSError(28, "No space left on device")

    path = pack(pets, tmp_path / "pets.tar")
    load(make_config(path, memory_limit=0.0, image_size=(8, 8), channels=3), 0)
    unpackings.clear()
    monkeypatch.setattr("kcnn.data.content.Spool.append", full)
    config = make_config(path, memory_limit=0.0, image_size=(4, 4), channels=3, on_bad_image="skip")
    with pytest.raises(DataError, match=r"Cannot unpack .*pets\.tar: No space left on device"):
        load(config, 0)
    assert len(unpackings) == 1
