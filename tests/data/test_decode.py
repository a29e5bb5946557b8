"""Every kind of image becomes the wanted pixels, and a bad one becomes an ImageError."""

import contextlib
import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from kcnn.data import decode as decode_module
from kcnn.data.decode import decode, decode_many, is_image, peek
from kcnn.errors import ImageError


def encode(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture
def rgb(make_pixels):
    return make_pixels("rgb", (12, 10))


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_formats(rgb, format):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(format, {})
    data = encode(Image.fromarray(rgb // 16 * 16 if format == "GIF" else rgb), format, **options)
    image = decode(data, (12, 10, 3))
    assert image.dtype == np.uint8
    if format in ("PNG", "BMP", "TIFF", "WEBP"):
        np.testing.assert_array_equal(image, rgb)
    else:
        assert np.abs(image.astype(int) - np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).max() == 0


def test_sources_agree(tmp_path, rgb):
    data = encode(Image.fromarray(rgb))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for source in (str(path), path, data, io.BytesIO(data), rgb):
        np.testing.assert_array_equal(decode(source, (12, 10, 3)), rgb)
    with open(path, "rb") as file:
        np.testing.assert_array_equal(decode(file, (12, 10, 3)), rgb)


def test_grey_and_colour(make_pixels):
    grey = make_pixels("grey", (6, 7), 1)
    data = encode(Image.fromarray(grey))
    np.testing.assert_array_equal(decode(data, (6, 7, 1))[..., 0], grey)
    np.testing.assert_array_equal(decode(data, (6, 7, 3)), np.repeat(grey[..., None], 3, axis=2))
    red = np.zeros((4, 4, 3), "uint8") + np.array([255, 0, 0], "uint8")
    assert (decode(encode(Image.fromarray(red)), (4, 4, 1)) == 76).all()  # ITU-R 601: 0.299 of 255


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_not_clipped(channels):
    values = np.linspace(0, 65535, 64).astype("uint16").reshape(8, 8)
    for format in ("PNG", "TIFF"):
        image = decode(encode(Image.fromarray(values), format), (8, 8, channels))
        np.testing.assert_array_equal(image[..., 0], values >> 8)


def test_integers_of_32_bits(rgb):
    values = np.array([[0, 256], [65535, 255]], "int32")
    image = decode(encode(Image.fromarray(values), "TIFF"), (2, 2, 1))
    np.testing.assert_array_equal(image[..., 0], [[0, 1], [255, 0]])
    for other in (-1, 65536):
        with pytest.raises(ImageError, match="values that 16 bits do not hold"):
            decode(encode(Image.fromarray(values + np.int32([[other, 0], [0, 0]])), "TIFF"), (2, 2, 1))


def test_floats():
    unit = np.array([[0, 0.5], [1, np.nan]], "float32")
    np.testing.assert_array_equal(
        decode(encode(Image.fromarray(unit), "TIFF"), (2, 2, 1))[..., 0], [[0, 128], [255, 0]]
    )
    wide = np.array([[0, 100.4], [300, -5]], "float32")
    np.testing.assert_array_equal(
        decode(encode(Image.fromarray(wide), "TIFF"), (2, 2, 1))[..., 0], [[0, 100], [255, 0]]
    )


def test_one_bit():
    bits = np.eye(8, dtype=bool)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(bits)), (8, 8, 1))[..., 0], bits * np.uint8(255))


def test_transparency_is_laid_on_white():
    rgba = np.zeros((4, 4, 4), "uint8")
    rgba[:2] = (10, 20, 30, 255)
    image = decode(encode(Image.fromarray(rgba)), (4, 4, 3))
    assert (image[:2] == (10, 20, 30)).all()
    assert (image[2:] == 255).all()
    grey = decode(encode(Image.fromarray(np.dstack([rgba[..., 0], rgba[..., 3]]), "LA")), (4, 4, 1))
    assert (grey[:2] == 10).all()
    assert (grey[2:] == 255).all()


def test_palette_with_transparency():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([9, 9, 9, 200, 100, 50])
    image.paste(0, (0, 0, 2, 4))
    data = encode(image, transparency=0)
    decoded = decode(data, (4, 4, 3))
    assert (decoded[:, :2] == 255).all()
    assert (decoded[:, 2:] == (200, 100, 50)).all()
    gif = decode(encode(image, "GIF", transparency=0), (4, 4, 3))
    np.testing.assert_array_equal(gif, decoded)


