"""The page about a run: in itself, and in a real browser."""

import re
import shutil

import numpy as np
import pytest
from browsing import contrast, screen
from copied_runs import copy_of
from labelled import by_label
from pages import Page

from kcnn.run import Run
from kcnn.workflows.evaluate import Evaluation, Mistake, evaluate, measure
from kcnn.workflows.report import MOST_CELLS, MOST_ROWS, write_report


def made(probabilities, labels, names, **values):
    """Return an `Evaluation` of probabilities, without files and pictures."""
    metrics, rows, confusion = measure(probabilities, labels, names)
    given = {
        "what": "test",
        "asked": [],
        "reliability": [{"low": 0.0, "high": 1.0, "count": len(labels), "confidence": 0.5, "accuracy": 0.5}],
        "calibrated": {"reason": "none was asked for."},
        "mistakes": [],
        "properties": {},
        "corruptions": None,
        "right": probabilities.argmax(axis=1) == labels,
        "fingerprint": "0",
        "files": {},
    }
    return Evaluation(class_names=names, metrics=metrics, classes=rows, confusion=confusion, **given | values)


def test_fit_leaves_a_page_without_test_images(smoke_run, tmp_path):
    assert (smoke_run.report / "index.html").is_file()
    smoke_run = copy_of(smoke_run, tmp_path)
    page = Page(write_report(smoke_run))
    assert "Not measured on test images yet" in page.text
    assert "kcnn fit smoke" in page.text
    assert f"kcnn evaluate {smoke_run.path}" in page.text
    assert [svg["aria-label"].split(" over")[0] for svg in page.all("svg") if "aria-label" in svg] == [
        "Loss",
        "Accuracy",
        "Learning rate",
    ]


def test_the_page_holds_everything_and_loads_nothing(measured):
    run, result = measured
    page = Page(result.files["report"])
    for section in ("Metrics", "Training", "Classes", "Confusion matrix", "Most confident mistakes", "Calibration"):
        assert section in page.text
    assert "norm_momentum = 0.9" in page.text  # of the recipe
    assert run.read_json(run.environment)["data"]["fingerprint"] in page.text
    assert f"{result.metrics['accuracy']:.2%}" in page.text
    assert f"kcnn evaluate {run.path} --corrupt" in page.text
    pictures = page.all("img")
    assert len(pictures) == 2 * len(result.mistakes) > 0
    assert all(picture["src"].startswith("data:image/png;base64,") for picture in pictures)
    for one, picture, heatmap in zip(result.mistakes, pictures[::2], pictures[1::2], strict=True):
        assert picture["alt"] == f"{one.image}: {one.true}, taken for {one.predicted}"
        assert heatmap["alt"] == f"What speaks for {one.predicted} in {one.image}, after Grad-CAM"
    assert not page.all("script")
    addresses = [
        value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")
    ]
    assert all(address.startswith("data:") for address in addresses)
    assert "url(" not in result.files["report"].read_text()
    assert all("aria-label" in svg or svg.get("aria-hidden") for svg in page.all("svg"))


