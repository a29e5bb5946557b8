"""The command line as a newcomer meets it: help, mistakes, pipes, a full disk."""

import io
import itertools
import json
import os
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest

from kcnn.cli import VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, kcnn):
    code, out, _ = kcnn(verb, "--help")
    assert code == 0
    assert "Usage: kcnn" in out
    assert "--json" in out or verb == "recipes"


def test_the_list_of_verbs_has_whole_sentences(kcnn):
    code, out, _ = kcnn("--help")
    verbs = out.partition("Commands:\n")[2].splitlines()
    assert code == 0
    assert len(verbs) == len(VERBS)
    assert all(line.endswith(".") and not line.endswith("...") for line in verbs)


def test_help_is_fast():
    def seconds(*command):
        """Of the processor, since those of the clock tell how busy the machine is."""
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime

    plain = min(seconds(sys.executable, "-c", "pass") for _ in range(5))
    ours = min(seconds(sys.executable, "-m", "kcnn", "--help") for _ in range(5))
    assert ours - plain < 0.25


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fitt"], 2, "Did you mean 'fit'?"),
        (["fit", "digts"], 2, "Did you mean 'digits'?"),
        (["fit", "--data", "/no/such/folder"], 2, "/no/such/folder"),
        (["fit", "smoke", "--set", "model.widht=3"], 2, "Did you mean 'width'?"),
        (["fit", "smoke", "--epochs", "0"], 2, "epochs: expected greater than or equal to 1"),
        (["fit", "smoke", "--epochs", "many"], 2, "'many' is not a valid integer"),
        (["fit", "smoke", "--backend", "tensorfow"], 2, "Did you mean 'tensorflow'?"),
        (["fit", "smoke", "--device", "tpu"], 2, "'gpu:N'"),
        (["fit", "smoke", "--name", "a/b"], 2, "not a path"),
        (["evaluate", "nowhere"], 2, "is not a run"),
        (["predict", "nowhere", "x.png"], 2, "There is no file or folder 'x.png'"),
        (["recipes", "show", "nope"], 2, "Recipes that come with kcnn"),
        (["recipes", "--json", "show", "smoke"], 2, "--json goes with the list alone"),
        (["parity", "smoke", "--recipe-all"], 2, "--recipe-all takes no RECIPE"),
        (["parity"], 2, "Name a RECIPE"),
        (["bench", "smoke", "--exports", "--steps", "3"], 2, "do not go with --exports"),
        (["fit", "smoke", "--frobnicate"], 2, "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_a_line_and_an_exit_code(arguments, code, message, kcnn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, out, err = kcnn(*arguments)
    assert found == code
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if not line.startswith(("Usage", "Try", "Backend"))]) <= 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_names_that_look_like_markup(terminal, monkeypatch):
    from rich.console import Console

    from kcnn.cli import _progress

    file = io.StringIO()
    monkeypatch.setattr(_progress, "console", lambda: Console(file=file, force_terminal=terminal, width=80))
    monkeypatch.setattr(_progress, "LINE_SECONDS", -1)
    with _progress.counting() as progress:
        for name in ("a[bold]b", "x[/y]"):
            progress(1, 2, name)
    assert "a[bold]b" in file.getvalue()
    assert "x[/y]" in file.getvalue()


def test_debug_shows_the_traceback(kcnn):
    _, _, err = kcnn("fit", "digts", "--debug")
    assert "Traceback" in err


@pytest.mark.parametrize("verb", ["models", "recipes", "datasets", "check"])
def test_listings_are_also_json(verb, kcnn):
    code, out, _ = kcnn(verb, "--json")
    assert code == 0
    assert json.loads(out)


def test_check_says_ready(kcnn):
    code, out, _ = kcnn("check")
    assert code == 0
    assert "Ready." in out


