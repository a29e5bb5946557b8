"""The picture: valid, self-contained, with every layer that counts, within its frame."""

import re
from xml.etree import ElementTree

import pytest

from kcnn.workflows.describe import describe
from kcnn.workflows.diagram import WIDTH, diagram
from kcnn.workflows.subject import find_subject

SVG = "{http://www.w3.org/2000/svg}"


def drawn(name):
    description = describe(find_subject(name))
    return description, ElementTree.fromstring(diagram(description))


@pytest.mark.parametrize("name", ["simple_cnn", "resnet20", "resnet18", "resnet110"])
def test_every_layer_that_counts_is_in_the_picture(name):
    description, root = drawn(name)
    told = [title.text for title in root.iter(f"{SVG}title")]
    for layer in description.layers:
        if layer.macs:
            assert sum(text.startswith(f"{layer.name}: {layer.kind}") for text in told) == 1
    box = [float(number) for number in root.get("viewBox").split()]
    for rect in root.iter(f"{SVG}rect"):
        left, width = float(rect.get("x", 0)), float(rect.get("width"))
        assert 0 <= left <= left + width <= WIDTH == box[2]
        assert 0 <= float(rect.get("y", 0)) <= float(rect.get("y", 0)) + float(rect.get("height")) <= box[3]


def test_there_is_an_arc_for_each_shortcut():
    _, root = drawn("resnet20")
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "arc"]) == 9
    _, root = drawn("plain20")
    assert not [path for path in root.iter(f"{SVG}path") if path.get("class") == "arc"]


def test_it_needs_nothing_else_and_knows_the_dark():
    text = diagram(describe(find_subject("simple_cnn")))
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "<script" not in text
    used = set(re.findall(r'class="([a-z ]+)"', text))
    styled = set(re.findall(r"\.([a-z]+) \{", text))
    assert {word for words in used for word in words.split()} <= styled


def test_a_name_with_markup_is_only_a_name(smoke_run, tmp_path):
    folder = tmp_path / "a<b>&c"
    folder.symlink_to(smoke_run.path)
    root = ElementTree.fromstring(diagram(describe(find_subject(str(folder)))))
    assert any((element.text or "").endswith("a<b>&c") for element in root.iter(f"{SVG}text"))