def test_names_are_text_and_never_markup(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    evil = "<script>alert(1)</script>"
    pixels = np.zeros((8, 8, 3), "uint8")
    mistakes = [Mistake(evil, evil, 'b"', 0.9, 0.1, pixels)]
    page = Page(write_report(run, made(np.eye(2), np.array([1, 0]), [evil, 'b"'], mistakes=mistakes)))
    assert not page.all("script")
    assert evil in page.text
    assert page.all("img")[0]["alt"] == f'{evil}: {evil}, taken for b"'


def test_commands_can_be_pasted_into_a_shell(smoke_run, tmp_path):
    run = Run(shutil.copytree(smoke_run.path, tmp_path / "my run"))
    page = Page(evaluate(run).files["report"])
    assert f"kcnn predict '{run.path}' --calibrated" in page.text
    assert f"kcnn evaluate '{run.path}'" in page.text


def test_a_run_that_lost_files_still_has_a_page(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    for path in (run.history, run.metrics, run.environment):
        path.unlink()
    page = Page(write_report(run, made(np.eye(2), np.array([0, 1]), ["a", "b"])))
    assert "100.00%" in page.text
    assert "There are none." in page.text  # mistakes


def test_a_heatmap_stands_beside_its_mistake(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    mistakes = [Mistake(name, "a", "b", 0.9, 0.1, np.zeros((8, 8, 1), "uint8")) for name in ("one", "two")]
    result = made(np.eye(2), np.array([1, 0]), ["a", "b"], mistakes=mistakes)
    page = Page(write_report(run, result, {"two": np.full((8, 8, 3), 200, "uint8")}))
    assert [picture["alt"] for picture in page.all("img")] == [
        "one: a, taken for b",
        "two: a, taken for b",
        "What speaks for b in two, after Grad-CAM",
    ]


def test_a_thousand_classes_stay_readable(smoke_run, tmp_path):
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 990, 3000)  # ten classes have no image
    probabilities = draw.dirichlet(np.ones(1000), 3000).astype("float32")
    probabilities[np.arange(2000), labels[:2000]] += 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    path = write_report(copy_of(smoke_run, tmp_path), made(probabilities, labels, [f"class {k}" for k in range(1000)]))
    page = Page(path)
    assert len([cell for cell in page.all("td") if "aria-label" in cell]) == MOST_CELLS**2
    assert f"The {MOST_ROWS} classes of 1,000 with the lowest F1" in page.text
    assert path.stat().st_size < 2**20
    assert "nan" not in page.text.lower()


def test_other_data_gets_a_page_of_its_own(measured, tmp_path, digit_files):
    run, _ = measured
    before = (run.report / "index.html").read_text()
    result = evaluate(run, data_path=str(by_label(digit_files.iterdir(), tmp_path / "more")))
    assert result.files["report"].name == "test_more.html"
    assert f"kcnn evaluate {run.path} --data {tmp_path}/more" in result.files["report"].read_text()
    assert (run.report / "index.html").read_text() == before


def opened(browser, page, width, dark=False):
    """Open a page from disk on a screen of so many pixels."""
    screen(browser, width, dark)
    browser.get(page.resolve().as_uri())


@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_every_picture_within_the_screen(browser, measured, width):
    page = measured[1].files["report"]
    opened(browser, page, width)
    broken = "return [...document.images].filter(one => !one.complete || !one.naturalWidth).length"
    assert browser.execute_script("return document.images.length") == 2 * len(measured[1].mistakes)
    assert browser.execute_script(broken) == 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    charts = "return [...document.querySelectorAll('.chart > svg')].map(one => one.getBoundingClientRect().height)"
    heights = browser.execute_script(charts)
    assert len(heights) == 5  # three curves, reliability, corruptions
    assert min(heights) > 100
    assert browser.get_log("browser") == []
    asked = re.findall(r'"url":"([a-z]+):', " ".join(entry["message"] for entry in browser.get_log("performance")))
    assert set(asked) <= {"file", "data"}


def test_the_colours_follow_the_reader_and_can_be_read(browser, measured):
    script = """
        const numbers = text => text.match(/[0-9.]+/g).map(Number);
        const colours = one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor].map(numbers);
        return [...document.querySelectorAll('body, .soft, .matrix tbody td')].map(colours)"""
    pages = []
    for dark in (False, True):
        opened(browser, measured[1].files["report"], 1200, dark)
        (_, page), *others = browser.execute_script(script)
        pages.append(sum(page))
        assert len(others) > 100
        for ink, ground in others:
            cover = ground[3] if len(ground) == 4 else 1
            ground = np.multiply(ground[:3], cover) + np.multiply(page, 1 - cover)
            assert contrast(ground, ink) > 4.5, (ink, ground)  # WCAG 2.1, level AA
    assert pages[0] > 700 > 100 > pages[1]


def test_a_cell_under_the_pointer_tells_its_numbers(browser, measured):
    from selenium.webdriver import ActionChains

    opened(browser, measured[1].files["report"], 1200)
    cell = browser.find_element("css selector", ".matrix td.same")
    says = "return getComputedStyle(document.querySelector('.matrix td.same'), '::after').content"
    assert browser.execute_script(says) == "none"
    ActionChains(browser).scroll_to_element(cell).move_to_element(cell).perform()
    count, support = measured[1].confusion[0, 0], measured[1].classes[0]["support"]
    assert browser.execute_script(says).startswith(f'"{count} of {support} 0 (')
