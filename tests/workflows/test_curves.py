"""kcnn evaluate --curves: the errors of several runs over their epochs, in numbers and in a picture."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kcnn.errors import RunError, UsageError
from kcnn.files import write_text
from kcnn.run import Run
from kcnn.workflows.curves import COLOURS, MOST, check_picture, draw_errors, error_curves

HEADER = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,images_per_second\n"


def made(parent, name, accuracies, *, validated=True, finished=True):
    """Return a run that has a history and no model; of each epoch the training and the validation accuracy."""
    run = Run.create(parent, name)
    rows = [
        f"{epoch},1.0,{accuracy},{f'1.0,{other}' if validated else ','},0.1,2.0,100.0\n"
        for epoch, (accuracy, other) in enumerate(accuracies, 1)
    ]
    write_text(run.history, HEADER + "".join(rows))
    if finished:
        run.update_metrics({"epochs": len(rows)})
    return run


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def falling(count, end):
    return [(end - 0.5 / epoch, end - 0.6 / epoch) for epoch in range(1, count + 1)]


def test_numbers_are_those_of_the_history(tmp_path, kcnn):
    runs = [
        made(tmp_path, "a", [(0.5, 0.25), (0.75, 0.5)]),
        made(tmp_path, "b", [(0.125, 0)], validated=False, finished=False),
    ]
    code, out, _ = kcnn("evaluate", "--curves", *(run.path for run in runs), "--output", tmp_path / "c.png", "--json")
    assert code == 0
    first, second = json.loads(out)["runs"]
    assert first == {
        "name": "a",
        "run": str(runs[0].path),
        "finished": True,
        "epochs": [1, 2],
        "training": [0.5, 0.25],
        "validation": [0.75, 0.5],
    }
    assert (second["training"], second["validation"], second["finished"]) == ([0.875], None, False)
    assert pixels_of(tmp_path / "c.png").shape[1] > 600


def test_epochs_without_validation_images_are_left_out(tmp_path, kcnn):
    """A forced resume may bring them, or end them."""
    runs = [made(tmp_path, name, falling(3, 0.8)) for name in ("brought", "ended")]
    for run, epoch in zip(runs, (1, 3), strict=True):
        lines = run.history.read_text().splitlines()
        words = lines[epoch].split(",")
        lines[epoch] = ",".join([*words[:3], "", "", *words[5:]])
        write_text(run.history, "\n".join(lines) + "\n")
    brought, ended = error_curves(runs)
    assert [share is None for share in brought.validation] == [True, False, False]
    assert [epoch for epoch, _ in ended.validated] == [1, 2]
    draw_errors([brought, ended], tmp_path / "c.svg")
    assert f"ended: validation {ended.validation[1]:.2%}" in (tmp_path / "c.svg").read_text()
    code, out, _ = kcnn("evaluate", "--curves", *(run.path for run in runs), "--output", tmp_path / "c.png")
    assert code == 0
    assert f"{ended.validation[1]:.2%} in 2" in out


def amount(pixels, colour):
    return (pixels == [int(colour[place : place + 2], 16) for place in (1, 3, 5)]).all(axis=-1).sum()


def test_each_run_has_a_colour_of_its_own(tmp_path):
    ends = {"plain20": 0.91, "plain56": 0.87, "resnet20": 0.93, "resnet56": 0.95}
    draw_errors(
        error_curves([made(tmp_path, name, falling(40, end)) for name, end in ends.items()]), tmp_path / "c.png"
    )
    pixels = pixels_of(tmp_path / "c.png")
    for colour in COLOURS[:4]:
        assert amount(pixels, colour) > 300, colour


def test_validation_is_bold_and_training_thin(tmp_path):
    drawn = []
    for name, validated in (("both", True), ("thin", False)):
        run = made(tmp_path, name, falling(40, 0.9), validated=validated)
        draw_errors(error_curves([run]), tmp_path / "c.png")
        drawn.append(amount(pixels_of(tmp_path / "c.png"), COLOURS[0]))
    assert drawn[0] > 2.5 * drawn[1] > 0


def test_names_are_shown_as_they_are(tmp_path):
    """Neither hidden for an underscore, nor read as mathematics."""
    run = made(tmp_path, "_$x^$_{", falling(3, 0.8))
    draw_errors(error_curves([run]), tmp_path / "c.svg")
    assert "_$x^$_{: validation 40.00%, training 36.67%" in (tmp_path / "c.svg").read_text()


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    runs = [made(tmp_path / first / second, "seed0", falling(2, 0.9)) for first, second in ("ac", "bc", "ad")]
    assert [curve.name for curve in error_curves(runs[:2])] == ["a/c/seed0", "b/c/seed0"]
    assert [curve.name for curve in error_curves(runs[::2])] == ["c/seed0", "d/seed0"]


def test_it_needs_no_keras_and_no_finished_run(tmp_path):
    made(tmp_path / "saved_models", "going", falling(3, 0.8), finished=False)
    code = (
        "import sys\nfrom kcnn.cli import main\n"
        "try:\n    main(['evaluate', '--curves', 'going'])\nexcept SystemExit as error:\n    assert not error.code\n"
        "assert not {'keras', 'torch', 'jax', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert "Picture: error_curves.png" in done.stdout
    assert (tmp_path / "error_curves.png").is_file()


def test_what_cannot_be_drawn_is_told(tmp_path):
    empty = made(tmp_path, "empty", [])
    with pytest.raises(RunError, match="no epoch behind it yet"):
        error_curves([empty])
    for content in (HEADER + "1,1.0,many,,,0.1,2,3\n", "epoch,loss\n1,2.0\n", HEADER + "1,1,1,1,1,1,1,1,1\n"):
        write_text(empty.history, content)
        with pytest.raises(RunError, match=r"history\.csv is damaged"):
            error_curves([empty])
    with pytest.raises(RunError, match=r"expected a folder with history\.csv"):
        Run.open_begun(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"must end in one of .*png"):
        check_picture("curves.doc")
    with pytest.raises(UsageError, match="can be told apart"):
        error_curves([empty] * (MOST + 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--output", "c.png"], "belongs to --curves"),
        (["--curves", "a", "--corrupt"], "measures nothing: leave --corrupt out"),
        (["--curves", "a", "--tta", "flip", "--split", "test"], "measures nothing: leave --split, --tta out"),
        (["--curves", "a", "--data", "d", "--backend", "jax"], "measures nothing: leave --data, --backend out"),
        (["--curves", "b"], "b is not a run"),
        (["--curves", "a", "a"], "named twice"),
        (["--curves", "seeds"], "several seeds. Name one, such as seeds/seed7."),
        (["--curves", "begun"], "saved_models/begun has no epoch behind it yet"),
        (["--curves", "a", "--output", "c.pgf"], "must end in one of .png, .svg, .pdf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_gets_a_line(arguments, message, tmp_path, kcnn, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made(tmp_path, "a", falling(2, 0.9))
    write_text(tmp_path / "seeds" / "seeds.json", "{}")
    (tmp_path / "seeds" / "seed7").mkdir()
    write_text(tmp_path / "saved_models" / "begun" / "recipe.toml", "")
    before = sorted(tmp_path.iterdir())
    code, out, err = kcnn("evaluate", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


def test_names_that_differ_in_their_ends_are_told_apart(tmp_path, kcnn, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"{'long-' * 12}{end}" for end in "yz"]
    monkeypatch.chdir(tmp_path)
    _, out, _ = kcnn("evaluate", "--curves", *(made(tmp_path, name, falling(2, 0.9)).path for name in names))
    table = out.partition("─\n")[2].splitlines()[:-1]
    cells = "".join(line.split(" ")[0] for line in table)
    assert cells == "".join(names)


@pytest.mark.parametrize("columns", [40, 50, 60])
def test_numbers_stay_whole_on_a_narrow_terminal(tmp_path, kcnn, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(tmp_path)
    run = made(tmp_path, "a run with a name", [(0.5, 0.4), (0.56789, 0.45679)])
    _, out, _ = kcnn("evaluate", "--curves", run.path)
    assert "…" not in out
    for number in ("43.21%", "54.32%"):
        assert number in out


def test_a_run_of_one_epoch_has_one_epoch(tmp_path):
    curve = error_curves([made(tmp_path, "one", [(0.5, 0.4)])])[0]
    figure = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda drawn, path, **options: figure.update(it=drawn))
        draw_errors([curve], tmp_path / "one.png")
    low, high = figure["it"].axes[0].get_xlim()
    assert [tick for tick in figure["it"].axes[0].get_xticks() if low <= tick <= high] == [1]


def test_a_real_run_is_drawn(smoke_run, kcnn, tmp_path):
    code, out, _ = kcnn("evaluate", "--curves", smoke_run.path, "--output", tmp_path / "c.pdf")
    assert code == 0
    kept = json.loads(smoke_run.metrics.read_text())
    assert f"{1 - kept['train_accuracy']:.2%}" in out
    assert f"{1 - kept['val_accuracy']:.2%}" in out
