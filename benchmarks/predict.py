"""`i2p predict` of many small pictures, killed twice, beside a plain loop: `python -m benchmarks.predict [STORE]`

`STORE` is a folder with a finished run of `make demo`; without it the demo is run: under a quarter of an hour. The
pictures are drawings of 64 pixels in PNG files: 1,000 and 10,000 for which known prompts are given, 500 and 2,000 for
which prompts are also composed. A quarter of an hour on two cores.

The plain loop is one process that decodes each file by Pillow, runs the same network on as many images at once, finds
the closest prompts with one matrix product, and writes a CSV: no sandbox, confidence, page, or going on after a kill.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import run_pipeline, save
from jobs.synthetic import grammar
from jobs.synthetic.drawing import draw

KNOWN, COMPOSED = (1_000, 10_000), (500, 2_000)
_SIDE = 64
_PLAIN = "--plain"
_THREADS = 2
_SEED = 99  # another one than the demo's


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == _PLAIN:
        plain(*map(Path, sys.argv[2:]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "store"
        if len(sys.argv) < 2:
            run_pipeline("--preset", "demo", "--set", f"store={store}")
        figures = {str(count): measure(folder, store, count, "--no-composing") for count in KNOWN}
        composed = {str(count): measure(folder, store, count) for count in COMPOSED}
        save("predict", {**figures, "composed": composed}, libraries=("torch", "pillow", "sentence-transformers"))


def measure(folder: Path, store: Path, count: int, *options: str) -> dict[str, Any]:
    """Seconds and peak memory of the whole, of the plain loop, and what is there after two kills."""
    pictures, out, killed = folder / f"in-{count}", folder / f"out-{count}", folder / f"killed-{count}"
    write_pictures(pictures, count)
    asked = [*("predict", pictures, "--model", "demo", "--store", store, "--threads", _THREADS, *options)]
    command = [sys.executable, "-m", "pipeline", *map(str, asked), "--out"]
    found = timed([*command, str(out)], count)
    for parts in (1, count // 256 // 2):
        kill_after([*command, str(killed)], killed, parts)
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    with (killed / "predictions.csv").open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    same = (killed / "predictions.jsonl").read_bytes() == (out / "predictions.jsonl").read_bytes()
    summary = json.loads((out / "summary.json").read_text())
    loop = [sys.executable, "-m", "benchmarks.predict", _PLAIN, str(pictures), str(store), str(folder / "plain.csv")]
    return {
        **found,
        "counts": {name: summary[name] for name in ("images", "predicted", "abstained", "refused")},
        "killed_twice": {"rows": len(names), "different_files": len(set(names)), "same_predictions": same},
        "plain_loop": timed(loop, count),
    }


def timed(command: Sequence[str], count: int) -> dict[str, Any]:
    """Seconds of a command, images a second, and the peak memory of its largest process in MB."""
    began = time.monotonic()
    program = (
        "import json, resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], check=True, capture_output=True, text=True)
    seconds = time.monotonic() - began
    return {
        "seconds": round(seconds, 1),
        "images_a_second": round(count / seconds, 1),
        "peak_memory_mb": round(int(done.stdout) * 1024 / 1e6),
    }


def kill_after(command: Sequence[str], out: Path, parts: int) -> None:
    """Start the command and kill it when so many parts are done."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(list(out.glob("unfinished/commits/*.json"))) < parts and process.poll() is None:
            time.sleep(0.02)
        process.kill()


def write_pictures(folder: Path, count: int) -> None:
    """Drawings of prompts of the demo's grammar."""
    folder.mkdir()
    for number, prompt in enumerate(grammar.prompts(seed=_SEED, start=0, count=count)):
        draw(prompt, size=_SIDE).save(folder / f"{number:06d}.png")


def plain(pictures: Path, store: Path, out: Path) -> None:
    """The plain loop."""
    import numpy as np
    import torch
    from PIL import Image

    from jobs.infer.models import open_model
    from jobs.regressor.saved_model import load_regressor

    torch.set_num_threads(_THREADS)
    model = open_model("demo", str(store))
    known = list(model.prompts())
    prompts = [prompt for texts, _ in known for prompt in texts]
    vectors = np.concatenate([block for _, block in known])
    regressor = load_regressor(model.network())
    size = regressor.architecture.image_size
    files = sorted(pictures.iterdir())
    with out.open("w", newline="") as file, torch.inference_mode():
        writer = csv.writer(file)
        for start in range(0, len(files), 64):
            some = files[start : start + 64]
            images = [
                np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
                for path in some
            ]
            predicted = regressor(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)).numpy()
            closest = (predicted @ vectors.T).argmax(axis=1)
            writer.writerows((path.name, prompts[row]) for path, row in zip(some, closest, strict=True))


if __name__ == "__main__":
    main()
