"""kcnn describe and kcnn models, as they are called."""

import json
from xml.etree import ElementTree

import pytest

from kcnn.amount import amount, percent, size
from kcnn.registry import MODELS


def test_a_table_says_what_the_article_says(kcnn):
    code, out, _ = kcnn("describe", "simple_cnn", "--input", "224x224x3", "--batch", 32)
    assert code == 0
    assert "150,528 x 1,024 =" in out
    assert "154,140,672 weights" in out
    assert "for 32 images" in out
    assert max(map(len, out.splitlines())) <= 80
    assert out.isascii()


@pytest.mark.parametrize("name", ["simple_cnn", "residual_cnn", "resnet18", "wide_resnet28_10"])
def test_a_pipe_gets_whole_names_and_a_terminal_whole_lines(name, kcnn, monkeypatch):
    _, whole, _ = kcnn("describe", name)
    names = [line.split()[0] for line in whole.partition("---\n")[2].partition("\n\n")[0].splitlines()]
    assert "logits" in names
    assert not [each for each in names if "…" in each]
    monkeypatch.setattr("kcnn.cli.describe._width", lambda: 80)
    _, cut, _ = kcnn("describe", name)
    assert max(map(len, cut.splitlines())) <= 80


def test_markdown_has_a_row_a_layer(kcnn):
    code, out, _ = kcnn("describe", "resnet20", "--format", "markdown")
    assert code == 0
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert "| layer | type |" in rows[0]
    assert any(row.startswith("| logits | Dense | 10 | 650 | 640 | all |") for row in rows)


def test_svg_goes_to_stdout_or_a_file(kcnn, tmp_path):
    code, out, _ = kcnn("describe", "simple_cnn", "--format", "svg")
    assert code == 0
    assert ElementTree.fromstring(out).tag.endswith("svg")
    code, said, _ = kcnn("describe", "simple_cnn", "--output", tmp_path / "net.svg")
    assert code == 0
    assert "net.svg" in said
    assert (tmp_path / "net.svg").read_text() == out
    assert kcnn("describe", "simple_cnn", "--output", tmp_path / "net.md")[0] == 0
    assert (tmp_path / "net.md").read_text().startswith("## simple_cnn")


def test_json_is_one_document(kcnn):
    code, out, _ = kcnn("describe", "simple_cnn", "--set", "width=64", "--classes", 100, "--json")
    assert code == 0
    document = json.loads(out)
    assert (document["options"]["width"], document["classes"]) == (64, 100)
    assert document["layers"][2]["output_shape"] == [32, 32, 64]


def test_a_run_is_described(kcnn, smoke_run):
    code, out, _ = kcnn("describe", smoke_run.path, "--json")
    assert code == 0
    assert json.loads(out)["layers"][-1]["name"] == "probabilities"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "resnt20"], "Did you mean 'resnet20'?"),
        (["describe", "simple_cnn", "--input", "many"], "224x224x3"),
        (["describe", "simple_cnn", "--input", "0"], "224x224x3"),
        (["describe", "simple_cnn", "--input", "32x32x0"], "224x224x3"),
        (["describe", "simple_cnn", "--input", "4"], "too small"),
        (["describe", "simple_cnn", "--set", "widht=3"], "Did you mean 'width'?"),
        (["describe", "simple_cnn", "--json", "--format", "svg"], "--json is a format of its own"),
        (["describe", "simple_cnn", "--classes", "1"], "--classes"),
        (["describe", "simple_cnn", "--output", "net.png"], "net.png must end in .txt, .md, .markdown, .svg"),
        (["describe", "/no/such.keras"], "There is no model and no run"),
        (["models", "resnt20"], "Did you mean 'resnet20'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(arguments, message, kcnn):
    code, out, err = kcnn(*arguments)
    assert code == 2
    assert message in err
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.parametrize(("text", "shape"), [("64", (64, 64, 3)), ("64x48", (64, 48, 3)), ("64x48x1", (64, 48, 1))])
def test_a_size_may_be_short(text, shape, kcnn):
    _, out, _ = kcnn("describe", "simple_cnn", "--input", text, "--json")
    assert json.loads(out)["input_shape"] == list(shape)


# --- kcnn models ---


def test_models_fit_into_a_terminal_and_name_their_sources(kcnn):
    code, out, _ = kcnn("models")
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 90
    for name in MODELS.names():
        assert sum(line.removeprefix("* ").split()[:1] == [name] for line in lines) == 1
    assert any(line.split() == ["resnet18", "11.7M", "1.81G", "224x224x3", "69.76", "torchvision"] for line in lines)


def test_one_model_shows_its_options_and_all_numbers(kcnn):
    code, out, _ = kcnn("models", "resnet34")
    assert code == 0
    assert 'stem = "auto"  # or "small", "large"' in out
    assert "73.31  IMAGENET1K_V1" in out
    assert "75.48  10 crops" in out
    assert 'form = "one_tower"  # or "two_towers"' in kcnn("models", "alexnet")[1]
    document = json.loads(kcnn("models", "resnet34", "--json")[1])
    assert document["published"][0]["source"]["url"].startswith("https://")
    listed = json.loads(kcnn("models", "--json")[1])["models"]
    assert document in listed
    assert [model["name"] for model in listed] == MODELS.names()


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00K"), (25_557_032, "25.6M"), (999_999_999, "1.00G"), (15.47e9, "15.5G")],
)
def test_amounts_have_three_digits(number, text):
    assert amount(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(12, "12 bytes"), (2048, "2 KiB"), (1_023_693, "0.976 MiB"), (553 << 20, "553 MiB"), (3 << 40, "3,072 GiB")],
)
def test_sizes(number, text):
    assert size(number) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0, 0, "0%"),
        (1, 1, "100.0%"),
        (0.004, 0, "<1%"),
        (0.996, 0, ">99%"),
        (0.99986, 1, ">99.9%"),
        (1e-9, 1, "<0.1%"),
        (0.9994, 1, "99.9%"),
        (0.125, 2, "12.50%"),
    ],
)
def test_shares_are_not_rounded_to_none_or_all(share, digits, text):
    assert percent(share, digits) == text
