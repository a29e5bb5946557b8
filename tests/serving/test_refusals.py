"""Requests that are refused: bad images, wrong forms, too much, too slow, without the key."""

import contextlib
import socket
import struct
import threading
import time
import zlib
from urllib.parse import urlsplit

import httpx
import pytest
from known import POISON, Known, as_json, edges, encoded, picture, post, serving, share, until
from PIL import Image
from pydantic import ValidationError

from kcnn.serving import server
from kcnn.serving.limits import Limits
from kcnn.serving.received import Images


def bomb(width, height):
    """A PNG whose header promises more pixels than it has bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


BAD = {
    "no image": (b"hello", "its content is not that of"),
    "empty": (b"", "the file is empty"),
    "cut short": (encoded(Image.effect_noise((64, 64), 90))[:1000], "damaged or cut short"),
    "of more pixels than this server takes": (bomb(101, 100), "101 x 100 pixels are more than the 10,000"),
    "a bomb": (bomb(100_000, 100_000), "100000 x 100000 pixels are more than"),
    "of one pixel": (encoded(Image.new("RGB", (1, 1))), "1 x 1 pixels are fewer"),
    "a page": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "its content is not that of"),
}


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain"])
@pytest.mark.parametrize("image", BAD)
def test_a_bad_image_gets_a_reason(client, path, image):
    data, reason = BAD[image]
    response = post(client, data, path=path)
    assert response.status_code == 422
    assert reason in response.json()["error"]
    assert response.json()["error"].startswith("Cannot read 0.png: ")


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
WRONG = {
    "no type": ({"content": b"x"}, 415, "no Content-Type"),
    "another type": ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "Received: text/plain"),
    "an empty form": ({"content": b"--x--\r\n", "headers": FORM}, 400, "holds no image"),
    "a form without a boundary": (
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        400,
        "boundary",
    ),
    "no form": ({"content": b"hello", "headers": FORM}, 400, ""),
    "a field": (
        {"content": b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nhi\r\n--x--\r\n', "headers": FORM},
        400,
        "filename",
    ),
    "a form of no charset": (
        {
            "content": b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nhi\r\n--x--\r\n',
            "headers": {"Content-Type": FORM["Content-Type"] + "; charset=undefined"},
        },
        400,
        "charset",
    ),
    "no JSON": ({"content": b"{", "headers": JSON}, 400, "Expected {"),
    "deep JSON": ({"content": b'{"images":' + b"[" * 9000, "headers": JSON}, 400, "Expected {"),
    "another key": ({"json": {"image": "x"}}, 400, "images: Field required"),
    "numbers": ({"json": {"images": [1]}}, 400, "images.0"),
    "no images": ({"json": {"images": []}}, 400, "holds no image"),
    "too many": ({"json": as_json(*[picture(0)] * 4)}, 413, "may hold 3 images"),
    "too many in a form": ({"files": [("image", ("a", picture(0)))] * 4}, 413, "may hold 3 images"),
    "far too many in a form": ({"files": [("image", ("a", picture(0)))] * 40}, 413, "may hold 3 images"),
    "damaged base64": ({"json": {"images": ["!!"]}}, 422, "its base64 is damaged"),
    "no base64": ({"json": {"images": ["ä"]}}, 422, "its base64 is damaged"),
    "too large": ({"content": bytes(20_001), "headers": {"Content-Type": "image/png"}}, 413, "20,000 bytes"),
    "top 0": ({"files": {"image": picture(0)}, "params": {"top": 0}}, 422, "top: Input should be greater"),
    "top many": ({"files": {"image": picture(0)}, "params": {"top": "x"}}, 422, "top: "),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_request_gets_a_reason(client, what):
    options, status, words = WRONG[what]
    response = client.post("/v1/predict", **options)
    assert response.status_code == status
    assert words in response.json()["error"]


def test_of_many_mistakes_one_is_looked_for(client):
    with pytest.raises(ValidationError) as error:
        Images.model_validate_json('{"images": [' + "0," * 999 + "0]}")
    assert error.value.error_count() == 2  # the first element is neither a text nor an object


def test_a_name_that_is_no_text_is_answered(client):
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="+2AA-.png"\r\n\r\n'
    body = head + picture(0) + b"\r\n--x--\r\n"
    response = client.post(
        "/v1/predict", content=body, headers={"Content-Type": FORM["Content-Type"] + "; charset=utf-7"}
    )
    assert response.status_code == 200
    assert response.json()["predictions"][0]["image"] == "?.png"


def test_explaining_has_mistakes_of_its_own(client):
    assert (
        post(client, picture(0), path="/v1/explain", params={"class": "tow"})
        .json()["error"]
        .endswith("Did you mean 'two'?")
    )
    assert post(client, picture(0), path="/v1/explain", params={"method": "occlusion"}).status_code == 422
    assert post(client, picture(0), picture(0), path="/v1/explain").status_code == 413
    with serving(Known()) as (address, _), httpx.Client(base_url=address) as other:
        response = post(other, picture(0), path="/v1/explain")
        assert (response.status_code, response.json()) == (501, {"error": "There is none."})


def test_wrong_paths_and_methods_are_told(client):
    assert client.get("/v1/predict").status_code == 405
    assert client.get("/etc/passwd").status_code == 404
    assert "error" in client.get("/etc/passwd").json()


def test_a_model_that_fails_is_an_error_without_its_insides():
    with serving(Known()) as (address, _), httpx.Client(base_url=address) as client:
        response = post(client, picture(POISON))
        assert response.status_code == 500
        assert "poison" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
        assert post(client, picture(1)).status_code == 200


# ---------------------------------------------------------------- too slow, too much


def raw(address, *parts, pause=0.0):
    """Send bytes with pauses between; return what comes back until the server closes, and after how many seconds."""
    begin, received = time.monotonic(), b""
    with connected(address) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(65536):
                received += data
    return received, time.monotonic() - begin


def connected(address):
    host, _, port = str(address).removeprefix("http://").strip("/").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
LAST = HEAD + b"Connection: close\r\n"


def length(image):
    return f"Content-Length: {len(image)}\r\n\r\n".encode()


def test_a_body_is_bounded_though_its_length_is_not_told(client):
    chunk = b"4000\r\n" + bytes(0x4000) + b"\r\n"
    answer, _ = raw(client.base_url, LAST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 3)
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_length_that_is_too_large_is_refused_before_anything_is_sent(client):
    answer, _ = raw(client.base_url, LAST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_not_waited_for():
    image = picture(1)
    with serving(Known(), limits=Limits(seconds=1.0)) as (address, _):
        answer, seconds = raw(address, HEAD + length(image) + image[:-1])
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer.lower()
    assert 0.9 < seconds < 5


def test_a_body_may_come_slowly(client):
    image = picture(1)
    answer, _ = raw(client.base_url, LAST + length(image), image[:9], image[9:], pause=0.1)
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("start", [b"", b"POST /v1", b"POST /v1/predict HTTP/1.1\r\nX: "])
def test_a_head_that_does_not_come_is_not_waited_for(client, monkeypatch, start):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    answer, seconds = raw(client.base_url, start)
    assert 0.2 < seconds < 5
    assert answer == b""
    if start:  # between two requests there is more time
        answer, seconds = raw(client.base_url, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", start, pause=0.2)
        assert answer.startswith(b"HTTP/1.1 200")
        assert seconds < 5


def test_who_goes_on_sending_after_a_refusal_is_hung_up_on(client, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    head = HEAD + b"Content-Length: 99999999\r\n\r\n"
    answer, seconds = raw(client.base_url, head, *[bytes(1000)] * 40, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 413")
    assert seconds < 5


def test_who_reads_no_answer_is_hung_up_on(monkeypatch):
    """Else its body would count as held for ever."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)
    with serving(Known()) as (address, service):
        host, port = urlsplit(address).hostname, urlsplit(address).port
        with socket.socket() as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.connect((host, port))
            silent.settimeout(5)
            with contextlib.suppress(OSError):  # it hangs up meanwhile
                for _ in range(2000):
                    silent.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
            deadline = time.monotonic() + 10
            while service.connections() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert service.connections() == 0


