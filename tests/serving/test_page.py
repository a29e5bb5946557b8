"""The page in a real browser: dropped, pasted, chosen and photographed images, by keyboard and on a phone."""

import base64
import re

import numpy as np
import pytest
from browsing import contrast, screen
from known import Known, edges, encoded, picture, serving
from PIL import Image

from kcnn.classifier import Classifier
from kcnn.serving.explainer import Explainer

# A file as a drag or the clipboard brings it: bytes, name and type.
FILE = """
    const bytes = Uint8Array.from(atob(arguments[0]), one => one.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], arguments[1], {type: "image/png"}));
"""
DROP = FILE + "zone.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}))"
PASTE = FILE + "document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true}))"


@pytest.fixture(scope="module")
def real(smoke_run):
    """The address of a server of the smoke run."""
    classifier = Classifier.open(smoke_run.path)
    with serving(classifier, explainer=Explainer(lambda: classifier)) as (address, _):
        yield address


@pytest.fixture(scope="module")
def made_up():
    """The address of a server whose class names are not kind."""
    with serving(Known(), explainer=edges) as (address, _):
        yield address


def visit(browser, address, width=1200, dark=False, ready="model !== null"):
    for log in ("browser", "performance"):
        browser.get_log(log)  # what earlier visits left there
    screen(browser, width, dark)
    browser.get(address)
    wait(browser, ready)


