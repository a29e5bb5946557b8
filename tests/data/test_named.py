"""Files, folders, globs, archives and lists become images, one after another."""

import os
import tarfile
import tracemalloc
import zipfile

import pytest
from archives import pack

from kcnn.data import named
from kcnn.data.named import Named, named_images
from kcnn.errors import DataNotFoundError, UsageError

SUFFIXES = [".zip", ".tar", ".tar.gz", ".tar.xz", ".tgz", ".tar.bz2"]


@pytest.fixture
def folder(tmp_path, write_image):
    for name in ("10.png", "2.png", "sub/1.jpg"):
        write_image(tmp_path / "pets", name)
    (tmp_path / "pets/notes.txt").write_text("x")
    return tmp_path / "pets"


@pytest.fixture
def listed():
    """Return a function that gives a pipe with these bytes; with `more` its other end, which stays open, too."""
    opened = []

    def make(data, *, more=False):
        out, into = os.pipe()
        os.write(into, data)
        opened.append(os.fdopen(out, "rb"))
        if not more:
            os.close(into)
            return opened[-1]
        opened.append(os.fdopen(into, "wb", buffering=0))
        return opened[-2:]

    yield make
    for file in opened:
        file.close()


def read(images):
    return [one for one in images if one is not None]


def test_files_come_in_order_and_their_number_is_known(folder):
    images, total = named_images([folder / "sub/1.jpg", folder])
    names = [f"{folder}/{name}" for name in ("sub/1.jpg", "2.png", "10.png")]
    assert list(images) == [Named(name, name) for name in names]
    assert total == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_gives_the_bytes_of_its_images(folder, tmp_path, suffix):
    archive = pack(folder, tmp_path / f"a{suffix}")
    images, total = named_images([folder / "2.png", archive, folder / "10.png"])
    found = {one.name: one.content for one in images}
    assert total is None
    assert list(found)[::4] == [f"{folder}/2.png", f"{folder}/10.png"]
    packed = {name.removeprefix(f"{archive}/pets/"): content for name, content in found.items() if "/pets/" in name}
    packed = {name: content for name, content in packed.items() if isinstance(content, bytes)}
    assert packed == {name: (folder / name).read_bytes() for name in ("10.png", "2.png", "sub/1.jpg")}


def test_a_glob_matches_archives(folder, tmp_path):
    pack(folder, tmp_path / "a.zip")
    pack(folder, tmp_path / "b.tar.xz")
    assert len(list(named_images([f"{tmp_path}/*"])[0])) == 6


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_damaged_archive_is_named_and_the_rest_goes_on(folder, tmp_path, suffix, part):
    archive = pack(folder, tmp_path / f"a{suffix}")
    data = archive.read_bytes()
    # Within a file, and not in the padding that ends a .tar.
    archive.write_bytes(data[: max(int(len(data) * part * (0.7 if suffix == ".tar" else 1)) - 100, 0)])
    *found, last = named_images([archive, folder / "2.png"])[0]
    assert last == Named(f"{folder}/2.png", f"{folder}/2.png")
    assert f"{archive} is not a whole archive" in found[-1].error