def test_a_long_list_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(Images, "model_validate_json", lambda body: pytest.fail("it was made"))
    body = b'{"images":[' + b",".join([b'{"data":""}'] * 400_000) + b"]}"
    with serving(Known()) as (address, _):
        response = httpx.post(f"{address}/v1/predict", content=body, headers=JSON)
    assert response.status_code == 413
    assert "may hold 32 images" in response.json()["error"]


def test_noise_is_no_request(client):
    answer, _ = raw(client.base_url, b"\x16\x03\x01\x00\xa5\x01\x00\x00\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")


def test_an_answer_that_is_late_is_given_up():
    model = Known()
    with serving(model, limits=Limits(seconds=1.0)) as (address, service), httpx.Client(base_url=address) as client:
        model.gate.clear()
        response = post(client, picture(1))
        assert (response.status_code, service._answers.taken) == (503, 0)
        assert "not ready within 1 s" in response.json()["error"]
        assert response.headers["retry-after"]
        model.gate.set()


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain"])
def test_who_has_gone_is_not_worked_for(path):
    model, image = Known(), picture(2)
    with serving(model, most=1, explainer=edges) as (address, service), httpx.Client(base_url=address) as client:
        model.gate.clear()
        first = threading.Thread(target=post, args=(client, picture(1)), kwargs={"timeout": 60})
        first.start()
        try:
            until(lambda: service._answers.taken == 1)
            with connected(address) as other:
                other.sendall(HEAD.replace(b"/v1/predict", path.encode()) + length(image) + image)
                until(lambda: service._answers.taken == 2)
            # Long before the 30 s for an answer are over.
            until(lambda: service._answers.taken == 1 and not service._maps.taken, seconds=10)
        finally:
            model.sizes.clear()
            model.gate.set()
            first.join(60)
        assert post(client, picture(1)).status_code == 200
        assert 'status="499"' in client.get("/metrics").text
    assert model.sizes == [1, 1]


