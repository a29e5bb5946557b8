import json

import pytest

from kcnn.errors import RunError
from kcnn.files import write_text
from kcnn.run import Run


def test_two_runs_never_share_a_folder(tmp_path):
    Run.create(tmp_path, "a")
    with pytest.raises(RunError, match="already there"):
        Run.create(tmp_path, "a")
    assert Run.create_unique(tmp_path, "a").name == "a-2"
    assert Run.create_unique(tmp_path, "a").name == "a-3"
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(RunError, match="already there"):
        Run.create(tmp_path, "nowhere")
    (tmp_path / "file").write_text("")
    for create in (Run.create, Run.create_unique):
        with pytest.raises(RunError, match="Cannot make the run folder"):
            create(tmp_path / "file", "a")


def test_opening_what_is_no_run_says_what_is_missing(tmp_path):
    with pytest.raises(RunError, match="is not a run"):
        Run.open(tmp_path / "nothing")
    unfinished = Run.create(tmp_path, "b")
    write_text(unfinished.recipe, "")
    with pytest.raises(RunError, match="unfinished"):
        Run.open(unfinished.path)


@pytest.mark.parametrize(
    ("open_run", "file"), [(Run.open, "model"), (Run.open_begun, "history"), (Run.open_unfinished, "recipe")]
)
def test_a_mistyped_name_suggests_the_nearest_run(open_run, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Run.create("saved_models", "flow")
    for name in ("digits", "flowers"):
        write_text(getattr(Run.create("saved_models", name), file), "")
    write_text(Run.create("saved_models", "many-seeds").path / "seeds.json", "{}")
    for near, meant in (("flower", "flowers"), ("many-seed", "many-seeds")):
        with pytest.raises(RunError, match=rf"Did you mean '{meant}'\?"):
            open_run(near)
    with pytest.raises(RunError, match=r"Runs here: digits, flowers, many-seeds\."):
        open_run("nothing alike")


def test_a_run_opens_by_its_bare_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.create("saved_models", "c")
    write_text(run.model, "")
    assert Run.open("c").path == run.path


def test_metrics_are_added_to_what_is_there(tmp_path):
    run = Run.create(tmp_path, "d")
    run.update_metrics({"a": 1})
    run.update_metrics({"b": 2.5, "a": 3})
    assert json.loads(run.metrics.read_text()) == {"a": 3, "b": 2.5}


def test_damaged_json_is_told_in_one_line(tmp_path):
    run = Run.create(tmp_path, "e")
    write_text(run.metrics, "{")
    with pytest.raises(RunError, match="damaged"):
        run.update_metrics({"a": 1})
