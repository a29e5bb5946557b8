"""Files, folders and globs become a list of images."""

import pytest

from kcnn.data.find import find_images
from kcnn.errors import DataNotFoundError


@pytest.fixture
def images(tmp_path, write_image):
    for name in ("10.png", "2.png", "sub/1.jpg", "sub/deep/3.png"):
        write_image(tmp_path, name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "odd.dat").write_bytes((tmp_path / "2.png").read_bytes())
    return tmp_path


def relative(found, root):
    return [path[len(str(root)) + 1 :] for path in found]


def test_folder(images):
    assert relative(find_images([images]), images) == ["2.png", "10.png", "sub/1.jpg", "sub/deep/3.png"]


def test_globs(images):
    assert relative(find_images([f"{images}/*.png"]), images) == ["2.png", "10.png"]
    assert relative(find_images([f"{images}/**/3.*"]), images) == ["sub/deep/3.png"]
    assert relative(find_images([f"{images}/*"]), images) == ["2.png", "10.png"]


def test_each_once_in_the_given_order(images):
    found = find_images([images / "sub/1.jpg", images / "odd.dat", images])
    assert relative(found, images) == ["sub/1.jpg", "odd.dat", "2.png", "10.png", "sub/deep/3.png"]


def test_a_name_with_brackets_is_a_file_first(images, write_image):
    path = write_image(images, "a[1].png")
    assert find_images([path]) == [str(path)]


@pytest.mark.parametrize("name", ["none.png", "*.webp", "empty"])
def test_nothing_found(images, name):
    (images / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match=r"no file or folder|holds no images"):
        find_images([images / "2.png", images / name])
    with pytest.raises(DataNotFoundError, match="No images were named"):
        find_images([])


def test_a_url_is_told(images):
    with pytest.raises(DataNotFoundError, match="kcnn downloads no images"):
        find_images([images, "https://example.org/cat.png"])


def test_archives_and_lists_are_for_those_who_ask(images):
    (images / "more.zip").write_bytes(b"")
    assert relative(find_images([f"{images}/*"]), images) == ["2.png", "10.png"]
    assert relative(find_images([f"{images}/*"], archives=True), images) == ["2.png", "10.png", "more.zip"]
    assert find_images(["-"], listed=True) == ["-"]
    with pytest.raises(DataNotFoundError, match="no file or folder '-'"):
        find_images(["-"])
