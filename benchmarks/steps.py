"""The speed of a training step: kcnn against plain loops of each framework and against stock Keras.

Every contender trains on the same random images, flipped and cropped, in a process of its own. All of one network and
one precision are alive at once and take turns, so that what else the machine does hits all alike.
"""

import argparse

import _measure

PLAIN = {"tensorflow": "plain_tensorflow", "torch": "plain_torch", "jax": "plain_jax"}


def contenders(network, backends, quick):
    """Return {name: (backend, module, *keywords)}."""
    found = {}
    for backend in backends:
        found[f"{backend} plain"] = (None, PLAIN[backend])
        if backend == "torch" and not quick:
            found["torch plain, compiled"] = (None, "plain_torch", "compiled=true")
        if not quick:
            found[f"{backend} stock Keras"] = (backend, "stock_keras")
        found[f"{backend} kcnn"] = (backend, "kcnn_fit")
        if not quick:
            found[f"{backend} kcnn, no augmentation"] = (backend, "kcnn_fit", 'overrides=["augment=[]"]')
    return found


def show(network, precision, found):
    print(f"\n{network}, {precision}")
    print(f"{'':32}{'images/s':>10}{'lowest..highest':>18}{'of plain':>24}{'first step':>12}{'MiB':>7}")
    for name, result in found.items():
        plain = found[f"{name.split()[0]} plain"]
        middle, low, high = _measure.ratio(result, plain)
        print(
            f"{name:32}{result['images_per_second']:10,.0f}{result['lowest']:10,.0f}..{result['highest']:<6,.0f}"
            f"{middle:12.3f} ({low:.3f}..{high:.3f}){result['first_step_seconds']:11.1f}s{result['peak_mib']:7,d}",
            flush=True,
        )
    best = max((name for name in found if name.endswith("kcnn")), key=lambda name: found[name]["images_per_second"])
    rival = max((name for name in found if " plain" in name), key=lambda name: found[name]["images_per_second"])
    middle, low, high = _measure.ratio(found[best], found[rival])
    print(f"best: {best} is {middle:.3f} ({low:.3f}..{high:.3f}) of {rival}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="simple_cnn,resnet20")
    parser.add_argument("--precisions", default="float32,mixed_bfloat16")
    parser.add_argument("--backends", default="tensorflow,torch,jax")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--name", default="steps", help="of the file in benchmarks/results")
    parser.add_argument("--quick", action="store_true", help="plain loops and kcnn alone")
    options = parser.parse_args()
    document = {}
    for network in options.networks.split(","):
        for precision in options.precisions.split(","):
            chosen = contenders(network, options.backends.split(","), options.quick)
            chosen = {name: (*how, f"batch_size={options.batch_size}") for name, how in chosen.items()}
            found = _measure.interleaved(chosen, network, precision, steps=options.steps, rounds=options.rounds)
            show(network, precision, found)
            document[f"{network} {precision}"] = found
            about = {"steps": options.steps, "batch_size": options.batch_size}
            _measure.write(options.name, about | {"results": document})


if __name__ == "__main__":
    main()
