"""Where the cache is, what it holds, and how it is cleared."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kcnn import cache
from kcnn.errors import UsageError

ONE, TWO = "1f" * 16, "2e" * 16  # names as those of entries


def test_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("KCNN_CACHE", str(tmp_path))
    assert cache.folder("datasets") == tmp_path / "datasets"


def test_folder_is_the_users_by_default(monkeypatch, tmp_path):
    for name in ("KCNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path == Path.home()
    assert tmp_path in cache.folder("datasets").parents


@pytest.mark.skipif(sys.platform != "linux", reason="a custom of Linux")
def test_folder_follows_the_systems_own_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("KCNN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder("datasets") == tmp_path / "kcnn" / "datasets"


@pytest.fixture
def own(monkeypatch, tmp_path):
    monkeypatch.setenv("KCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def test_an_entry_takes_no_more_than_half_of_what_is_free(own, monkeypatch):
    entry = write(own / f"datasets/{ONE}/pixels.npy", 5)
    monkeypatch.setenv("KCNN_CACHE_LIMIT", "1")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    assert not cache.make_room(own / "datasets", 51)
    assert cache.make_room(own / "datasets", 50)
    assert entry.exists()


def test_the_limit_is_20_gib_unless_it_is_said(monkeypatch):
    monkeypatch.delenv("KCNN_CACHE_LIMIT", raising=False)
    assert cache.limit() == 20 * 2**30
    monkeypatch.setenv("KCNN_CACHE_LIMIT", "0.5")
    assert cache.limit() == 2**29


def test_contents_are_counted_by_kind(own):
    assert cache.contents() == []
    write(own / f"datasets/{ONE}/pixels.npy", 100)
    write(own / f"datasets/{TWO}/deep/pixels.npy", 20)
    write(own / f"bench/{ONE}.json", 3)
    write(own / "photos/mine.jpg", 1000)
    assert [(kind.name, kind.entries, kind.size) for kind in cache.contents()] == [
        ("datasets", 2, 120),
        ("bench", 1, 3),
    ]


def test_clearing_touches_nothing_of_others(own, tmp_path):
    mine = write(tmp_path / "mine/photo.jpg", 5)
    stranger = write(own / "photos/mine.jpg", 5)
    write(own / f"datasets/{ONE}/pixels.npy", 100)
    (own / f"datasets/{ONE}/link").symlink_to(mine.parent)
    (own / f"datasets/{TWO}").symlink_to(mine)
    (own / "jax").symlink_to(mine.parent)
    assert [kind.name for kind in cache.clear()] == ["datasets"]
    assert not (own / "datasets").exists()
    assert mine.exists()
    assert stranger.exists()


def test_one_kind_is_cleared(own):
    write(own / f"datasets/{ONE}", 1)
    speeds = write(own / f"bench/{ONE}.json", 3)
    cache.clear("datasets")
    assert speeds.exists()
    for stranger in ("..", "photos", ""):
        with pytest.raises(UsageError, match="Expected one of: datasets"):
            cache.clear(stranger)


@pytest.mark.parametrize("text", ["many", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number(monkeypatch, text):
    monkeypatch.setenv("KCNN_CACHE_LIMIT", text)
    with pytest.raises(UsageError, match="number of GiB"):
        cache.limit()


def test_what_killed_writers_left_goes_after_a_day(own, monkeypatch):
    monkeypatch.setenv("KCNN_CACHE_LIMIT", "1")
    fresh = write(own / f"datasets/.{ONE}-abcd_123/pixels.npy", 10).parent
    old = write(own / f"datasets/.{TWO}-abcd_123/pixels.npy", 10).parent
    os.utime(old, (1, 1))
    assert cache.make_room(own / "datasets", 10)
    assert fresh.exists()
    assert not old.exists()


def test_nothing_goes_where_that_would_not_do(own, monkeypatch):
    monkeypatch.setenv("KCNN_CACHE_LIMIT", str(100 / 2**30))
    write(own / f"datasets/.{TWO}-abcd_123/pixels.npy", 95)
    good = write(own / f"datasets/{ONE}/pixels.npy", 20)
    assert not cache.make_room(own / "datasets", 10)
    assert good.exists()
    assert not cache.make_room(own / "datasets", 101)
    assert good.exists()


def test_the_verb_lists_and_clears(own, kcnn):
    write(own / f"datasets/{ONE}/pixels.npy", 2_500_000)
    document = json.loads(kcnn("cache", "--json")[1])
    assert document == {"folder": str(own), "kinds": [{"kind": "datasets", "entries": 1, "bytes": 2_500_000}]}
    assert json.loads(kcnn("cache", "list", "--json")[1]) == document
    assert json.loads(kcnn("cache", "--json", "list")[1]) == document
    assert json.loads(kcnn("cache", "--json", "clear", "jax")[1]) == {"folder": str(own), "removed": []}
    assert "2.5 MB in 1 entries: decoded images" in kcnn("cache")[1]
    assert kcnn("cache", "clear", "jax")[1] == f"Removed 0.0 MB from {own}.\n"
    assert kcnn("cache", "clear")[1] == f"Removed 2.5 MB from {own}.\n"
    assert not (own / "datasets").exists()
    assert "empty" in kcnn("cache")[1]
    code, _, err = kcnn("cache", "clear", "photos")
    assert code == 2
    assert "holds no 'photos'" in err


def test_what_others_keep_in_a_folder_of_that_name_stays(own, monkeypatch):
    monkeypatch.setenv("KCNN_CACHE_LIMIT", str(50 / 2**30))
    photo, git = write(own / "datasets/pets/cat/1.jpg", 100), write(own / "datasets/.git/HEAD", 5)
    others = [write(own / f"datasets/{name}", 100) for name in (f"{ONE}.jpg", "2026112818270400.jpg", f"{TWO}-cats/1")]
    os.utime(git.parent, (1, 1))
    assert cache.contents() == []
    entry = write(own / f"datasets/{ONE}/pixels.npy", 45)
    assert cache.make_room(own / "datasets", 10)
    assert not entry.exists()
    write(own / f"datasets/{ONE}.json", 5)
    assert [(kind.name, kind.size) for kind in cache.clear()] == [("datasets", 5)]
    assert cache.contents() == []
    assert all(path.exists() for path in (photo, git, *others))


@pytest.mark.parametrize("name", [f"{ONE}.json", f"{TWO}/pixels.npy"])
def test_what_cannot_be_removed_is_not_told_as_removed(own, monkeypatch, name):
    """The system's refusal is played, since root may remove everything."""

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    write(own / "datasets" / name, 5)
    with monkeypatch.context() as patch:
        for function in ("unlink", "rmdir"):
            patch.setattr(os, function, refuse)
        with pytest.raises(PermissionError):
            cache.clear()
    assert [kind.size for kind in cache.contents()] == [5]
