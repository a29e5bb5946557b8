"""The model card: every number from the run's own files, and no text of a stranger with a meaning."""

import json
import re
import shutil

import pytest
from copied_runs import copy_of
from labelled import by_label
from markdown_it import MarkdownIt

from kcnn.workflows.card import FEW, as_code, write_card

EVIL = [
    "<script>alert(1)</script>",
    "a|b`c``",
    "[x](http://y)",
    "*bold*\n# title",
    "![i](j)",
    "\u202eright",
    "`",
    "_x_",
]


def tokens(text):
    """Return all tokens of a text in Markdown with tables, those within others too."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        found += [token, *(token.children or [])]
    return found


def edited(run, path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return write_card(run).read_text()


@pytest.fixture
def run(measured, tmp_path):
    return copy_of(measured[0], tmp_path)


def test_evaluate_writes_what_the_files_say(measured):
    run, result = measured
    text = run.card.read_text()
    metrics = json.loads(run.metrics.read_text())
    environment = json.loads(run.environment.read_text())
    assert result.files["card"] == run.card
    for key in ("accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "calibration_error"):
        assert f"{metrics[key]:.2%}" in text
    for key in ("parameters", "macs", "count", "train_count"):
        assert f"| {metrics[key]:,}" in text
    assert f"with temperature {result.calibrated['temperature']:.3f}" in text
    assert f"{result.corruptions['blur'][4]:.1%}" in text
    assert environment["data"]["fingerprint"] in text
    assert "    kcnn fit smoke\n" in text
    assert "    kcnn evaluate RUN --corrupt\n" in text
    worst = min(result.classes, key=lambda row: row["recall"])
    assert f"| `{worst['class']}` | {worst['support']} | {worst['recall']:.1%} |" in text
    assert str(run.path.parent) not in text
    for section in ("Model", "Intended use", "Data", "Training", "Metrics", "Limits", "Repeat it"):
        assert f"\n## {section}\n" in text


def test_what_was_not_done_is_said(run):
    text = edited(run, run.evaluation, corruptions=None, calibrated={"reason": "none is best."})
    assert "Not measured; `kcnn evaluate --corrupt` does." in text
    assert "Its confidence is not calibrated." in text
    assert "    kcnn evaluate RUN\n" in text
    assert "licence | not stated" in text
    recipe = run.recipe.read_text()
    run.recipe.write_text(recipe.replace("[run]\n", '[run]\nlicence = "CC-BY-4.0"\n'))
    assert "| licence | `CC-BY-4.0` |" in write_card(run).read_text()


def test_classes_with_few_images_are_limits(run):
    rows = json.loads(run.evaluation.read_text())["classes"]
    for row in rows:
        row["support"] = FEW
    text = edited(run, run.evaluation, classes=rows)
    assert "Fewer than" not in text
    assert "No test image" not in text
    rows[0] |= {"support": FEW - 1}
    rows[1] |= {"support": 0, "recall": None, "precision": None}
    text = edited(run, run.evaluation, classes=rows)
    assert f"Fewer than {FEW} test images, so that their recall says little: `0`." in text
    assert "No test image at all: `1`." in text


def test_tables_are_tables(run):
    shown = tokens(run.card.read_text())
    assert sum(token.type == "table_open" for token in shown) >= 8
    text = "".join(token.content for token in shown if token.type == "text")
    assert "|" not in text  # a row that is not one
    assert "None" not in text


def test_names_have_no_meaning(run):
    evaluation = json.loads(run.evaluation.read_text())
    for row, name in zip(evaluation["classes"], EVIL, strict=False):
        row["class"] = name
    evaluation["confused_pairs"] = [{"first": name, "second": name, "count": 1} for name in EVIL]
    run.evaluation.write_text(json.dumps(evaluation))
    run.labels.write_text(json.dumps(EVIL))
    text = edited(run, run.environment, command="kcnn fit '<b>\n# x'", backend="jax\n\n# x", processor=EVIL[0])
    kinds = {token.type for token in tokens(text)}
    assert not kinds & {"html_inline", "html_block", "link_open", "image"}
    assert not re.search("^# (x|title)", text, re.MULTILINE)
    shown = {token.content for token in tokens(text) if token.type == "code_inline"}
    assert {name.replace("\n", " ").replace("\u202e", " ") for name in EVIL} <= shown
    assert "\u202e" not in text


def test_it_says_what_the_images_are_and_how_the_training_went_on(run):
    recipe = run.recipe.read_text()
    run.recipe.write_text(recipe.replace("[data]\n", '[data]\nabout = "Digits that 43 people wrote"\n'))
    resumed = {"step": 1974, "backend": "jax", "git_commit": "c0ffee", "started": "2026-11-26T18:20:25+0000"}
    text = edited(run, run.environment, resumed=[resumed, resumed | {"step": 2000, "git_commit": None}])
    assert "the first may give other bits" in text
    assert "The first gives the same bits" in edited(run, run.environment, resumed=[])
    begun = run.known_environment()
    alike = {"step": 5, "started": "later", **{name: value for name, value in begun.items() if name != "started"}}
    assert "The first gives the same bits" in edited(run, run.environment, resumed=[alike])
    for other in ({"versions": {"keras": "0"}}, {"processor": "other"}, {"threads": 99}):
        assert "the first may give other bits" in edited(run, run.environment, resumed=[alike | other])
    assert "| what they are | `Digits that 43 people wrote` |" in text
    first, second = (f"after step {step} on jax" for step in ("1,974", "2,000"))
    assert f"| resumed | `{first}, commit c0ffee, {resumed['started']}; {second}, {resumed['started']}` |" in text


@pytest.mark.parametrize("text", ["a", "", "`", "``a`", " a ", "a|b", "\\|", "\n"])
def test_code_shows_the_text_itself(text):
    (cell,) = [token for token in tokens(f"| a |\n|---|\n| {as_code(text)} |\n") if token.type == "code_inline"]
    assert cell.content.strip() == text.strip()


def test_a_limit_that_took_nothing_away_is_no_choice(run):
    known = run.read_json(run.environment)
    assert "a stratified choice" in write_card(run).read_text()
    run.write_json(run.environment, known | {"data": known["data"] | {"train": known["data"]["train"] - 1}})
    assert "a stratified choice" not in write_card(run).read_text()


def test_a_run_that_lost_files_still_has_a_card(run):
    run.environment.unlink()
    run.calibration.unlink()
    known = json.loads(run.metrics.read_text())
    run.metrics.write_text(json.dumps(json.loads(run.evaluation.read_text())["metrics"]))
    text = write_card(run).read_text()
    assert f"{known['accuracy']:.2%}" in text
    assert "    kcnn fit recipe.toml --out ..\n" in text


def test_the_card_names_the_data_and_no_folder(run, tmp_path, digit_files):
    target = by_label(digit_files.iterdir(), tmp_path / "secret" / "photos")
    recipe = run.recipe.read_text()
    run.recipe.write_text(recipe.replace('name = "digits"', f'name = "folder"\npath = "{target}"'))
    text = write_card(run).read_text()
    assert "| name | `folder`, `photos`: " in text
    assert "secret" not in text
    assert re.search("^    kcnn fit recipe.toml --out .. --backend [a-z]+ --data PATH$", text, re.MULTILINE)
    assert "PATH is where your `photos` lies" in text


@pytest.mark.slow
def test_its_commands_work_where_it_lies(run, kcnn, monkeypatch, digit_files):
    monkeypatch.chdir(run.path)
    commands = [line.split() for line in run.card.read_text().splitlines() if line.startswith("    kcnn ")][1:]
    assert [words[1] for words in commands] == ["fit", "evaluate", "predict"]
    shutil.copy(next(digit_files.glob("*.png")), "photo.jpg")
    for _, *words in commands:
        code, _, err = kcnn(*words)
        assert code == 0, err
    assert (run.path.parent / "smoke-2" / "model.keras").is_file()
