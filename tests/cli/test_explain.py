"""kcnn explain as a user meets it."""

import shutil

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing to explain"),
        (["--method", "gradcam", "IMAGE"], "Did you mean 'grad_cam'?"),
        (["--class", "eight", "IMAGE"], "The model knows no class 'eight'. Classes: 0, 1, 2"),
        (["--layer", "featurs", "IMAGE"], "Did you mean 'features'?"),
        (["--layer", "logits", "IMAGE"], "'logits' gives no map"),
        (["--score", "--kernels"], "go with IMAGES"),
        (["--maximise", "features"], "such as features:3"),
        (["--maximise", "features:99"], "channels 0 to 31"),
        (["--feature-maps", "nowhere.png"], "there is no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(arguments, message, kcnn, smoke_run, digit_files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = str(next(digit_files.glob("*.png")))
    code, out, err = kcnn("explain", smoke_run.path, *[image if word == "IMAGE" else word for word in arguments])
    assert code == (1 if "nowhere.png" in arguments else 2)
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*.png"))


def test_what_was_written_is_told(kcnn, smoke_run, digit_files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    image = next(digit_files.glob("3_*.png"))
    code, out, err = kcnn("explain", smoke_run.path, bad, image, "--out", tmp_path / "out", "--score")
    assert code == 1
    assert f"Cannot read {bad}" in err
    assert "grad_cam" in out
    assert "random order" in out
    assert f"such as {tmp_path}/out/" in out
    assert (tmp_path / "out" / "sheet.grad_cam.png").exists()


@pytest.mark.parametrize("verb", ["explain", "predict"])
def test_a_name_that_looks_like_markup_is_a_name(verb, kcnn, smoke_run, digit_files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = tmp_path / "[bold]" / "x[" / "x]"
    image.mkdir(parents=True)
    image = shutil.copy(next(digit_files.glob("3_*.png")), image / "3.png")
    code, out, _ = kcnn(verb, smoke_run.path, image.relative_to(tmp_path))
    assert code == 0
    assert "[bold]/x[/x]" in out