def test_a_heatmap_that_is_made_keeps_no_prediction_waiting():
    drawing, drawn = threading.Event(), threading.Event()

    def slow(items):
        drawing.set()
        assert drawn.wait(60)
        return edges(items)

    with (
        serving(Known(), explainer=slow, window=20) as (address, _),
        httpx.Client(base_url=address, timeout=60) as one,
        httpx.Client(base_url=address, timeout=60) as other,
    ):
        explaining = threading.Thread(target=post, args=(one, picture(1)), kwargs={"path": "/v1/explain"})
        explaining.start()
        try:
            assert drawing.wait(60)
            begin = time.monotonic()
            assert post(other, picture(2)).status_code == 200
            assert time.monotonic() - begin < 10  # it does not wait for the window
        finally:
            drawn.set()
            explaining.join(60)


def test_a_full_queue_says_when_to_come_again_and_loses_nobody():
    model = Known()
    answers = []

    def ask(client, number):
        answers.append((number, post(client, picture(1, number))))

    limits = Limits(waiting=12, images=5)
    with serving(model, limits=limits, most=4) as (address, service), httpx.Client(base_url=address) as client:
        model.gate.clear()
        threads = [threading.Thread(target=ask, args=(client, number)) for number in range(12)]
        for thread in threads:
            thread.start()
        until(lambda: service._answers.taken == 12)
        response = post(client, picture(1))
        assert response.status_code == 503
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert client.get("/healthz").status_code == 200  # who only looks is answered all the same
        assert "kcnn_waiting_images 12.0" in client.get("/metrics").text
        model.gate.set()
        for thread in threads:
            thread.join(30)
        assert post(client, picture(1)).status_code == 200
    assert len(answers) == 12
    for number, response in answers:
        assert response.json()["predictions"][0]["probability"] == share(number)


def test_bodies_that_are_held_are_bounded_together(monkeypatch):
    monkeypatch.setattr("kcnn.serving.guard.BODIES", 2)
    head = b"Content-Length: 20000\r\n\r\n"
    with serving(Known(), limits=Limits(body=20_000, seconds=4)) as (address, _):
        with connected(address) as one, connected(address) as two:
            for held in (one, two):
                held.sendall(HEAD + head + bytes(19_999))
            until(lambda: raw(address, LAST + head, bytes(5000))[0].startswith(b"HTTP/1.1 503"))
        with httpx.Client(base_url=address) as client:
            until(lambda: post(client, picture(1)).status_code == 200)


# ---------------------------------------------------------------- the key


@pytest.fixture(scope="module")
def locked():
    with serving(Known(), key="gehëim") as (address, _), httpx.Client(base_url=address) as client:
        yield client


KEY = "gehëim".encode()


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/model", "/metrics"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "x"},
        {"Authorization": "Bearer x"},
        {"Authorization": b"Basic " + KEY},
        {"X-API-Key": KEY + b"x"},
    ],
    ids=["none", "wrong", "wrong bearer", "another scheme", "longer"],
)
def test_without_the_key_nothing_is_told(locked, path, headers):
    response = locked.request("POST" if path in ("/v1/predict", "/v1/explain") else "GET", path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "zero" not in response.text


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": b"Bearer " + KEY}], ids=["header", "bearer"])
def test_the_key_opens(locked, headers):
    assert locked.get("/v1/model", headers=headers).status_code == 200
    assert post(locked, picture(1), headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz"])
def test_pages_and_health_need_no_key(locked, path):
    assert locked.get(path).status_code == 200
