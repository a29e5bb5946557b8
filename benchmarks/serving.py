"""The load test of `kcnn serve`: requests a second and latencies, and whether each answer belongs to its image.

    python benchmarks/serving.py [RUN FOLDER] [--backend NAME] [--no-export]

RUN is a run of your own and FOLDER images for it; without them the recipe `digits` is trained and its digits are asked
for. Two servers stand beside one another on loopback, with and without batching, and are asked in turns by 1, 8 and 64
clients that each send the next image once they have the last answer. What each answer has to be was told by
`kcnn predict` before; in the end 10,000 requests by 64 clients are checked. Clients and server share the machine.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from _measure import write
from PIL import Image

from kcnn import backend
from kcnn.data.find import find_images

CLIENTS = (1, 8, 64)
ROUNDS, SECONDS, REQUESTS = 3, 5.0, 3000  # of each measurement, whichever bound comes first
CHECKED = 10_000  # requests of the last one, within so many seconds:
PATIENCE = 300.0
WAYS = {"batched": [], "one by one": ["--batch", "1", "--window", "0"]}


def kcnn(*arguments, **options):
    """Run kcnn in a process of its own and return what it writes to stdout."""
    command = [sys.executable, "-m", "kcnn", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def make(folder):
    """Train the recipe `digits` and write its images; return the run and the folder of images."""
    from sklearn.datasets import load_digits

    kcnn("fit", "digits", "--out", folder, "--name", "run")
    images = folder / "images"
    images.mkdir()
    for index, pixels in enumerate(load_digits().images):
        Image.fromarray((pixels * 255 / 16).round().astype("uint8")).save(images / f"{index:04d}.png")
    return folder / "run", images


@contextlib.contextmanager
def server(run, *options):
    """Yield the (host, port) of a server that is ready, and what answers there."""
    command = [sys.executable, "-m", "kcnn", "serve", str(run), "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        lines = []
        while lines[-1:] != ["}\n"]:
            lines.append(process.stdout.readline())
            if not lines[-1]:
                sys.exit(f"The server did not start: {' '.join(command)}")
        document = json.loads("".join(lines))
        address = document["address"]
        while True:
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(f"{address}/readyz"):
                break
            time.sleep(0.1)
        host, _, port = address.removeprefix("http://").partition(":")
        yield (host, int(port)), document["runtime"]
    finally:
        process.terminate()
        process.wait()


def request(data):
    """Return the bytes of a request about an image."""
    head = "POST /v1/predict?top=1 HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/octet-stream\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


async def ask(reader, writer, message):
    """Send a request on an open connection; return status and body of the response."""
    writer.write(message)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length)


async def load(address, messages, expected, *, clients, requests, seconds):
    """Let clients ask in turns for all images, again and again; return latencies, and how long it all took.

    Raises:
        SystemExit: An answer was lost, or was not the one of its image.
    """
    latencies, begun = [], 0
    deadline = time.perf_counter() + seconds

    async def client():
        nonlocal begun
        reader, writer = await asyncio.open_connection(*address)
        while begun < requests and time.perf_counter() < deadline:
            index, begun = begun % len(messages), begun + 1
            begin = time.perf_counter()
            status, body = await ask(reader, writer, messages[index])
            latencies.append(time.perf_counter() - begin)
            check(status, body, expected[index])
        writer.close()
        await writer.wait_closed()

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    if len(latencies) != begun:
        sys.exit(f"{begun - len(latencies)} answers were lost.")
    return latencies, time.perf_counter() - begin


def check(status, body, expected):
    """Stop where a response is not the one that is expected."""
    found = json.loads(body)["predictions"][0] if status == 200 else {}
    label, probability = expected
    if found.get("label") != label or abs(found["probability"] - probability) > 1e-5:
        sys.exit(f"Expected {label} ({probability}). Received: {status} {body.decode()}")


def measured(latencies, seconds):
    """Return requests a second and latencies in milliseconds."""
    half, most = np.percentile(np.array(latencies) * 1000, [50, 99])
    return {"requests": len(latencies), "per_second": len(latencies) / seconds, "p50_ms": half, "p99_ms": most}


def middle(rounds, key):
    return statistics.median(one[key] for one in rounds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("images", nargs="?", type=Path)
    parser.add_argument("--backend", default=None)
    parser.add_argument("--no-export", action="store_true", help="let Keras answer, though RUN has an ONNX export")
    parser.add_argument("--name", default="serving", help="of the file in benchmarks/results")
    arguments = parser.parse_args()
    if bool(arguments.run) != bool(arguments.images):
        parser.error("RUN and the folder of its images go together")
    name = backend.choose(arguments.backend).name
    os.environ["KERAS_BACKEND"] = name
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as servers:
        run, images = (arguments.run, arguments.images) if arguments.run else make(Path(folder))
        files = find_images([images])[:2000]
        answers = json.loads(kcnn("predict", run, *files, "--top", 1, "--json"))["predictions"]
        expected = [(one["label"], one["probability"]) for one in answers]
        messages = [request(Path(file).read_bytes()) for file in files]
        more = ["--no-export"] if arguments.no_export else []
        started = {way: servers.enter_context(server(run, *options, *more)) for way, options in WAYS.items()}
        addresses = {way: address for way, (address, _) in started.items()}
        runtime = started["batched"][1]
        found = {way: {clients: [] for clients in CLIENTS} for way in WAYS}
        bounds = {"requests": REQUESTS, "seconds": SECONDS}
        for _ in range(ROUNDS):
            for clients in CLIENTS:
                for way, address in addresses.items():
                    done = asyncio.run(load(address, messages, expected, clients=clients, **bounds))
                    found[way][clients].append(measured(*done))
        bounds = {"requests": CHECKED, "seconds": PATIENCE}
        done = asyncio.run(load(addresses["batched"], messages, expected, clients=max(CLIENTS), **bounds))
    checked = measured(*done)
    print(f"{'clients':>7s}  {'':10s} {'requests/s':>10s} {'p50, ms':>8s} {'p99, ms':>8s}  {runtime}")
    for clients in CLIENTS:
        for way in WAYS:
            rounds = found[way][clients]
            numbers = [middle(rounds, key) for key in ("per_second", "p50_ms", "p99_ms")]
            print(f"{clients:7d}  {way:10s} {numbers[0]:10.0f} {numbers[1]:8.1f} {numbers[2]:8.1f}")
    if checked["requests"] < CHECKED:
        sys.exit(f"Only {checked['requests']:,} of {CHECKED:,} requests were answered within {PATIENCE:g} s.")
    distinct = len(set(expected))
    print(f"{CHECKED:,} requests by {max(CLIENTS)} clients, {distinct:,} different answers: none lost, none crossed.")
    document = {"runtime": runtime, "images": len(files), "different": distinct, "ways": found, "checked": checked}
    write(arguments.name, document)


if __name__ == "__main__":
    main()