def test_a_recipe_can_be_shown_copied_and_trained(kcnn, tmp_path):
    copy = tmp_path / "mine.toml"
    code, out, _ = kcnn("recipes", "copy", "smoke", copy)
    assert code == 0
    shown = kcnn("recipes", "show", "smoke")[1]
    assert copy.read_text() == shown
    code, _, err = kcnn("recipes", "copy", "digits", copy)
    assert code == 2
    assert "already there" in err
    assert copy.read_text() == shown
    code, out, err = kcnn("fit", copy, "--epochs", 1, "--out", tmp_path / "runs", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["run"].endswith("/mine")
    assert "Epoch   1 | Train Loss" in err


def test_unreadable_images_are_named_and_the_rest_is_answered(kcnn, smoke_run, digit_files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    code, out, err = kcnn("predict", smoke_run.path, bad, next(digit_files.glob("3_*.png")), "--json")
    assert code == 1
    assert "bad.png" in err
    answers = json.loads(out)["predictions"]
    assert "error" in answers[0]
    assert answers[1]["label"] == "3"


def test_a_reader_that_leaves_is_no_error(smoke_run, digit_files):
    command = f"{sys.executable} -m kcnn predict {smoke_run.path} {digit_files} --format csv | head -1"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("image,rank")
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_reader_that_leaves_is_no_error_in_any_form(smoke_run, digit_files, form):
    command = f"{sys.executable} -m kcnn predict {smoke_run.path} {digit_files} --format {form} | true"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_work_goes_on_though_nobody_reads_stderr(smoke_run, digit_files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    out = tmp_path / "out.csv"
    command = f"{sys.executable} -m kcnn predict {smoke_run.path} {bad} {digit_files} --output {out} 2> >(true)"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 1  # of the image that could not be read
    assert len({line.split(",")[0] for line in out.read_text().splitlines()}) > 40


@pytest.mark.parametrize("form", ["table", "csv"])
@pytest.mark.parametrize(("closing", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("<&-", 2)])
def test_streams_that_are_closed_from_the_beginning(smoke_run, digit_files, form, closing, code):
    images = "-" if code else next(digit_files.iterdir())
    command = f"{sys.executable} -m kcnn predict {smoke_run.path} {images} --format {form} {closing}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    assert "should not happen" not in result.stderr


def test_a_long_epoch_is_no_silence_where_there_is_no_terminal(kcnn, tmp_path, monkeypatch):
    seconds = itertools.count(0, 25)  # of the beginning, of each epoch's begin and end, and of each step
    monkeypatch.setattr("kcnn.cli._progress.time", SimpleNamespace(perf_counter=seconds.__next__, monotonic=float))
    settings = ("--set", "data.limit=100", "--set", "batch_size=32", "--epochs", 2)
    code, out, err = kcnn("fit", "smoke", *settings, "--out", tmp_path)
    assert code == 0
    told = [line for line in err.splitlines() if "| step" in line]
    assert told == [f"Epoch   {epoch} | step 2 of 4" for epoch in (1, 2)]
    assert "| step" not in out


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_one_odd_file_name_loses_no_table(smoke_run, digit_files, tmp_path, verb):
    for index, image in enumerate(sorted(digit_files.iterdir())[:3]):
        name = f"{index}.png".encode() if index != 1 else b"caf\xe9.png"
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(image.read_bytes())
    extra = ["--out", tmp_path / "out"] if verb == "explain" else []
    result = subprocess.run(
        [sys.executable, "-m", "kcnn", verb, smoke_run.path, tmp_path, *extra],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"},
    )
    assert result.returncode == 0, result.stderr
    assert r"caf\udce9.png" in result.stdout
    assert "2.png" in result.stdout


def test_progress_stays_off_stdout_though_stderr_is_closed(tmp_path):
    command = f"{sys.executable} -m kcnn fit smoke --epochs 1 --out {tmp_path} --name r --json 2>&-"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["run"] == str(tmp_path / "r")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, child, backend_name):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        result = child("fit", "smoke", "--epochs", 1, "--out", disk, "--name", "r", backend_name=backend_name)
        assert result.returncode == 1
        assert "the disk is full" in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr
        assert not [path for path in disk.rglob("*") if path.name.startswith(".") or path.name == "model.keras"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