def wait(browser, condition):
    """Wait until a condition of the page holds."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 30).until(lambda _: browser.execute_script(f"return {condition}"), condition)


def give(browser, data, script=DROP, name="digit.png"):
    browser.execute_script(script, base64.b64encode(data).decode(), name)


def wait_for_heat(browser, label=None):
    wait(browser, "heat.naturalWidth > 0 && !seen.hidden && !document.querySelector('#result').hidden")
    if label is not None:
        wait(browser, f"heat.alt === 'Heatmap of what speaks for {label}'")


def text(browser, selector):
    return browser.find_element("css selector", selector).text


def assert_nothing_came_from_elsewhere(browser, address):
    """The policy was not offended, and only this server was asked."""
    assert [entry for entry in browser.get_log("browser") if "401" not in entry["message"]] == []
    asked = re.findall(r'"url":"(\w+:[^"]*)"', " ".join(entry["message"] for entry in browser.get_log("performance")))
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", f"blob:{address}"))] == []


@pytest.fixture(scope="module")
def three(digit_files):
    return sorted(digit_files.glob("3_*.png"))[0]


def test_a_dropped_image_is_named_and_explained(browser, real, three):
    visit(browser, real)
    assert text(browser, "h1") == "known"
    give(browser, three.read_bytes())
    wait_for_heat(browser, "3")
    lines = browser.find_elements("css selector", "#top li")
    assert len(lines) == 5
    assert lines[0].text.startswith("3")
    widths = browser.execute_script(
        "return [...document.querySelectorAll('.bar')].map(one => parseFloat(one.style.width))"
    )
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 50
    assert re.fullmatch(r"3, [0-9.]+ %. The heatmap shows what speaks for it.", text(browser, "#status"))
    assert browser.execute_script("return getComputedStyle(heat).opacity") == "0.7"
    box = "const one = arguments[0].getBoundingClientRect(); return [one.left, one.top, one.width, one.height]"
    photo, heat = (browser.execute_script(box, browser.find_element("id", name)) for name in ("photo", "heat"))
    assert heat == pytest.approx(photo, abs=1)  # a square image for a square network
    assert photo[2] > 200
    assert_nothing_came_from_elsewhere(browser, real)


@pytest.mark.parametrize("way", ["chosen", "pasted", "photographed"])
def test_images_come_in_other_ways_too(browser, real, three, way):
    visit(browser, real)
    if way == "chosen":
        browser.find_element("id", "file").send_keys(str(three))
        wait_for_heat(browser, "3")
    elif way == "pasted":
        give(browser, three.read_bytes(), PASTE)
        wait_for_heat(browser, "3")
    else:
        browser.find_element("id", "camera").click()
        wait(browser, "finder.open && video.videoWidth > 0")
        browser.find_element("id", "take").click()
        wait_for_heat(browser)
        assert browser.execute_script("return video.srcObject") is None  # and the camera is off again
        assert browser.execute_script("return photo.naturalWidth") > 100
    assert_nothing_came_from_elsewhere(browser, real)


def test_the_keyboard_is_enough(browser, real, three):
    from selenium.webdriver import ActionChains, Keys

    visit(browser, real)
    browser.execute_script("window.opened = 0; file.click = () => opened++")
    focused = "return document.activeElement.id"
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.execute_script(focused) == "zone"
    ActionChains(browser).send_keys(Keys.ENTER).send_keys(Keys.SPACE).perform()
    assert browser.execute_script("return opened") == 2
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.execute_script(focused) == "camera"
    give(browser, three.read_bytes())
    wait_for_heat(browser, "3")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.execute_script(focused) == "cover"
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT * 5).perform()
    assert text(browser, "#percent") == "75 %"
    assert browser.execute_script("return getComputedStyle(heat).opacity") == "0.75"
    ActionChains(browser).send_keys(Keys.HOME).perform()
    assert browser.execute_script("return getComputedStyle(heat).opacity") == "0"
    ActionChains(browser).send_keys(Keys.TAB * 2).send_keys(Keys.ENTER).perform()
    second = browser.find_elements("css selector", "#top .name")[1].text
    wait_for_heat(browser, second)
    assert text(browser, "#status").endswith("what speaks for it; the answer is 3.")
    pressed = "return [...document.querySelectorAll('#top button')].map(one => one.getAttribute('aria-pressed'))"
    assert browser.execute_script(pressed) == ["false", "true", "false", "false", "false"]
    shown = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(shown) == "solid"


def test_everything_has_a_name_for_who_cannot_see_it(browser, real, three):
    visit(browser, real)
    give(browser, three.read_bytes())
    wait_for_heat(browser, "3")
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    parts = {"button", "slider", "image", "textbox", "link", "dialog"}
    seen = [
        (node["role"]["value"], node["name"]["value"]) for node in nodes if node.get("role", {}).get("value") in parts
    ]
    assert {role for role, _ in seen} >= {"button", "slider", "image", "link"}
    assert all(name for _, name in seen), seen
    assert ("image", "The image: digit.png") in seen
    assert ("image", "Heatmap of what speaks for 3") in seen
    lives = browser.find_elements("css selector", "[aria-live], [role=alert]")
    assert [one.get_attribute("id") for one in lives] == ["problem", "status"]


def test_names_are_text_and_never_markup(browser, made_up):
    visit(browser, made_up)
    give(browser, picture(3, 9), name="<img src=x onerror=alert(1)>.png")
    wait_for_heat(browser, "<b>three</b>")
    assert text(browser, "#top li .name") == "<b>three</b>"
    assert browser.find_element("id", "photo").get_attribute("alt") == "The image: <img src=x onerror=alert(1)>.png"
    assert not browser.find_elements("css selector", "b:not(#zone b)")
    assert_nothing_came_from_elsewhere(browser, made_up)


def test_what_the_network_does_not_see_is_dark(browser, made_up):
    visit(browser, made_up)
    give(browser, encoded(Image.new("RGB", (300, 100), (2, 0, 0))))
    wait_for_heat(browser, "two")
    box = "const one = arguments[0].getBoundingClientRect(); return [one.left, one.width]"
    photo, heat = (browser.execute_script(box, browser.find_element("id", name)) for name in ("photo", "heat"))
    assert heat[1] == pytest.approx(photo[1] / 3, abs=1)
    assert heat[0] == pytest.approx(photo[0] + photo[1] / 3, abs=1)
    assert "does not see what is dark" in text(browser, "#caption")


def test_what_is_no_image_is_told_in_a_sentence(browser, made_up):
    visit(browser, made_up)
    give(browser, b"hello", name="hello.png")
    wait(browser, "!problem.hidden")
    assert text(browser, "#problem").startswith("Cannot read hello.png: its content is not that of a JPEG")
    assert not browser.find_element("id", "result").is_displayed()
    browser.get_log("browser")  # which notes the status 422
    give(browser, picture(1), name="good.png")
    wait_for_heat(browser, "one")
    assert not browser.find_element("id", "problem").is_displayed()


def test_the_answer_stands_where_the_browser_cannot_show_the_image(browser, made_up):
    visit(browser, made_up)
    give(browser, encoded(Image.new("RGB", (8, 8), (1, 0, 0)), "TIFF"), name="scan.tif")
    wait(browser, "caption.textContent.includes('cannot show')")
    assert text(browser, "#top li .name") == "one"


def test_without_a_heatmap_the_reason_is_told(browser):
    with serving(Known()) as (address, _):
        visit(browser, address)
        give(browser, picture(1))
        wait(browser, "caption.textContent === 'There is none.'")
        assert text(browser, "#top li .name") == "one"


def test_a_camera_that_pages_may_not_use_is_told_of(browser, made_up):
    visit(browser, made_up)
    browser.execute_script("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
    browser.execute_script("window.opened = 0; shot.click = () => opened++")
    browser.find_element("id", "camera").click()
    assert "https or localhost" in text(browser, "#hint")
    assert browser.execute_script("return opened") == 1
    assert browser.find_element("id", "shot").get_attribute("capture") == "environment"


def test_a_locked_server_asks_for_its_key(browser):
    with serving(Known(), key="schlüssel €", explainer=edges) as (address, _):
        visit(browser, address, ready="!unlock.hidden")
        for key, words in (("wrong", "not the right one"), ("schlüssel €", "")):
            browser.find_element("id", "key").send_keys(key)
            browser.find_element("css selector", "#unlock button").click()
            wait(browser, "model !== null" if key == "schlüssel €" else "!problem.hidden")
            assert words in text(browser, "#problem")
        assert not browser.find_element("id", "unlock").is_displayed()
        give(browser, picture(2))
        wait_for_heat(browser, "two")
        assert_nothing_came_from_elsewhere(browser, address)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_the_screen_and_can_be_read(browser, real, three, width, dark):
    visit(browser, real, width, dark)
    give(browser, three.read_bytes())
    wait_for_heat(browser, "3")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    heights = "return [...document.querySelectorAll('button, #cover')].map(one => one.getBoundingClientRect().height)"
    assert min(filter(None, browser.execute_script(heights))) >= 44  # pixels, that a finger hits
    colours = """
        const numbers = text => text.match(/[0-9.]+/g).map(Number);
        const style = (one, key) => numbers(getComputedStyle(one)[key]);
        const bar = style(document.querySelector('.bar'), 'backgroundColor');
        const name = style(document.querySelector('.name'), 'color');
        return [[bar, name], ...[...document.querySelectorAll('body, button, #take')].map(
            one => [style(one, 'backgroundColor'), style(one, 'color')])]"""
    pairs = browser.execute_script(colours)
    assert all(contrast(ground[:3], ink) > 4.5 for ground, ink in pairs), pairs  # WCAG 2.1, level AA
    soft = browser.execute_script(
        "return getComputedStyle(document.querySelector('.soft')).color.match(/[0-9.]+/g).map(Number)"
    )
    assert contrast(pairs[1][0][:3], soft) > 4.5
    assert (np.mean(pairs[1][0][:3]) < 100) == dark


def test_the_page_about_the_interface_opens(browser, made_up):
    visit(browser, f"{made_up}/docs", 360, ready="true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    assert "POST /v1/predict" in text(browser, "main")
    assert "?top= " in text(browser, "main").replace("\n", " ")
    assert_nothing_came_from_elsewhere(browser, made_up)
