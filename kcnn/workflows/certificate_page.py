"""The page about an exported file: a single HTML file that opens from disk."""

import shlex

from kcnn.files import write_text
from kcnn.workflows._page import share, template

PAGE = "certificate.html"


def write_page(folder, run, certificate):
    """Write the page of a `Certificate` into `folder` and return its path."""
    numbers, measured = certificate.difference, certificate.images
    page = template(PAGE).render(
        name=run.path.resolve().name,
        certificate=certificate,
        rule=_rule(certificate.rule),
        tiles=[
            ("Largest difference", f"{numbers['probability']:.2g}", "of a probability"),
            ("Largest difference", f"{numbers['logits']:.2g}", "of a logit"),
            ("Same label", share(numbers["top1"]), _ties(numbers)),
            ("Accuracy", f"{100 * certificate.accuracy['difference'][0]:+.2f}", "points against the trained model"),
            ("Size", f"{certificate.exported['bytes'] / 2**20:.2f} MiB", _sizes(certificate)),
        ],
        images=_images(measured),
        batch_columns=["batch", "images", "probability", "logit", "same label"],
        batch_rows=[
            (batch, f"{row['count']:,}", f"{row['probability']:.2g}", f"{row['logits']:.2g}", share(row["top1"]))
            for batch, row in numbers["batches"].items()
        ],
        accuracy_rows=list(_accuracy_rows(certificate)),
        encoded=certificate.encoded and _encoded(certificate.encoded),
        speed=f"{certificate.machine['processor']}, {certificate.machine['cores']} cores; one after the other.",
        speed_rows=list(_speed_rows(certificate)),
        file_rows=[
            (name, f"{one['bytes']:,}", one["sha256"])
            for side in (certificate.trained, certificate.exported)
            for name, one in side["files"].items()
        ],
        environment=[
            ("trained model on", certificate.trained["by"]),
            ("temperature", f"{certificate.temperature:.4g}" if certificate.temperature != 1 else "none"),
            ("versions", ", ".join(f"{name} {version}" for name, version in certificate.versions.items())),
            ("fingerprint of the images", measured["fingerprint"]),
            ("made", certificate.made),
        ],
        command=_command(certificate),
    )
    path = folder / PAGE
    write_text(path, page)
    return path


def _rule(rule):
    if "tolerance" in rule:
        return f"No probability differs by more than {rule['tolerance']:g}, and no label but in a near-tie."
    return f"It loses no more than {rule['budget']:g} points of accuracy."


def _ties(numbers):
    return f"{numbers['disagreements']:,} images differ, {numbers['near_ties']:,} of them near-ties"


def _sizes(certificate):
    part = certificate.exported["bytes"] / certificate.trained["bytes"]
    return f"{part:.2f} times that of {', '.join(certificate.trained['files'])}"


def _images(measured):
    text = f"{measured['count']:,} of {measured['of']:,} {measured['split']} images, which training never saw."
    if measured["calibration"]:
        text += f" Scales were found on {measured['calibration']['count']:,} training images."
    return text


def _accuracy_rows(certificate):
    for name, label in (("trained", "trained model"), ("exported", certificate.name)):
        value, low, high = certificate.accuracy[name]
        yield label, share(value), f"{share(low)} to {share(high)}"
    value, low, high = (100 * number for number in certificate.accuracy["difference"])
    yield "difference", f"{value:+.2f} points", f"{low:+.2f} to {high:+.2f}"


def _encoded(found):
    return (
        f"The signature for encoded images was compared with kcnn's decoding on {found['files']:,} files of the split "
        f"and {found['enlarged']:,} JPEGs of other sizes made of its images: {share(found['equal'])} of the values are "
        f"equal, the largest difference is {found['largest']} of 255, and of a probability {found['probability']:.2g}."
    )


def _speed_rows(certificate):
    for first, second in zip(certificate.trained["speed"], certificate.exported["speed"], strict=True):
        sides = [
            text
            for one in (first, second)
            for text in (f"{one['p50_ms']:.2f}", f"{one['p99_ms']:.2f}", f"{one['images_per_second']:,.0f}")
        ]
        yield first["batch"], *sides, f"{first['p50_ms'] / second['p50_ms']:.2f}"


def _command(certificate):
    return shlex.join(["kcnn", "export", certificate.run, *certificate.asked])