def test_an_archive_that_may_not_be_read_is_named_and_the_rest_goes_on(folder, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    archive = pack(folder, tmp_path / "pets.zip")
    other = str(next(folder.rglob("*.png")))
    monkeypatch.setattr(zipfile, "ZipFile", refuse)
    refused, fine = named_images([str(archive), other])[0]
    assert refused.error == f"Cannot read {archive}: Permission denied."
    assert fine.content == other


def test_a_damaged_member_of_a_zip_costs_itself_alone(folder, tmp_path):
    archive = pack(folder, tmp_path / "a.zip")
    data, image = archive.read_bytes(), (folder / "10.png").read_bytes()
    archive.write_bytes(data.replace(image, image[:-20] + bytes(20)))
    found = {os.path.basename(one.name): one for one in named_images([archive])[0]}
    assert "damaged in the archive" in found["10.png"].error
    assert found["2.png"].content == (folder / "2.png").read_bytes()


def test_what_an_archive_may_not_hold_is_named(folder, tmp_path):
    archive = pack(folder, tmp_path / "a.tar", link=("link.png", "/etc/passwd"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as other:
        other.writestr("../up.png", b"data")
        other.writestr("notes.txt", b"data")
    errors = [one.error for one in named_images([archive, tmp_path / "b.zip"])[0] if one.error]
    assert len(errors) == 2
    assert errors[0].endswith("link.png: it is a link or a device, not a file.")
    assert errors[1].endswith("up.png: its path leads out of the archive.")


def test_an_archive_without_images_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", b"data")
    assert [one.error for one in named_images([tmp_path / "a.zip"])[0]] == [f"{tmp_path}/a.zip holds no images."]


@pytest.mark.parametrize("size", [1, 3, 2**16])
def test_a_list(listed, monkeypatch, size):
    monkeypatch.setattr(named, "CHUNK", size)
    file = listed(b"a.png\n\nnone such.png\r\n b [1].png")
    images, total = named_images(["-"], file)
    assert [one.name for one in read(images)] == ["a.png", "none such.png", " b [1].png"]
    assert total is None


def test_a_list_with_zero_bytes(listed):
    images, _ = named_images(["-"], listed("a\nb.png\0ü.png\0".encode()), null=True)
    assert [one.name for one in read(images)] == ["a\nb.png", "ü.png"]


def test_a_list_stands_where_it_was_named(folder, listed):
    images, _ = named_images([folder / "2.png", "-", folder / "10.png"], listed(b"x.png\n"))
    assert [one.name for one in read(images)] == [f"{folder}/2.png", "x.png", f"{folder}/10.png"]


def test_a_list_holds_archives_but_neither_folders_nor_urls(folder, tmp_path, listed):
    archive = pack(folder, tmp_path / "a.zip")
    images, _ = named_images(["-"], listed(f"{archive}\n{folder}\nhttps://x.org/a.png\n".encode()))
    *inside, first, second = read(images)
    assert [isinstance(one.content, bytes) for one in inside] == [True] * 3
    assert "it is a folder" in first.error
    assert "it is a URL" in second.error


def test_a_pause_is_told_and_what_has_come_is_given(listed):
    reading, writing = listed(b"a.png\nb.p", more=True)
    images, _ = named_images(["-"], reading)
    assert [next(images), next(images)] == [Named("a.png", "a.png"), None]
    writing.write(b"ng\n")
    assert next(images) == Named("b.png", "b.png")
    writing.close()
    assert read(images) == []


def test_a_name_that_is_no_utf8_stays_itself(listed):
    (one,) = read(named_images(["-"], listed(b"caf\xe9.png\n"))[0])
    assert os.fsencode(one.name) == b"caf\xe9.png"


def test_what_is_no_list_is_told(listed, monkeypatch):
    monkeypatch.setattr(named, "LONGEST", 100)
    with pytest.raises(UsageError, match="expected paths"):
        read(named_images(["-"], listed(b"\x89PNG" + bytes(200)))[0])


def test_a_missing_file_is_told_at_once(folder):
    with pytest.raises(DataNotFoundError, match="no file or folder"):
        named_images([folder, "-"])


def test_of_an_archive_one_image_is_held_at_a_time(tmp_path, write_image):
    image = write_image(tmp_path, "a.png", size=(100, 100))

    def peak(count):
        path = tmp_path / f"{count}.tar"
        with tarfile.open(path, "w") as archive:
            for index in range(count):
                archive.add(image, f"{index}.png")
        tracemalloc.start()
        for one in named_images([path])[0]:
            assert one.content
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(600) < peak(100) + 2**16  # an image has 2**15 bytes, and what tarfile keeps of one nearly 2**10
