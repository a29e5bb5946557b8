import os

import pytest

from kcnn.errors import UsageError
from kcnn.files import atomic, write_text


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_an_atomic_file_keeps_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    write_text(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode


def test_what_is_no_file_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="no file that could be replaced"):
        write_text(pipe, "x")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "deep").mkdir()
    link = tmp_path / "link"
    link.symlink_to("deep/file.txt")
    for text in ("new", "again"):
        write_text(link, text)
        assert link.is_symlink()
        assert (tmp_path / "deep" / "file.txt").read_text() == text


def test_the_format_is_that_of_a_links_own_name(tmp_path):
    link = tmp_path / "picture.svg"
    link.symlink_to("blob")
    with atomic(link) as temporary:
        assert temporary.suffix == ".svg"
        temporary.write_text("<svg/>")
    assert (tmp_path / "blob").read_text() == "<svg/>"


def test_a_stream_of_a_process_and_links_in_a_circle_are_no_files(tmp_path):
    stream, first, second = (tmp_path / name for name in ("stream", "first", "second"))
    with (tmp_path / "redirected").open("w") as file:
        stream.symlink_to(f"/proc/self/fd/{file.fileno()}")
        first.symlink_to(second)
        second.symlink_to(first)
        for path in (stream, first):
            with pytest.raises(UsageError, match="no file that could be replaced"):
                write_text(path, "x")
            assert path.is_symlink()
