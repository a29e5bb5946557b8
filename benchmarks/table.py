"""Print the table of docs/performance.md from results/steps.json."""

import json

import _measure

NETWORKS = {"simple_cnn": "SimpleCNN", "resnet20": "ResNet-20"}
BACKENDS = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
PRECISIONS = ("float32", "mixed_bfloat16")


def cells(found, backend):
    """Return what a row says of one precision: speed, stock Keras, cost of augmentation, memory."""
    kcnn, plain = found[f"{backend} kcnn"], found[f"{backend} plain"]
    middle, low, high = _measure.ratio(kcnn, plain)
    speeds = f"{kcnn['images_per_second']:.0f} of {plain['images_per_second']:.0f}"
    return (
        f"{speeds}: **{middle:.2f}** ({low:.2f} to {high:.2f})",
        f"{_measure.ratio(found[f'{backend} stock Keras'], plain)[0]:.2f}",
        f"{1 - _measure.ratio(kcnn, found[f'{backend} kcnn, no augmentation'])[0]:.0%}",
        f"{kcnn['peak_mib'] / plain['peak_mib']:.2f}",
    )


def main():
    results = json.loads((_measure.RESULTS / "steps.json").read_text())["results"]
    print(
        "| images a second, of the plain loop's | float32 | bfloat16 | stock Keras, of plain | cost of augmentation | "
        "peak memory, of plain |\n|---|---|---|---|---|---|"
    )
    for network, title in NETWORKS.items():
        for backend, name in BACKENDS.items():
            one, other = (cells(results[f"{network} {precision}"], backend) for precision in PRECISIONS)
            both = " | ".join(f"{a} / {b}" for a, b in zip(one[1:], other[1:], strict=True))
            print(f"| {title}, {name} | {one[0]} | {other[0]} | {both} |")
    for network in NETWORKS:
        for precision in PRECISIONS:
            found = results[f"{network} {precision}"]
            compiled = _measure.ratio(found["torch plain, compiled"], found["torch plain"])[0]
            best = max((one for one in found if one.endswith("kcnn")), key=lambda one: found[one]["images_per_second"])
            rival = max((one for one in found if " plain" in one), key=lambda one: found[one]["images_per_second"])
            middle = _measure.ratio(found[best], found[rival])[0]
            print(f"{network} {precision}: {best} is {middle:.2f} of {rival}; torch.compile: {compiled:.2f} of plain")


if __name__ == "__main__":
    main()
