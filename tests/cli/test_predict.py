"""kcnn predict as a user meets it: mistakes, pipes, lists without an end."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["https://example.org/cat.png"], "kcnn downloads no images"),
        (["missing.zip"], "There is no file or folder 'missing.zip'"),
        (["x.png", "--output", "answers"], "Say what it holds with --format"),
        (["x.png", "--output", "answers.txt"], "ends in none of .csv, .jsonl, .json, .parquet"),
        (["x.png", "--format", "parquet"], "name it with --output FILE"),
        (["x.png", "--format", "table", "--output", "a.csv"], "A table is for the terminal"),
        (["x.png", "--json", "--format", "csv"], "--json and --format csv both say what goes to stdout"),
        (["x.png", "--resume"], "--resume goes on with a file of CSV or JSON lines"),
        (["x.png", "--resume", "--output", "a.parquet"], "--resume goes on with a file of CSV or JSON lines"),
        (["x.png", "--embeddings"], "A table has no place for embeddings"),
        (["x.png", "--embeddings", "--output", "a.csv"], "A csv has no place for embeddings"),
        (["x.png", "--threshold", "2"], "is not in the range"),
        (["x.png", "--tta", "spin"], "'spin' is not one of 'flip', 'flip_shift'"),
        (["x.png", "-0"], "`-` is not among IMAGES"),
        (["x.png", "--output", "/dev/null", "--format", "csv"], "no file that could be replaced"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_a_line_and_exit_code_2(arguments, message, kcnn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = kcnn("predict", "nowhere", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def run(kcnn, smoke_run):
    return lambda *arguments: kcnn("predict", smoke_run.path, *arguments)


def test_forms_are_named_by_the_ending_of_the_file(run, digit_files, tmp_path):
    for form in ("csv", "jsonl", "json"):
        code, shown, _ = run(digit_files, "--format", form)
        path = tmp_path / f"answers.{form}"
        code, out, _ = run(digit_files, "--output", path)
        assert (code, out) == (0, f"40 of 40 images are answered in {path}.\n")
        assert path.read_text() == shown
    code, out, _ = run(digit_files, "--output", tmp_path / "answers.jsonl", "--json")
    assert json.loads(out) == {"output": f"{tmp_path}/answers.jsonl", "format": "jsonl", "count": 40, "unread": 0}


def test_json_is_one_document(run, digit_files):
    code, out, _ = run(f"{digit_files}/0_*.png", "--json", "--threshold", 0.5, "--embeddings")
    document = json.loads(out)
    assert code == 0
    assert out == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    assert {"image", "label", "probability", "known", "top", "embedding"} == set(document["predictions"][0])


def test_a_table_says_unknown_and_what_was_likeliest(run, digit_files, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(next(digit_files.glob("3_*.png")), "--threshold", 1.0)
    assert code == 0
    assert re.search(r"unknown.* \d+\.\d%.* 3 \d+\.\d%", out)


def test_unreadable_archives_and_members_are_named_and_the_rest_goes_on(run, digit_files, tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK")
    good = next(digit_files.glob("3_*.png"))
    code, out, err = run(tmp_path / "bad.zip", good, "--format", "jsonl")
    first, second = map(json.loads, out.splitlines())
    assert code == 1
    assert err.count("bad.zip is not a whole archive") == 1
    assert first["image"] == f"{tmp_path}/bad.zip"
    assert second["label"] == "3"


def test_ctrl_c_tells_the_command_that_goes_on(run, digit_files, tmp_path, monkeypatch):
    from kcnn.workflows import _answers, predict_to_file

    monkeypatch.setattr(_answers, "BATCH", 16)
    batches = predict_to_file.predict_batches

    def interrupted(*arguments, **options):
        yield next(batches(*arguments, **options))
        raise KeyboardInterrupt

    path = tmp_path / "answers.csv"
    arguments = (digit_files, "--output", path, "--top", 2)
    monkeypatch.setattr(predict_to_file, "predict_batches", interrupted)
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"Stopped: 16 images are answered, in {path}.part. Go on with: kcnn predict")
    assert err.splitlines()[-1].endswith(f"--output {path} --top 2 --resume")
    monkeypatch.setattr(predict_to_file, "predict_batches", batches)
    assert run(*arguments)[0] == 2
    code, out, _ = run(*arguments, "--resume")
    assert (code, out) == (0, f"40 of 40 images are answered in {path}.\n")
    assert path.read_text() == run(digit_files, "--format", "csv", "--top", 2)[1]


def test_a_list_on_stdin_is_answered_as_it_comes_and_a_reader_may_leave(smoke_run, digit_files, backend_name):
    files = sorted(digit_files.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "kcnn", "predict", smoke_run.path, "-", "--format", "jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KERAS_BACKEND": backend_name},
    )
    try:
        for file in files[:2]:
            process.stdin.write(os.fsencode(file) + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["image"] == str(file)
        process.stdout.close()
        process.stdin.write(os.fsencode(files[2]) + b"\n")
        process.stdin.flush()
        assert process.wait(timeout=30) == 0  # while the list is still open
        assert [line for line in process.stderr.read().splitlines() if not line.startswith(b"Backend: ")] == []
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


def test_a_bar_on_the_terminal_does_not_swallow_what_goes_to_a_pipe():
    """rich would send stdout to the terminal of its bar."""
    code = (
        "from kcnn.cli._progress import counting\n"
        "with counting() as progress:\n"
        "    progress(1, 2, 'predicting')\n"
        "    print('a row')\n"
    )
    screen, terminal = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm"}
        result = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=terminal, env=environment, check=True
        )
        assert result.stdout == b"a row\n"
        assert b"predicting" in os.read(screen, 2**16)
    finally:
        os.close(screen)
        os.close(terminal)
