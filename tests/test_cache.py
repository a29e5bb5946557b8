"""Where the cache is."""

from pathlib import Path

from kcnn import cache


def test_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("KCNN_CACHE", str(tmp_path))
    assert cache.folder("datasets") == tmp_path / "datasets"


def test_folder_is_the_users_by_default(monkeypatch):
    monkeypatch.delenv("KCNN_CACHE", raising=False)
    assert Path.home() in cache.folder("datasets").parents
