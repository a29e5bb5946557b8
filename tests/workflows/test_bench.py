"""The speed of a recipe on each backend, and the choice that is made from it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from labelled import by_label

from kcnn import backend, cache, recipe
from kcnn.errors import KcnnError
from kcnn.workflows import _child, _measured, _speed
from kcnn.workflows import auto as auto_module
from kcnn.workflows.auto import auto, duration
from kcnn.workflows.bench import bench

several_backends = pytest.mark.skipif(len(backend.installed()) < 2, reason="one backend is installed")


def speed(name, rate=100.0, **changes):
    numbers = {
        "import_seconds": 1.0,
        "compile_seconds": 2.0,
        "step_seconds": 0.5,
        "fastest_step_seconds": 0.4,
        "slowest_step_seconds": 0.6,
        "images_per_second": rate,
        "evaluated_per_second": 50.0,
        "rest_seconds": 0.5,
        "memory": 500.0,
    }
    return _measured.Speed(backend=name, **{"precision": "float32"} | numbers | changes)


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KCNN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def never_measured(monkeypatch):
    def measure(*args, **kwargs):
        pytest.fail("it was measured again")

    monkeypatch.setattr(auto_module, "bench", measure)


# ---------------------------------------------------------------- the arithmetic


def test_the_whole_recipe_is_start_and_epochs():
    loaded = recipe.load("digits", ("epochs=10",))
    assert speed("jax").whole(loaded, 1000, 100) == 1 + 2 + 10 * (1000 / 100 + 100 / 50 + 0.5)
    assert speed("jax", evaluated_per_second=None).whole(loaded, 1000, 0) == 1 + 2 + 10 * (10 + 0.5)


def test_compiling_is_what_the_first_epoch_takes_beyond_a_later_one():
    facts = {"import": 1.0, "trained": 100, "evaluated": 40}
    later = [{"prepare": 0.0, "train": t, "evaluate": 0.2, "rest": 0.1, "memory": 300.0} for t in (2.0, 1.0, 9.0)]
    first = {"prepare": 3.0, "train": 6.0, "evaluate": 1.2, "rest": 0.1, "memory": 200.0}
    found = _measured.Speed.of("jax", recipe.load("digits", ("batch_size=10",)), facts, [first, *later])
    assert found.compile_seconds == pytest.approx(3 + (6 - 2) + (1.2 - 0.2))
    assert found.images_per_second == 50
    assert found.evaluated_per_second == 200
    steps = (found.fastest_step_seconds, found.step_seconds, found.slowest_step_seconds)
    assert steps == pytest.approx((0.1, 0.2, 0.9))
    assert found.memory == 300


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (99.4, "99 s"), (1140, "19 min"), (9000, "2.5 h"), (864000, "10 days")]
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_memory_that_the_system_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(_speed, "STATUS", tmp_path / "none")
    assert 20 < _speed.peak_memory() < 100_000
    (tmp_path / "none").write_text("Name: python\n")  # as in some containers
    assert 20 < _speed.peak_memory() < 100_000
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert _speed.peak_memory() is None
    answer = {"prepare": 0.0, "train": 1.0, "evaluate": None, "rest": 0.1, "memory": None}
    facts = {"import": 1.0, "trained": 100, "evaluated": 0}
    assert _measured.Speed.of("jax", recipe.load("digits"), facts, [answer, answer]).memory is None


# ---------------------------------------------------------------- what is kept


@pytest.mark.parametrize("setting", ["epochs=9", "seed=7", "data.limit=50", "run.checkpoint_seconds=5"])
def test_length_and_seed_need_no_new_measurement(empty_cache, setting):
    _measured.remember(recipe.load("digits"), None, [speed("jax")], (1289, 159), {})
    assert _measured.known(recipe.load("digits", (setting,)), None).speeds == [speed("jax")]


@pytest.mark.parametrize(
    "setting", ["batch_size=32", "model.width=8", "precision=mixed_bfloat16", "data.image_size=12", "augment=[]"]
)
def test_what_changes_speed_does(empty_cache, setting):
    _measured.remember(recipe.load("digits"), None, [speed("jax")], (1289, 159), {})
    assert _measured.known(recipe.load("digits", (setting,)), None) is None
    assert _measured.known(recipe.load("digits"), "cpu") is None


def test_another_machine_or_version_does_too(empty_cache, monkeypatch):
    loaded = recipe.load("digits")
    _measured.remember(loaded, None, [speed("jax")], (1289, 159), {})
    with monkeypatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "17")
        assert _measured.known(loaded, None) is None
    monkeypatch.setattr(backend, "versions", lambda: {"keras": "9.9"})
    assert _measured.known(loaded, None) is None


def test_two_folders_of_one_name_are_two(empty_cache, tmp_path, monkeypatch):
    """Their images have sizes of their own, which the recipe leaves to them."""
    loaded = recipe.load("smoke", ("data.name=folder", "data.path=photos"))
    speeds = {"a": speed("jax"), "b": speed("torch")}
    for name, one in speeds.items():
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        _measured.remember(loaded, None, [one], (10, 1), {})
    for name, one in speeds.items():
        monkeypatch.chdir(tmp_path / name)
        assert _measured.known(loaded, None).speeds == [one]


def test_images_are_known_as_far_as_they_were_counted(empty_cache):
    _measured.remember(recipe.load("digits", ("data.limit=100",)), None, [speed("jax")], (100, 159), {})
    assert _measured.known(recipe.load("digits", ("data.limit=60",)), None).train == 60
    assert _measured.known(recipe.load("digits", ("data.limit=101",)), None) is None
    assert _measured.known(recipe.load("digits"), None) is None
    assert _measured.known(recipe.load("digits", ("data.validation=0.3", "data.limit=60")), None) is None
    _measured.remember(recipe.load("digits"), None, [speed("jax")], (1289, 159), {})
    assert _measured.known(recipe.load("digits", ("data.limit=60",)), None).train == 60


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"key": 1}', "cut"])
def test_a_damaged_measurement_counts_as_none(empty_cache, content):
    loaded = recipe.load("digits")
    _measured.remember(loaded, None, [speed("jax")], (1289, 159), {})
    (path,) = cache.folder("bench").iterdir()
    path.write_text(path.read_text().replace('"memory"', '"memry"') if content == "cut" else content)
    assert _measured.known(loaded, None) is None


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch):
    monkeypatch.setenv("KCNN_CACHE", "/proc/nowhere")
    _measured.remember(recipe.load("digits"), None, [speed("jax")], (1289, 159), {})


# ---------------------------------------------------------------- the choice


def test_auto_takes_what_finishes_first(empty_cache, never_measured, monkeypatch):
    monkeypatch.setattr(backend, "installed", lambda: ["tensorflow", "torch", "jax"])
    speeds = [speed("jax", 300.0, compile_seconds=60.0), speed("tensorflow", 100.0), speed("torch", 90.0)]
    _measured.remember(recipe.load("digits"), None, speeds, (1000, 100), {})
    name, reason = auto(recipe.load("digits", ("epochs=2",)))
    assert name == "tensorflow"
    assert reason.startswith("auto: 28 s for 2 epochs, against 30 s on torch and 73 s on jax; measured 20")
    assert auto(recipe.load("digits", ("epochs=30",)))[0] == "jax"


def test_auto_with_one_backend_measures_nothing(empty_cache, never_measured, monkeypatch):
    monkeypatch.setattr(backend, "installed", lambda: ["jax"])
    assert auto(recipe.load("digits")) == ("jax", "auto: the only one installed")


def test_fit_says_what_auto_chose(kcnn, empty_cache, never_measured, monkeypatch, tmp_path, backend_name):
    others = [name for name in backend.BACKENDS if name != backend_name]
    monkeypatch.setattr(backend, "installed", lambda: [*others, backend_name])
    speeds = [speed(backend_name, 1000.0), *[speed(name) for name in others]]
    _measured.remember(recipe.load("smoke"), None, speeds, (1000, 100), {})
    code, _, err = kcnn("fit", "smoke", "--backend", "auto", "--out", tmp_path, "--epochs", 1)
    assert code == 0
    assert err.startswith(f"Backend: {backend_name} (auto: ")


@pytest.mark.parametrize("arguments", [["--backend", "auto"], []], ids=["option", "variable"])
def test_auto_is_refused_where_nothing_is_trained(kcnn, arguments, monkeypatch, smoke_run):
    if not arguments:
        monkeypatch.setenv("KERAS_BACKEND", "auto")
    code, _, err = kcnn("evaluate", smoke_run.path, *arguments)
    assert code == 2
    assert "is for `kcnn fit --backend auto`" in err
    assert len(err.splitlines()) == 1


def test_auto_with_resume_is_the_backend_of_the_run(kcnn, tmp_path, backend_name, never_measured):
    from kcnn.run import Run

    run = Run.create(tmp_path, "half")
    run.recipe.write_text(recipe.to_toml(recipe.load("smoke", ("epochs=1",))))
    run.write_json(run.environment, {"backend": backend_name})
    code, _, err = kcnn("fit", "--resume", run.path, "--backend", "auto")
    assert code == 0
    assert "auto" not in err


def test_the_table_fits_and_says_what_is_first(kcnn, monkeypatch):
    from kcnn.environment import machine
    from kcnn.workflows import bench as module

    speeds = [
        speed("tensorflow", 1228.4, precision="mixed_bfloat16", memory=21156.0),
        speed("jax", 303.0, step_seconds=0.0055, evaluated_per_second=None, memory=None),
    ]
    loaded = recipe.load("digits")
    found = module.Bench(loaded, machine(), 49007, 993, 20, 5, speeds, {"torch, float32": "torch: it broke"})
    monkeypatch.setattr(module, "bench", lambda *args, **kwargs: found)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = kcnn("bench", "digits")
    assert code == 0
    assert "…" not in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "Failed: torch, float32: torch: it broke" in out
    assert out.splitlines()[-1] == "First: tensorflow at bfloat16."
    assert out.index("tensorflow") < out.index("jax")


# ---------------------------------------------------------------- real measurements


@pytest.mark.once  # all backends take part
@several_backends
def test_every_backend_is_measured_and_auto_reads_it(kcnn, empty_cache, never_measured, monkeypatch, tmp_path):
    (left := tmp_path / "left").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    arguments = ("smoke", "--steps", 3, "--rounds", 2, "--precision", "float32", "--set", "data.limit=100")
    # A round is no epoch that could bring no progress.
    stopping = ("--set", "callbacks.early_stopping.patience=1", "--set", "callbacks.early_stopping.min_delta=9")
    code, out, err = kcnn("bench", *arguments, *stopping, "--json")
    assert code == 0, err
    assert not list(left.iterdir())
    document = json.loads(out)
    assert {found["backend"] for found in document["speeds"]} == set(backend.installed())
    assert document["train"] == 100
    totals = [found["whole_recipe_seconds"] for found in document["speeds"]]
    assert totals == sorted(totals)
    for found in document["speeds"]:
        assert 0 < found["fastest_step_seconds"] <= found["step_seconds"] <= found["slowest_step_seconds"]
        assert 0 < found["import_seconds"] < found["whole_recipe_seconds"]
        assert found["compile_seconds"] > 0  # not always above a step: PyTorch compiles little, and steps stutter
        assert found["evaluated_per_second"] > 0
        assert 50 < found["memory"] < 5000
    stopped = tuple(each for each in stopping if each != "--set")
    assert auto(recipe.load("smoke", ("data.limit=100", *stopped)))[0] == document["speeds"][0]["backend"]


@pytest.mark.once  # all backends take part
@several_backends
def test_one_backend_fails_and_the_others_are_measured(empty_cache, monkeypatch):
    real = _child.Child.answer

    def answer(self):
        if self.name == "torch":
            self.process.kill()
        return real(self)

    monkeypatch.setattr(_child.Child, "answer", answer)
    options = {"backends": ["torch", "jax"], "precisions": ["float32"], "steps": 2, "rounds": 1}
    told = []
    watched = options | {"progress": lambda *call: told.append(call)}
    found = bench(recipe.load("smoke", ("data.limit=100",)), **watched)
    assert told[0] == (0, 6, "torch, float32: starting")
    assert {what for _, _, what in told} >= {"jax, float32: first round", "jax, float32: round 1 of 1"}
    assert [done for done, _, _ in told] == list(range(len(told)))
    assert [one.backend for one in found.speeds] == ["jax"]
    assert "ended early" in found.failures["torch, float32"]
    assert not cache.folder("bench").exists()  # since tensorflow was not measured
    with pytest.raises(KcnnError, match="torch: the process ended early"):
        bench(recipe.load("smoke"), **options | {"backends": ["torch"]})


@pytest.mark.once  # all backends take part
@several_backends
def test_a_backend_without_the_device_is_left_out(empty_cache, monkeypatch):
    real = _child.Child.ask

    def ask(self, **request):
        real(self, **request | ({"device": "gpu:63"} if self.name == "torch" and "recipe" in request else {}))

    monkeypatch.setattr(_child.Child, "ask", ask)
    options = {"backends": ["torch", "jax"], "precisions": ["float32"], "steps": 2, "rounds": 1}
    found = bench(recipe.load("smoke", ("data.limit=100",)), **options)
    assert [one.backend for one in found.speeds] == ["jax"]
    assert list(found.failures) == ["torch, float32"]


@pytest.mark.once  # all backends take part
def test_a_mistake_of_the_recipe_is_told_as_by_fit(empty_cache, kcnn, digit_files, tmp_path):
    data = by_label(digit_files.iterdir(), tmp_path / "data")
    settings = ("--set", "data.validation=0", "--set", "data.test=0", "--set", "callbacks.best=true")
    code, _, err = kcnn("bench", "smoke", "--data", data, *settings, "--precision", "float32")
    assert code == 2
    assert "callbacks.best: needs validation images, and the data has none" in err


@pytest.mark.once  # all backends take part
def test_a_device_that_none_has_is_a_wrong_call(empty_cache, kcnn):
    code, _, err = kcnn("bench", "smoke", "--device", "gpu:63", "--set", "data.limit=100")
    assert code == 2
    assert "GPU" in err


@pytest.mark.once  # all backends take part
@several_backends
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="children are found in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_no_child(tmp_path, number):
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom kcnn.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "bench", "smoke", "--rounds", "100000", "--precision", "float32"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    while not (found := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "Interrupted."
    assert found
    assert not [child for child in found if Path(f"/proc/{child}").exists()]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'RECIPE'"),
        (["digts"], "Did you mean 'digits'?"),
        (["digits", "--backend", "tensorfow"], "Did you mean 'tensorflow'?"),
        (["digits", "--precision", "float3"], "Did you mean 'float32'?"),
        (["digits", "--rounds", "0"], "0 is not in the range"),
        (["digits", "--set", "model.widht=3"], "Did you mean 'width'?"),
    ],
)
def test_mistakes_in_the_call(kcnn, arguments, message):
    code, out, err = kcnn("bench", *arguments)
    assert code == 2
    assert message in err
    assert out == ""


@pytest.mark.once  # all backends take part
@several_backends
def test_data_that_is_not_there_is_one_line(kcnn, tmp_path):
    code, out, err = kcnn("bench", "folder", "--data", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert "There is no file or folder" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("border", "end", "epochs", "expected"), [(3, 12, 12, 1), (8, 12, 12, 0), (8, 99, 10, 0)])
def test_the_longest_stage_is_measured(border, end, epochs, expected):
    from kcnn.assemble import Stage
    from kcnn.workflows._speed import longest

    stages = Stage(0, border, ("frozen",)), Stage(border, end)
    assert longest(stages, epochs) is stages[expected]
