#!/bin/sh
# What `make demo` does once kcnn is installed: train, measure, predict, and say where things lie.
set -eu
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT

echo "== kcnn fit digits"
"$BIN/kcnn" fit digits --backend "$BACKEND" --json > "$runs/fit.json"
run=$("$BIN/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["run"])' "$runs/fit.json")

echo "== kcnn evaluate $run"
"$BIN/kcnn" evaluate "$run" --backend "$BACKEND"

echo "== kcnn predict $run"
# A few digits as PNG files, named by their label.
"$BIN/python" - "$runs" <<'PYTHON'
import sys
from PIL import Image
from sklearn.datasets import load_digits

digits = load_digits()
for index in range(0, 1797, 300):
    pixels = (digits.images[index] * 255 / 16).round().astype("uint8")
    Image.fromarray(pixels).save(f"{sys.argv[1]}/digit_{digits.target[index]}_{index}.png")
PYTHON
"$BIN/kcnn" predict "$run" "$runs/*.png" --backend "$BACKEND"

echo "The run lies in $run: model.keras, recipe.toml, history.csv, metrics.json, curves.png, MODEL_CARD.md, report/."
