"""kcnn serve as a process: the answers of kcnn predict, one line for a mistake, and an end that loses nothing."""

import hashlib
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from copied_runs import copy_of
from known import Known, picture, post
from PIL import Image
from served import Child

from kcnn.classifier import Classifier
from kcnn.cli.serve import DECODED, _show_address
from kcnn.data.decode import MAX_PIXELS, decode
from kcnn.errors import RunError
from kcnn.formats.exported import Exported
from kcnn.formats.metadata import Metadata
from kcnn.metrics.calibration import softmax
from kcnn.serving.limits import Limits
from kcnn.workflows import serve as module
from kcnn.workflows.explain import explain
from kcnn.workflows.serve import find_sources

KEY = "swordfish"


@pytest.fixture(scope="module")
def locked(measured, tmp_path_factory, backend_name):
    """A server of the measured run with a temperature and a key, and with a window that tests can feel."""
    folder = tmp_path_factory.mktemp("serve")
    options = ("--calibrated", "--window", "700", "--access-log")
    with Child(measured[0].path, *options, folder=folder, KERAS_BACKEND=backend_name, KCNN_API_KEY=KEY) as child:
        yield child


def test_answers_are_those_of_predict(locked, measured, kcnn, digit_files):
    code, out, _ = kcnn("predict", measured[0].path, digit_files, "--calibrated", "--top", 10, "--json")
    assert code == 0
    expected = json.loads(out)["predictions"]
    files = [("image", (one["image"], Path(one["image"]).read_bytes())) for one in expected]
    found = []
    with httpx.Client(base_url=locked.address, headers={"X-API-Key": KEY}, timeout=60) as client:
        for start, stop in ((0, 7), (7, 30), (30, 40)):
            response = client.post("/v1/predict", files=files[start:stop], params={"top": 10})
            found += response.json()["predictions"]
    assert len(found) == len(expected) == 40
    for one, other in zip(found, expected, strict=True):
        assert (one["image"], one["label"]) == (other["image"], other["label"])
        assert [row["label"] for row in one["top"]][:2] == [row["label"] for row in other["top"]][:2]
        shares = {row["label"]: row["probability"] for row in one["top"]}
        assert shares == pytest.approx({row["label"]: row["probability"] for row in other["top"]}, abs=1e-6)


def test_a_heatmap_is_that_of_explain(locked, measured, digit_files, tmp_path):
    file = sorted(digit_files.glob("3_*.png"))[0]
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "image/png"}
    with file.open("rb") as image:
        response = httpx.post(f"{locked.address}/v1/explain", files={"image": image}, headers=headers, timeout=60)
    assert response.status_code == 200
    (one,) = explain(Classifier.open(measured[0].path), [str(file)], tmp_path).explanations
    assert _distance(response.content, one.overlay.read_bytes()) <= 1


def _distance(one, other):
    one, other = (np.asarray(Image.open(io.BytesIO(data))).astype(int) for data in (one, other))
    return np.abs(one - other).max()


def test_what_was_accepted_is_answered_after_sigterm(measured, digit_files, tmp_path, backend_name):
    """Requests that wait for their batch, one that is half sent, and one that comes on an open connection."""
    options = ("--window", "700", "--access-log")
    with Child(measured[0].path, *options, folder=tmp_path, KERAS_BACKEND=backend_name, KCNN_API_KEY=KEY) as locked:
        _stopped_while_it_answers(locked, digit_files)