def test_cmyk():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for format in ("JPEG", "TIFF"):
        red = decode(encode(image, format), (16, 16, 3)).reshape(-1, 3).mean(axis=0)
        assert red[0] > 250
        assert red[1:].max() < 5


def test_first_frame_of_an_animation():
    frames = [Image.new("L", (4, 4), value) for value in (40, 200)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(data, (4, 4, 1)) == 40).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(format, orientation):
    # The upright picture is dark except for one bright corner; the file holds it turned the other way.
    upright = np.zeros((32, 16, 3), "uint8")
    upright[:8, :8] = 240
    turns = decode_module.ORIENTATIONS
    stored = Image.fromarray(upright)
    if orientation in turns:
        undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}.get(orientation, turns[orientation])
        stored = stored.transpose(undo)
    exif = Image.Exif()
    exif[decode_module.ORIENTATION_TAG] = orientation
    data = encode(stored, format, exif=exif)
    assert peek(data)[:2] == (32, 16)
    difference = decode(data, (32, 16, 3)).astype(int) - upright
    assert np.abs(difference).mean() < 12


@pytest.mark.parametrize(("kind", "value"), [(1, b"\6\0\0\0"), (2, b"6\0\0\0"), (7, b"abcd"), (3, b"\x0d\0\0\0")])
def test_an_orientation_that_is_none_is_ignored(rgb, kind, value):
    """Of the types byte, text and undefined, and a number that stands for nothing."""
    entry = struct.pack("<HHI", decode_module.ORIENTATION_TAG, kind, 1 if kind == 3 else 4) + value
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"
    data = encode(Image.fromarray(rgb), "JPEG", exif=exif)
    assert peek(data) == (12, 10, False)
    np.testing.assert_array_equal(decode(data, (12, 10, 3)), decode(encode(Image.fromarray(rgb), "JPEG"), (12, 10, 3)))


def test_damaged_exif_is_ignored(rgb):
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", b"garbage"):
        assert decode(encode(Image.fromarray(rgb), "JPEG", exif=exif), (12, 10, 3)).shape == (12, 10, 3)


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(40, 40), (60, 30), (30, 60), (7, 90), (2, 2), (500, 300)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_becomes_the_wanted_one(make_pixels, resize, size, channels):
    for format in ("PNG", "JPEG"):
        data = encode(Image.fromarray(make_pixels("any", size)), format)
        assert decode(data, (20, 24, channels), resize).shape == (20, 24, channels)


def test_crop_takes_the_centre():
    pixels = np.zeros((16, 32, 3), "uint8")
    pixels[:, 8:24] = 200
    image = decode(pixels, (8, 8, 3), "crop")
    assert (image[:, 1:-1] == 200).all()
    assert (image[:, [0, -1]] > 150).all()  # resized as a whole, then cut: the filter sees over the edge


def test_pad_centres_on_black():
    image = decode(np.full((16, 32, 3), 200, "uint8"), (8, 8, 3), "pad")
    assert (image[2:6] == 200).all()
    assert (image[:2] == 0).all()
    assert (image[6:] == 0).all()


def test_stretch_keeps_everything():
    pixels = np.zeros((16, 32, 3), "uint8")
    pixels[:, :16] = 200
    image = decode(pixels, (8, 8, 3), "stretch")
    assert (image[:, :3] == 200).all()
    assert (image[:, 5:] == 0).all()


def test_shrinking_is_antialiased():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype("uint8")
    assert np.abs(decode(board, (8, 8, 1)).astype(int) - 127).max() <= 10


def test_draft_is_close_to_the_full_decode():
    smooth = np.asarray(Image.fromarray(np.arange(48, dtype="uint8").reshape(6, 8) * 5).resize((640, 480)))
    data = encode(Image.fromarray(smooth), "JPEG", quality=95)
    full = decode(np.asarray(Image.open(io.BytesIO(data))), (32, 32, 1))
    assert np.abs(decode(data, (32, 32, 1)).astype(int) - full).mean() < 1.5


