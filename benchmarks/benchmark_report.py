"""Size of the report of a thousand cases, and how fast it answers the pointer in headless Chromium.

    python benchmarks/benchmark_report.py -o benchmarks/results/report.json

The cases are generated: three styles, pictures of textured slices with the contours of three structures each, two
folds with the history of 200 epochs. The time from the movement of the pointer to the card of the case is taken in the
page: from the time stamp of the event to the first frame after the card, picture decoded, is there.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright
from scipy.ndimage import gaussian_filter

from nnunetv2_hypersort.latents.plane import LatentPlane
from nnunetv2_hypersort.ranking.ranking_table import RankedCase
from nnunetv2_hypersort.report.content import (
    Column,
    ReportContent,
    ShownFold,
    ShownStyle,
    SlicePicture,
    StylePoint,
)
from nnunetv2_hypersort.report.html_page import render_page
from nnunetv2_hypersort.report.slices import CutOut, label_fields, prediction_fields

CENTRES = np.array([[0.0, 0.0], [3.0, 0.0], [1.5, 2.6]])
EPOCHS = 200
SIDE = 224
MEASURED = 100

LISTEN = """() => {
  let moved = 0;
  window.answers = [];
  addEventListener("mousemove", (event) => { moved = event.timeStamp; }, true);
  const box = document.getElementById("hover");
  new MutationObserver(async () => {
    const [start, image] = [moved, box.querySelector("image")];
    if (box.hidden || !image || box.dataset.seen === box.textContent) return;
    box.dataset.seen = box.textContent;
    const decoded = new Image();
    decoded.src = image.getAttribute("href");
    await decoded.decode();
    requestAnimationFrame(() => setTimeout(() => window.answers.push(performance.now() - start)));
  }).observe(box, { childList: true, attributes: true, attributeFilter: ["hidden"] });
}"""
PLACES = """() => {
  const node = document.getElementById("map-plot"), box = node.getBoundingClientRect();
  const { xaxis, yaxis } = node._fullLayout, trace = node.data[0];
  return [...trace.x].map((x, at) => [
    box.left + xaxis._offset + xaxis.l2p(x), box.top + yaxis._offset + yaxis.l2p(trace.y[at]),
  ]);
}"""


def generated_content(count: int) -> ReportContent:
    """A report of so many generated cases."""
    rng = np.random.default_rng(0)
    cases = tuple(f"generated_case_{number:04d}" for number in range(count))
    style_of = rng.integers(0, 3, count)
    folds = []
    for name in ("0", "1"):
        latents = CENTRES[style_of] + rng.normal(scale=0.4, size=(count, 2))
        path = np.cumsum(rng.normal(scale=0.03, size=(EPOCHS, count, 2)), axis=0)
        history = latents * (1 - np.exp(-np.arange(EPOCHS) / 40))[:, None, None] + path - path[-1]
        losses = rng.gamma(2.0, 0.1, count)
        plane = LatentPlane.through(latents)
        folds.append(ShownFold(name, EPOCHS, cases, latents, losses, history, np.arange(EPOCHS), plane))
    styles = []
    for number in range(3):
        members = tuple(case for case, style in zip(cases, style_of, strict=True) if style == number)
        points = {fold.name: StylePoint(CENTRES[number], members[0], len(members)) for fold in folds}
        styles.append(
            ShownStyle("ABC"[number], members, "segments 12 % more volume, border 1.4 mm further out", points)
        )
    quality = np.sort(rng.beta(5, 1, count))
    reason = "isolated latent; loss higher than that of 97 % of the cases of its style"
    ranking = {case: RankedCase(case, float(q), "", ("0", "1"), reason) for case, q in zip(cases, quality, strict=True)}
    site = Column("site", {case: f"site {rng.integers(12)}" for case in cases})
    age = Column("age", {case: str(rng.integers(18, 90)) for case in cases})
    pictures = dict(zip(cases, _generated_pictures(rng, count), strict=True))
    return ReportContent(
        "Dataset999_Generated",
        "3d_fullres, HyperSORTTrainer",
        cases,
        tuple(folds),
        tuple(styles),
        ranking,
        (site, age),
        pictures,
        "0",
    )


def _generated_pictures(rng: np.random.Generator, count: int) -> list[SlicePicture]:
    # Each picture has its own part of a large texture; contours, slower to make, are shared by some.
    noise = rng.normal(size=(1200, 1200))
    texture = gaussian_filter(noise, 2) + 4 * gaussian_filter(noise, 12)
    cut = CutOut((0, SIDE), (0, SIDE), (1.0, 1.0))
    outlines = [_generated_outlines(rng, cut) for _ in range(50)]
    pictures = []
    for number in range(count):
        row, column = rng.integers(0, len(texture) - SIDE, 2)
        image = cut.encode(texture[row : row + SIDE, column : column + SIDE])
        pictures.append(SlicePicture(image, 1000, 1000, *outlines[number % len(outlines)], 7, 0.9))
    return pictures


def _generated_outlines(rng: np.random.Generator, cut: CutOut) -> tuple[str, str]:
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    fields = []
    for centre in ((-0.2, -0.1), (0.1, 0.2), (0.2, -0.2)):
        angle = np.arctan2(rows - centre[0], columns - centre[1])
        waves = sum(rng.normal(scale=0.012) * np.cos(k * angle + rng.uniform(0, 6)) for k in range(2, 9))
        fields.append(0.15 + waves - np.hypot(rows - centre[0], columns - centre[1]))
    logits = 20 * np.stack([-np.max(fields, axis=0), *fields])
    label = gaussian_filter(logits, (0, 1, 1)).argmax(0)
    return cut.path(label_fields(label, [1, 2, 3])), cut.path(prediction_fields(logits, False))


def measure(page_file: Path, chromium: str | None) -> dict[str, Any]:
    """Open the report and move the pointer from case to case."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        started = time.perf_counter()
        page.goto(page_file.as_uri())
        page.wait_for_selector("html[data-drawn=true]", state="attached")
        opened = time.perf_counter() - started
        page.locator("#map").scroll_into_view_if_needed()
        page.wait_for_timeout(1000)
        places = page.evaluate(PLACES)
        page.evaluate(LISTEN)
        for place in np.random.default_rng(1).permutation(len(places))[:MEASURED]:
            x, y = places[place]
            page.mouse.move(x, y)
            page.wait_for_timeout(150)
        answers = sorted(page.evaluate("window.answers"))
        version = browser.version
        browser.close()
    return {
        "chromium": version,
        "seconds_to_open": round(opened, 2),
        "hovered": len(answers),
        "hover_ms": {
            "median": round(statistics.median(answers), 1),
            "95th_percentile": round(answers[int(0.95 * (len(answers) - 1))], 1),
            "largest": round(answers[-1], 1),
        },
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", type=Path, help="also write the numbers to this file")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="keep the report as this file")
    args = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder:
        file = (args.keep or Path(folder) / "report.html").resolve()
        file.write_text(render_page(generated_content(args.cases)), encoding="utf-8")
        numbers = {
            "cases": args.cases,
            "megabytes": round(file.stat().st_size / 1e6, 2),
            **measure(file, chromium),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
            "load_average": round(os.getloadavg()[0], 1),
        }
    print(json.dumps(numbers, indent=4))
    if args.o:
        args.o.write_text(json.dumps(numbers, indent=4) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
