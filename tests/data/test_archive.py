"""Archives give what their folder gives, and nothing leaves them."""

import gc
import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from archives import pack

from kcnn.data import load
from kcnn.data.archive import read_archive
from kcnn.data.folder import folder
from kcnn.errors import DataError, DataNotFoundError

SUFFIXES = [".zip", ".tar", ".tar.gz", ".tar.xz", ".tgz", ".tar.bz2"]


@pytest.mark.parametrize("memory_limit", [4.0, 0.0])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archive_equals_folder(tmp_path, write_classes, make_config, suffix, memory_limit):
    root = write_classes(tmp_path / "pets", prefix="train/")
    config = {"validation": 0.3, "memory_limit": memory_limit}
    packed = load(make_config(pack(root, tmp_path / f"pets{suffix}"), **config), 1)
    plain = load(make_config(root, **config), 1)
    rows = np.arange(len(plain.train))
    assert packed.train.names == plain.train.names
    np.testing.assert_array_equal(packed.train.images[rows], plain.train.images[rows])
    np.testing.assert_array_equal(packed.validation.labels, plain.validation.labels)
    assert (packed.mean, packed.std, packed.class_names) == (plain.mean, plain.std, plain.class_names)


def test_spool_is_removed(tmp_path, write_classes):
    source = folder(str(pack(write_classes(tmp_path / "pets"), tmp_path / "pets.zip")), memory_limit=0)
    path = source.splits["train"].contents[0].spool.path
    assert os.path.exists(path)
    del source
    gc.collect()
    assert not os.path.exists(path)


EVIL = ["../evil.png", "/tmp/evil.png", "cat/../../evil.png", "..\\evil.png", "C:\\evil.png"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_that_lead_out_are_refused(tmp_path, kind):
    path = tmp_path / "inner" / f"evil.{kind}"
    path.parent.mkdir()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in [*EVIL, "cat/1.png", "dog/1.png"]:
                archive.writestr(name, b"data")
    else:
        with tarfile.open(path, "w") as archive:
            for name in [*EVIL, "cat/1.png", "dog/1.png"]:
                info = tarfile.TarInfo(name)
                info.size = 4
                archive.addfile(info, io.BytesIO(b"data"))
            link = tarfile.TarInfo("cat/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    before = set(tmp_path.rglob("*"))
    source = folder(str(path))
    assert source.splits["train"].names == ["cat/1.png", "dog/1.png"]
    assert len(source.skipped) == len(EVIL) + (kind == "tar")
    assert all("leads out" in reason or "link" in reason for _, reason in source.skipped)
    assert set(tmp_path.rglob("*")) == before


def test_oversized_member(tmp_path, monkeypatch):
    monkeypatch.setattr("kcnn.data.archive.MAX_MEMBER", 100)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/bomb.png", b"\0" * 10_000)
    entries, skipped = read_archive(tmp_path / "a.zip", 1)
    assert entries == []
    assert "10,000 bytes" in skipped[0][1]


def test_encrypted(tmp_path):
    path = tmp_path / "secret.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.png", b"data")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        folder(str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_damaged(tmp_path, write_classes, suffix, part):
    path = pack(write_classes(tmp_path / "pets"), tmp_path / f"pets{suffix}")
    data = path.read_bytes()
    # A .tar ends in up to 10 KiB of padding that may be missing.
    path.write_bytes(data[: int(len(data) * part * (0.7 if suffix == ".tar" else 1))])
    with pytest.raises(DataError, match="not a whole archive"):
        folder(str(path))


def test_no_images_inside(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/1.txt", b"data")
    with pytest.raises(DataNotFoundError, match="holds no images"):
        folder(str(tmp_path / "a.zip"))


@pytest.mark.parametrize("where", ["directory", "header"])
def test_a_name_that_is_no_utf8_is_damage(tmp_path, where):
    with zipfile.ZipFile(path := tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/\u00e9.png", b"data")
    data, name = path.read_bytes(), "\u00e9".encode()
    place = data.rindex(name) if where == "directory" else data.index(name)
    path.write_bytes(data[:place] + b"\xff\xff" + data[place + 2 :])
    with pytest.raises(DataError, match="not a whole archive"):
        folder(str(path))


def test_an_archive_without_its_beginning_is_damaged(tmp_path, write_classes):
    path = pack(write_classes(tmp_path / "pets"), tmp_path / "pets.zip")
    path.write_bytes(path.read_bytes()[300:])
    with pytest.raises(DataError, match="not a whole archive"):
        folder(str(path))


def test_a_full_disk_is_no_damaged_archive(tmp_path, write_classes, monkeypatch):
    def full(spool, data):
        raise OSError(28, "No space left on device")

    path = pack(write_classes(tmp_path / "pets"), tmp_path / "pets.zip")
    monkeypatch.setattr("kcnn.data.content.Spool.append", full)
    with pytest.raises(OSError, match="No space left"):
        folder(str(path), memory_limit=0)


def test_a_member_without_a_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(".", b"x")
    entries, skipped = read_archive(tmp_path / "a.zip", 1)
    assert not entries
    assert [reason for _, reason in skipped] == ["its path leads out of the archive"]
