"""What is kept is what decoding gives, and nothing that goes wrong with it stops a run."""

import os
import shutil
import tarfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kcnn import cache
from kcnn.data import kept, load
from kcnn.data.batches import TrainingBatches
from kcnn.data.kept import KeptRows

MODES = pytest.mark.parametrize("memory_limit", [4.0, 0.0], ids=["memory", "file"])


@pytest.fixture
def pets(tmp_path, write_classes):
    return write_classes(tmp_path / "pets", count=20)


@pytest.fixture
def no_decoding(monkeypatch):
    """Return a function after whose call any decoding fails."""

    def refuse(*arguments, **options):
        raise AssertionError("decoded again")

    return lambda: [monkeypatch.setattr(f"kcnn.data.{where}.decode_many", refuse) for where in ("kept", "loading")]


def plain(monkeypatch, config, seed=0, **options):
    with monkeypatch.context() as patch:
        patch.setenv("KCNN_CACHE_LIMIT", "0")
        return load(config, seed, **options)


def assert_same(one, two):
    assert replace(one, train=None, validation=None) == replace(two, train=None, validation=None)
    for left, right in ((one.train, two.train), (one.validation, two.validation)):
        assert left.names == right.names
        np.testing.assert_array_equal(left.labels, right.labels)
        batches = [TrainingBatches(split, 2, 4, 7, 2) for split in (left, right)]
        for (first, _), (second, _) in zip(*batches, strict=True):
            np.testing.assert_array_equal(first["pixels"], second["pixels"])


def entries(folder):
    return [path for path in folder.iterdir() if path.is_dir()]


@MODES
def test_a_second_start_decodes_nothing_and_gives_the_same(
    cached, pets, make_config, monkeypatch, no_decoding, memory_limit
):
    config = make_config(pets, validation=0.3)
    expected = plain(monkeypatch, config)
    config = make_config(pets, validation=0.3, memory_limit=memory_limit)
    assert_same(load(config, 0), expected)
    no_decoding()
    monkeypatch.setattr("kcnn.data.kept.digests", None)
    again = load(config, 0)
    assert_same(again, expected)
    assert isinstance(again.train.images, KeptRows if memory_limit == 0 else np.ndarray)


@pytest.mark.parametrize("images_at_once", [1, 7, 40, 1000])
def test_pixels_are_written_in_parts(cached, pets, make_config, monkeypatch, images_at_once):
    config = make_config(pets, validation=0.3)
    expected = plain(monkeypatch, config)
    monkeypatch.setattr(kept, "SLAB", images_at_once * 8 * 8 * 3)
    assert_same(load(config, 0), expected)
    assert len(entries(cached)) == 1


@pytest.mark.parametrize("whose", ["decoding", "digest", "headers"])
def test_what_could_not_be_read_once_is_not_kept_as_damaged(cached, pets, make_config, monkeypatch, whose):
    """As over a network that fails for a moment: the next start finds the image."""
    from kcnn.data import content, decode, fingerprint

    config = make_config(pets, validation=0.3, on_bad_image="skip")
    expected = plain(monkeypatch, config)
    read = content.read

    def fails(item, *limit):
        if str(item).endswith("cat/003.png"):
            raise OSError(5, "Input/output error")
        return read(item, *limit)

    def once(item, *limit):
        if str(item).endswith("cat/003.png") and not failed:
            failed.append(item)
            raise OSError(5, "Input/output error")
        return read(item, *limit)

    failed = []
    with monkeypatch.context() as patch:
        part = fingerprint if whose == "digest" else decode
        patch.setattr(
            part, "content", SimpleNamespace(**vars(content) | {"read": fails if whose == "digest" else once})
        )
        if whose != "headers":
            patch.setattr("kcnn.data.loading.peek", lambda item: (8, 8, False))
        load(config, 0)
    assert failed or whose == "digest"
    assert_same(load(config, 0), expected)


@MODES
def test_an_entry_that_is_removed_meanwhile_stops_nothing(cached, pets, make_config, monkeypatch, memory_limit):
    (pets / "cat/004.png").write_bytes(b"bad")
    config = make_config(pets, validation=0.3, on_bad_image="skip", memory_limit=memory_limit)
    expected = plain(monkeypatch, config)
    keep = kept.keep

    def cleared(*arguments, **options):
        found = keep(*arguments, **options)
        cache.clear()
        return found

    monkeypatch.setattr("kcnn.data.loading.keep", cleared)
    assert_same(load(config, 0), expected)


def test_other_divisions_share_an_entry(cached, pets, make_config, monkeypatch, no_decoding):
    config = make_config(pets, validation=0.3)
    load(config, 0)
    expected = plain(monkeypatch, config, 1)
    no_decoding()
    assert_same(load(config, 1), expected)
    assert len(entries(cached)) == 1


def test_an_archive_is_kept(cached, pets, make_config, no_decoding, tmp_path):
    with tarfile.open(tmp_path / "pets.tar", "w") as archive:
        archive.add(pets, "pets")
    config = make_config(tmp_path / "pets.tar", validation=0.3)
    first = load(config, 0)
    no_decoding()
    assert_same(load(config, 0), first)


def test_evaluation_is_kept(cached, pets, make_config, no_decoding):
    config = make_config(pets, test=0.3)
    first = load(config, 0, splits=("test",)).test
    no_decoding()
    np.testing.assert_array_equal(load(config, 0, splits=("test",)).test.images, first.images)


