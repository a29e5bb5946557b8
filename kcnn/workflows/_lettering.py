"""Names in pictures: in any script that this machine has a font for, and short enough to stand beside others."""

import contextlib
import warnings

# Beside matplotlib's own, which has neither Chinese, Japanese and Korean nor Arabic's relatives.
FAMILIES = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic"),
    *(
        "Noto Sans",
        "Noto Sans Devanagari",
        "Noto Sans Thai",
        "Noto Sans Hebrew",
        "Noto Sans Arabic",
        "Arial Unicode MS",
    ),
)


@contextlib.contextmanager
def any_script():
    """Let matplotlib take letters from each font that it needs while the block lasts; none is a box, not a warning."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    family = ["DejaVu Sans", *(name for name in FAMILIES if name in known)]
    with matplotlib.rc_context({"font.family": family}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def short(text, room=20):
    """Return a text in at most so many characters, without its middle, since names may differ in their ends alone."""
    return text if len(text) <= room else f"{text[: room // 2 - 1]}…{text[-(room - room // 2) :]}"