def test_unknown_resize():
    with pytest.raises(ValueError, match="crop, pad, stretch"):
        decode(b"", (8, 8, 3), "squash")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_truncated(make_pixels, format, part):
    data = encode(Image.fromarray(make_pixels("whole", (64, 64))), format)
    with pytest.raises(ImageError, match=r"Cannot read t\.img: "):
        decode(data[: int(len(data) * part)], (64, 64, 3), name="t.img")


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_decode_or_raise_image_error(make_pixels, seed):
    """Whatever Pillow raises on damaged data becomes an ImageError."""
    format = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"][seed % 6]
    data = bytearray(encode(Image.fromarray(make_pixels("flip", (32, 32))), format))
    generator = np.random.default_rng(seed)
    for index in generator.integers(0, min(len(data), 300), 6):
        data[index] = generator.integers(256)
    with contextlib.suppress(ImageError):
        assert decode(bytes(data), (8, 8, 3)).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image at all", "its content is not that of a JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "its content is not that of"),
    ],
)
def test_wrong_content(tmp_path, data, reason):
    path = tmp_path / "wrong.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason) as caught:
        decode(path, (8, 8, 3))
    assert "wrong.jpg" in str(caught.value)


def test_extension_does_not_matter(rgb, tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encode(Image.fromarray(rgb)))
    np.testing.assert_array_equal(decode(path, (12, 10, 3)), rgb)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "none.png", (8, 8, 3))
    with pytest.raises(ImageError):
        decode(tmp_path, (8, 8, 3))


def test_no_permission(monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(decode_module.content, "read", refuse)
    with pytest.raises(ImageError, match=r"secret\.png: no permission"):
        decode("secret.png", (8, 8, 3))


def test_what_the_machine_lacks_is_no_damage(monkeypatch):
    def fail(error):
        def read(*arguments):
            raise error

        monkeypatch.setattr(decode_module.content, "read", read)

    fail(OSError(5, "Input/output error"))
    with pytest.raises(ImageError, match=r"far\.png: it cannot be read \(Input/output error\)"):
        decode("far.png", (8, 8, 3))
    fail(MemoryError())
    with pytest.raises(MemoryError):
        decode("far.png", (8, 8, 3))


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (12_000, 12_000)])
def test_huge_image_is_refused_from_its_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    for function in (lambda: decode(data, (8, 8, 3)), lambda: peek(data)):
        with pytest.raises(ImageError, match=f"{width} x {height} pixels"):
            function()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_tiny_image(size):
    with pytest.raises(ImageError, match=f"{size[0]} x {size[1]} pixels are fewer"):
        decode(encode(Image.new("L", size)), (8, 8, 3))


def test_decode_many_reports_each_bad_image(rgb):
    good = encode(Image.fromarray(rgb))
    contents = [good, b"", good, b"bad"] * 100
    out = np.zeros((400, 12, 10, 3), "uint8")
    seen = []
    bad = decode_many(contents, (12, 10, 3), "crop", out=out, progress=seen.append)
    assert [index for index, _ in bad] == [index for index in range(400) if index % 2]
    assert (out[::2] == rgb).all()
    assert seen[-1] == 400
    assert seen == sorted(seen)


def test_decode_many_stops_when_interrupted(rgb):
    def interrupt(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_many([encode(Image.fromarray(rgb))] * 1000, (12, 10, 3), "crop", progress=interrupt)


def test_pillow_warnings_do_not_leak():
    image = Image.new("P", (4, 4))
    image.putpalette([0, 0, 0, 1, 1, 1])
    data = encode(image, transparency=bytes([0, 128]))
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=decode, args=(data, (4, 4, 3))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert caught == []
    assert warnings.filters == before


def test_peek_decodes_no_png_and_no_image_that_is_too_large(rgb, monkeypatch):
    def decoded(image):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", decoded)
    exif = Image.Exif()
    exif[decode_module.ORIENTATION_TAG] = 6
    height, width = rgb.shape[:2]
    assert peek(encode(Image.fromarray(rgb))) == (height, width, False)
    with pytest.raises(ImageError, match=f"{width} x {height} pixels are more than the 10 "):
        peek(encode(Image.fromarray(rgb), exif=exif), 10)


@pytest.mark.parametrize(("mode", "grey"), [("L", True), ("1", True), ("LA", True), ("RGB", False), ("CMYK", False)])
def test_peek_sees_grey(mode, grey):
    format = "TIFF" if mode == "CMYK" else "PNG"
    assert peek(encode(Image.new(mode, (5, 4)), format)) == (4, 5, grey)


def test_peek_looks_into_the_palette():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 7, 7, 7])
    assert peek(encode(image))[2]
    image.putpalette([0, 0, 0, 7, 8, 7])
    assert not peek(encode(image))[2]


def test_is_image():
    assert is_image("a/B.JPG")
    assert is_image("x.tiff")
    assert not is_image("x.txt")
    assert not is_image("jpg")