def _stopped_while_it_answers(locked, digit_files):
    image = next(digit_files.glob("3_*.png")).read_bytes()
    answers = []
    host, _, port = locked.address.removeprefix("http://").partition(":")
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: image/png\r\n"
    head = f"{head}Content-Length: {len(image)}\r\n\r\n".encode()
    with (
        socket.create_connection((host, int(port)), timeout=30) as half,
        httpx.Client(base_url=locked.address, headers={"X-API-Key": KEY}, timeout=60) as many,
        httpx.Client(base_url=locked.address, headers={"X-API-Key": KEY}) as idle,
    ):
        half.sendall(head + image[:50])
        before = _accepted(idle)
        threads = [threading.Thread(target=lambda: answers.append(post(many, image))) for _ in range(20)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while _accepted(idle) < before + 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        locked.process.send_signal(signal.SIGTERM)
        while (last := idle.get("/readyz")).status_code == 200:
            assert time.monotonic() < deadline
        assert (last.status_code, last.headers["connection"]) == (503, "close")
        with pytest.raises(httpx.ConnectError):
            idle.get("/readyz")
        half.sendall(image[50:])
        assert half.recv(65536).startswith(b"HTTP/1.1 200")
        for thread in threads:
            thread.join(30)
    assert [answer.json()["predictions"][0]["label"] for answer in answers] == ["3"] * 20
    assert locked.process.wait(30) == 0
    assert "Traceback" not in locked.errors
    assert re.search(r'"POST /v1/predict HTTP/1.1" 200', locked.errors)


def _accepted(client):
    """How many images were read so far; most of the last ones wait for their batch."""
    found = re.search(r'kcnn_images_total{outcome="read"} (\S+)', client.get("/metrics").text)
    return float(found[1]) if found else 0.0


def test_ctrl_c_is_no_error_either(smoke_run, tmp_path, backend_name):
    # A suite in the background of a shell inherits an ignored SIGINT; uvicorn sets a handler of its own.
    with Child(smoke_run.path, folder=tmp_path, KERAS_BACKEND=backend_name) as child:
        assert child.document["runtime"] == f"Keras on {backend_name}"
        child.process.send_signal(signal.SIGINT)
        assert child.process.wait(30) == 0
        assert child.errors.splitlines()[-1] == "Ready. Ctrl-C stops."


def test_a_port_that_is_taken_is_one_line(smoke_run, kcnn):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = kcnn("serve", smoke_run.path, "--port", port)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        f"Error: Cannot listen on 127.0.0.1:{port}: the port is taken. Choose another --port, or 0 for a free one."
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "is not a run"),
        (["--host", "192.0.2.1"], "this machine has no such address"),
        (["--port", "8000", "--host", "no.such.host.invalid"], "Cannot listen on no.such.host.invalid:8000"),
        (["--calibrated"], "no temperature yet"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(smoke_run, tmp_path, kcnn, arguments, words):
    run = [] if arguments == ["nowhere"] else [copy_of(smoke_run, tmp_path).path]
    code, out, err = kcnn("serve", "--port", 0, *run, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_missing_packages_are_one_line():
    code = (
        "import sys\nsys.modules['uvicorn'] = None\n"
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name in ('fastapi', 'uvicorn') else find(name)\n"
        "from kcnn.cli import main\nmain(['serve', 'x'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "Error: `kcnn serve` needs fastapi, uvicorn: pip install 'kcnn[serve]'\n"


def test_an_open_address_without_a_key_is_warned_of(capsys):
    for address, key, warned in (
        ("http://0.0.0.0:1", False, True),
        ("http://[::]:1", False, True),
        ("http://0.0.0.0:1", True, False),
        ("http://127.0.0.1:1", False, False),
        ("http://[::1]:1", False, False),
    ):
        _show_address(False, address, {"name": "x", "runtime": "y", "key": key})
        assert ("Warning" in capsys.readouterr().err) == warned


# ---------------------------------------------------------------- exports


@pytest.fixture
def exported(smoke_run, tmp_path):
    """A copy of the run with an export, which is no real one."""
    run = copy_of(smoke_run, tmp_path)
    (run.path / "exports" / "onnx").mkdir(parents=True)
    (run.path / "exports" / "onnx" / "model.onnx").write_bytes(b"x")
    (run.path / "exports" / "onnx" / "certificate.json").write_text("{}")
    return run


def test_an_export_answers_in_the_place_of_its_run(exported, tmp_path, monkeypatch):
    onnx = exported.path / "exports" / "onnx"
    found = find_sources(exported.path)
    assert (found.name, found.answers, found.explains, found.by_keras) == ("smoke", onnx, exported.path, False)
    assert find_sources(exported.path, export=False).by_keras
    with monkeypatch.context() as patched:
        patched.setattr(module, "RUNTIME", "no_such_package")
        assert find_sources(exported.path).by_keras
    assert find_sources(exported.model).by_keras  # who names the file means it
    for path in (onnx, onnx / "model.onnx"):
        found = find_sources(path)
        assert (found.answers, found.explains) == (path, exported.path)
        assert found.name.startswith("smoke/onnx")
    alone = shutil.copytree(onnx, tmp_path / "alone")
    found = find_sources(alone)
    assert (found.name, found.answers, found.explains) == ("alone", alone, None)
    with pytest.raises(RunError):
        find_sources(tmp_path / "nothing")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("saved_models").symlink_to(exported.path.parent)
    assert find_sources("smoke/exports/onnx").explains.name == "smoke"  # a run's name is enough


@pytest.mark.parametrize(
    "made", [(), ("README.md",), ("seeds.json", "seed0/model.keras"), ("exports/onnx/model.onnx",)]
)
def test_what_is_neither_run_nor_export_is_told_before_keras_is_imported(tmp_path, made):
    (tmp_path / "it").mkdir()
    for name in made:
        (tmp_path / "it" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "it" / name).write_text("{}")
    with pytest.raises(RunError, match="Name one, such as" if "seeds.json" in made else "is not a run"):
        find_sources(tmp_path / "it")
    with pytest.raises(RunError, match="is not a run"):
        find_sources(Path(__file__))


def test_a_backend_for_what_has_its_own_runtime_is_refused(exported, tmp_path, kcnn):
    alone = shutil.copytree(exported.path / "exports" / "onnx", tmp_path / "alone")
    for option in ("--backend", "--device"):
        code, out, err = kcnn("serve", alone, option, "cpu")
        assert (code, out) == (2, "")
        assert "leave out --backend and --device" in err
    certificate = {"trained": {"files": {"model.keras": {"bytes": 1, "sha256": "of another"}}}}
    (exported.path / "exports" / "onnx" / "certificate.json").write_text(json.dumps(certificate))
    _, _, err = kcnn("serve", exported.path, "--no-export", "--backend", "no-such")
    assert "Unknown backend 'no-such'" in err


def test_the_largest_image_is_what_is_decoded():
    assert round(DECODED * 1e6) == MAX_PIXELS


def test_an_export_of_another_model_does_not_answer_for_its_run(exported):
    """It would answer as one network and explain as the other."""
    digest = hashlib.sha256(exported.model.read_bytes()).hexdigest()
    certificate = exported.path / "exports" / "onnx" / "certificate.json"
    certificate.write_text(json.dumps({"trained": {"files": {"model.keras": {"bytes": 1, "sha256": digest}}}}))
    assert not find_sources(exported.path).by_keras
    with exported.model.open("ab") as file:
        file.write(b"x")
    with pytest.raises(RunError, match=r"exports/onnx was made of another model.keras than .* Export again"):
        find_sources(exported.path)
    for path in (certificate.parent, certificate.with_name("model.onnx")):
        with pytest.raises(RunError, match="was made of another"):
            find_sources(path)
    assert find_sources(exported.path, export=False).by_keras


def test_an_export_answers_without_keras_and_its_run_explains(exported, monkeypatch, backend_name):
    """Keras is asked for with the first heatmap, and has a thread of its own."""
    real, asked, served = module.open_model, [], []

    def open_model(path, *, calibrated=False):
        return Known() if path.name == "onnx" else real(path, calibrated=calibrated)

    monkeypatch.setattr(module, "open_model", open_model)
    monkeypatch.setattr(module, "run", lambda app, service, bound, **_: (served.append(service), bound.close()))
    module.serve(exported.path, port=0, limits=Limits(), use_keras=lambda: asked.append(True))
    answering = served[0].served
    assert (answering.shared, answering.runtime, asked) == (False, "ONNX Runtime", [])
    (probabilities,) = answering.answerer([decode(picture(2, 5), (8, 8, 3))])
    assert probabilities.argmax() == 2
    (heat,) = answering.explainer([(np.zeros((8, 8, 1), "uint8"), 3, "grad_cam")])
    assert (heat.shape, asked) == ((8, 8), [True])


def test_an_export_in_place_of_its_run_has_the_temperature_of_now(exported, monkeypatch):
    """`kcnn evaluate` may have fitted one after the export, whose own graph is none the softer for it."""

    class File:
        metadata = Metadata(list("abcd"), (8, 8, 3), "crop", 1.0, None, "smoke", "", "")

        def answer(self, pixels):
            logits = np.tile(np.array([[0, 1, 2, 3]], "float32"), (len(pixels), 1))
            return logits, softmax(logits)

    served = []
    monkeypatch.setattr(module, "open_model", lambda path, **_: Exported(File()))
    monkeypatch.setattr(module, "run", lambda app, service, bound, **_: (served.append(service.served), bound.close()))
    exported.write_json(exported.calibration, {"temperature": 2.5})
    for calibrated in (False, True):
        module.serve(exported.path, port=0, limits=Limits(), calibrated=calibrated)
    image = np.zeros((8, 8, 3), "uint8")
    for one, temperature in zip(served, (1, 2.5), strict=True):
        expected = softmax(np.arange(4)[None] / temperature)[0]
        np.testing.assert_array_equal(one.answerer([image])[0], expected)


@pytest.mark.slow
def test_a_real_export_answers_as_its_run_does(smoke_run, tmp_path, child, kcnn, digit_files, backend_name):
    pytest.importorskip("kcnn.formats", reason="exports come with kcnn.formats")
    run = copy_of(smoke_run, tmp_path)
    result = child("export", run.path, "--format", "onnx", backend_name=backend_name)
    assert result.returncode == 0, result.stderr
    file = str(sorted(digit_files.glob("3_*.png"))[0])
    _, out, _ = kcnn("predict", run.path, file, "--top", 10, "--json")
    expected = {row["label"]: row["probability"] for row in json.loads(out)["predictions"][0]["top"]}
    options = ("--backend", backend_name)
    with Child(run.path, *options, folder=tmp_path) as served, httpx.Client(base_url=served.address) as client:
        assert served.document["runtime"] == "ONNX Runtime"
        assert served.errors == "Ready. Ctrl-C stops.\n"  # nothing of any framework
        found = post(client, Path(file).read_bytes(), params={"top": 10}).json()["predictions"][0]["top"]
        assert {row["label"]: row["probability"] for row in found} == pytest.approx(expected, abs=1e-5)
        assert post(client, Path(file).read_bytes(), path="/v1/explain", timeout=120).json()["label"] == "3"


def test_what_the_call_says_reaches_the_server(smoke_run, kcnn, monkeypatch):
    served = []
    monkeypatch.setattr(module, "run", lambda app, service, bound, **_: (served.append(service), bound.close()))
    words = "--queue 5 --max-images 9 --max-body 0.5 --max-pixels 2 --timeout 7 --batch 3 --window 40"
    assert kcnn("serve", smoke_run.path, "--port", 0, *words.split())[0] == 0
    (service,) = served
    assert service.limits == Limits(body=2**19, images=5, pixels=2_000_000, waiting=5, seconds=7.0)
    assert (service._answers.most, service._answers.window, service._answers.waiting) == (3, 0.04, 5)
    assert service._second is service._model  # Keras answers and explains in turns


@pytest.mark.parametrize("name", ["tensorflow", "torch", "jax"])
def test_batches_are_filled_up_on_jax_alone(smoke_run, monkeypatch, name):
    monkeypatch.setattr(module.backend, "current", lambda: name)
    served = module._open(find_sources(smoke_run.path), most=8, calibrated=False, use_keras=lambda: None)
    assert served.answerer._padded == (name == "jax")
