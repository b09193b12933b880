"""Pillow, as a peer of `make bench-resize`. What it is told and answers stands in tests/src/bench/resize/peer.rs.

As its documentation advises for thumbnails: `thumbnail` with a reducing gap, which lets libjpeg decode at a smaller
scale (`draft`) and shrinks by whole factors before it filters. Encoders at their defaults but for quality and 4:2:0.
"""

import io
import json
import sys
import time
from pathlib import Path

import PIL
from PIL import Image, features


def convert(data, job):
    image = Image.open(io.BytesIO(data))
    image.thumbnail((job["width"], job["height"]), Image.Resampling.LANCZOS, reducing_gap=2.0)
    options = {"jpeg": {"subsampling": "4:2:0"}}.get(job["format"], {})
    if job["format"] != "png":
        options["quality"] = job["quality"]
    if job["format"] == "jpeg" and image.mode == "RGBA":
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A"))
        image = flat
    file = io.BytesIO()
    image.save(file, job["format"], **options)
    return file.getvalue()


def answer(**fields):
    print(json.dumps(fields), flush=True)


answer(version=f"Pillow {PIL.__version__} (libjpeg-turbo {features.version('libjpeg_turbo')})")
names, inputs = [], []
for line in sys.stdin:
    job = json.loads(line)
    if "load" in job:
        names = [Path(path).stem for path in job["load"]]
        inputs = [Path(path).read_bytes() for path in job["load"]]
        answer(loaded=len(inputs))
        continue
    before = time.process_time_ns()
    outputs = [convert(data, job) for data in inputs]
    used = time.process_time_ns() - before
    if job["out"]:
        for name, output in zip(names, outputs):
            (Path(job["out"]) / f"{name}.{job['format']}").write_bytes(output)
    answer(cpu_micros=used // 1000, bytes=[len(output) for output in outputs])