def test_a_changed_file_is_decoded_even_where_its_time_was_set_back(cached, pets, make_config, make_pixels):
    from PIL import Image

    config = make_config(pets)
    before = load(config, 0)
    path = pets / "cat/003.png"
    status = path.stat()
    Image.fromarray(make_pixels("other")).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = load(config, 0)
    row = after.train.names.index("cat/003.png")
    np.testing.assert_array_equal(after.train.images[row], make_pixels("other"))
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize("change", [{"image_size": (4, 4)}, {"channels": 1}, {"resize": "pad", "image_size": (6, 4)}])
def test_other_pixels_are_another_entry(cached, pets, make_config, monkeypatch, change):
    load(make_config(pets, validation=0.3), 0)
    config = make_config(pets, validation=0.3, **change)
    assert_same(load(config, 0), plain(monkeypatch, config))
    assert len(entries(cached)) == 2


@MODES
def test_bad_images_are_told_again(cached, pets, make_config, no_decoding, memory_limit):
    (pets / "cat/004.png").write_bytes(b"bad")
    config = make_config(pets, validation=0.3, on_bad_image="skip", memory_limit=memory_limit)
    first = load(config, 0)
    no_decoding()
    second = load(config, 0)
    assert_same(second, first)
    assert [name for name, _ in second.skipped] == [f"{pets}/cat/004.png"]


def damage_cut(entry):
    path = entry / "pixels.npy"
    path.write_bytes(path.read_bytes()[:-1])


def damage_facts(entry):
    (entry / "facts.json").write_text('{"bad": [[')


def damage_digests(entry):
    np.save(entry / "digests.npy", np.zeros((3, 24), "uint8"))


def damage_missing(entry):
    (entry / "pixels.npy").unlink()


@pytest.mark.parametrize("damage", [damage_cut, damage_facts, damage_digests, damage_missing])
def test_a_damaged_entry_is_made_again(cached, pets, make_config, damage, no_decoding):
    config = make_config(pets, validation=0.3)
    first = load(config, 0)
    damage(entries(cached)[0])
    assert_same(load(config, 0), first)
    no_decoding()
    assert_same(load(config, 0), first)


def test_a_cache_that_cannot_be_made_stops_nothing(cached, pets, make_config, monkeypatch):
    cached.parent.write_text("a file where the folder should be")
    config = make_config(pets, validation=0.3)
    assert_same(load(config, 0), plain(monkeypatch, config))


def test_a_disk_that_fills_up_stops_nothing(cached, pets, make_config, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    config = make_config(pets, validation=0.3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        dataset = load(config, 0)
    assert_same(dataset, plain(monkeypatch, config))
    assert entries(cached) == []


def test_data_above_the_limit_are_not_kept(cached, pets, make_config, monkeypatch):
    monkeypatch.setenv("KCNN_CACHE_LIMIT", "0.000001")
    config = make_config(pets, validation=0.3)
    assert_same(load(config, 0), plain(monkeypatch, config))
    assert entries(cached) == []


def test_two_that_write_at_once(cached, pets, make_config, monkeypatch):
    """The slower writer finds the entry of the faster one and uses it."""
    config = make_config(pets, validation=0.3)
    expected = load(config, 0)
    [entry] = entries(cached)
    away = entry.rename(cached.parent / "away")
    decode_many = kept.decode_many

    def meanwhile(*arguments, **options):
        shutil.copytree(away, entry)
        return decode_many(*arguments, **options)

    monkeypatch.setattr(kept, "decode_many", meanwhile)
    assert_same(load(config, 0), expected)
    assert entries(cached) == [entry]


def test_nothing_is_kept_where_the_limit_is_zero(cached, pets, make_config, monkeypatch):
    monkeypatch.setenv("KCNN_CACHE_LIMIT", "0")
    load(make_config(pets), 0)
    assert not cached.exists()


def test_arrays_are_not_kept(cached, make_config):
    load(make_config(name="digits"), 0)
    assert not cached.exists()


def test_leaks_are_looked_for_once(cached, tmp_path, write_classes, make_config, monkeypatch):
    write_classes(tmp_path / "pets", prefix="train/")
    write_classes(tmp_path / "pets", prefix="test/")
    config = make_config(tmp_path / "pets")
    load(config, 0)
    asked = []
    monkeypatch.setattr("kcnn.data.leaks._find", lambda *arguments: asked.append(arguments) or ([], True))
    load(config, 0)
    assert asked == []
    (tmp_path / "pets/test/cat/000.png").write_bytes((tmp_path / "pets/train/cat/001.png").read_bytes())
    load(config, 0)
    assert len(asked) == 1


def test_used_entries_outlive_others(cached, tmp_path, write_classes, make_config, monkeypatch):
    configs = [make_config(write_classes(tmp_path / name, count=40)) for name in "abc"]
    load(configs[0], 0)
    [first] = entries(cached)
    load(configs[1], 0)
    [second] = set(entries(cached)) - {first}
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    load(configs[0], 0)  # used again
    assert first.stat().st_mtime > 2
    occupied = next(kind.size for kind in cache.contents() if kind.name == "datasets")
    monkeypatch.setenv("KCNN_CACHE_LIMIT", str(1.2 * occupied / 2**30))
    load(configs[2], 0)
    left = entries(cached)
    assert first in left
    assert second not in left
    assert len(left) == 2
