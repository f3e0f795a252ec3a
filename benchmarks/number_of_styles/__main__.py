"""Power and false alarms of the rule for the number of styles, on sets of points drawn at random.

    python -m benchmarks.number_of_styles [--tables]

Each unit is some hundred sets of one kind, with seeds of its own. What is in the results already is not measured again;
delete the file, or lines of it, to measure anew after a change of the rule. `--tables` prints what is there.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.number_of_styles.sets import ONE_STYLE, SPHERE, groups
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.text_tables import markdown_table
from nnunetv2_hypersort.styles.clustering import find_clusters

RESULTS = Path(__file__).parents[1] / "results" / "number_of_styles.json"
SETS = 200
SETS_FOR_DISTANCE = 50
DISTANCES = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0)
ONE_STYLE_COUNTS = (40, 100, 200)
ONE_STYLE_DIMS = (2, 5)
POWER = {
    "20 + 19": ((20, 19), 2),
    "50 + 50": ((50, 50), 2),
    "100 + 100": ((100, 100), 2),
    "20 + 19, 5-D": ((20, 19), 5),
}
MIXTURES: dict[str, dict[str, Any]] = {
    "20 + 19 at 4, elongated three times": {"sizes": (20, 19), "distance": 4.0, "elongated": 3.0},
    "20 + 19 at 5, 8 % far off": {"sizes": (20, 19), "distance": 5.0, "far": 0.08},
    "32 + 8 at 5": {"sizes": (32, 8), "distance": 5.0},
    "50 + 30 + 20 at 4": {"sizes": (50, 30, 20), "distance": 4.0},
    "50 + 30 + 20 at 5": {"sizes": (50, 30, 20), "distance": 5.0},
    "50 + 30 + 20 at 5, elongated three times, 3-D": {
        "sizes": (50, 30, 20),
        "distance": 5.0,
        "elongated": 3.0,
        "dim": 3,
    },
    "50 + 30 + 20 at 5, 8 % far off": {"sizes": (50, 30, 20), "distance": 5.0, "far": 0.08},
    "50 + 30 + 20 at 5, 5-D": {"sizes": (50, 30, 20), "distance": 5.0, "dim": 5},
    "25 + 25 + 25 + 25 at 5": {"sizes": (25, 25, 25, 25), "distance": 5.0},
    "80 + 60 + 40 + 20 at 5": {"sizes": (80, 60, 40, 20), "distance": 5.0},
}
TOLD_APART_COUNTS = (20, 40, 80, 160, 400)
TOLD_APART_DIMS = (2, 1, 3, 5, 10)
TOLD_APART_DISTANCES = (3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 9.0, 12.0)
_Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def jobs() -> dict[str, Callable[[], Any]]:
    """All that is measured, by its name in the results, what matters most first."""
    found: dict[str, Callable[[], Any]] = {}

    def add(key: str, draw: _Draw) -> None:
        found[key] = partial(measure, key, draw, SETS)

    def power(*names: str) -> None:
        for name in names:
            sizes, dim = POWER[name]
            for distance in DISTANCES:
                add(f"two groups | {name} | {distance}", partial(groups, sizes=sizes, distance=distance, dim=dim))

    def one_style(shapes: dict[str, Callable[..., np.ndarray]], count: int, dim: int) -> None:
        for name, draw in shapes.items():
            add(f"one style | {name} | {count} | {dim}", partial(_with_truth, draw, count, dim))

    def distances(dim: int) -> None:
        for count in TOLD_APART_COUNTS:
            found[f"told apart | {count} | {dim}"] = partial(told_apart, count, dim)

    first, *others = POWER
    distances(TOLD_APART_DIMS[0])
    one_style(ONE_STYLE, ONE_STYLE_COUNTS[0], ONE_STYLE_DIMS[0])
    power(first)
    for count in ONE_STYLE_COUNTS[1:]:
        one_style(ONE_STYLE, count, ONE_STYLE_DIMS[0])
    for name, arguments in MIXTURES.items():
        add(f"mixture | {name}", partial(groups, **arguments))
    for dim in TOLD_APART_DIMS[1:]:
        distances(dim)
    power(*others)
    for dim in ONE_STYLE_DIMS[1:]:
        for count in ONE_STYLE_COUNTS:
            one_style({**ONE_STYLE, "hollow sphere, noise 0.1": SPHERE}, count, dim)
    return found


def _with_truth(
    draw: Callable[..., np.ndarray], count: int, dim: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    return draw(rng, count, dim), np.zeros(count, dtype=np.int64)


def measure(key: str, draw: _Draw, sets: int) -> dict[str, Any]:
    """How many clusters are found, and the median adjusted Rand index over the cases of groups."""
    rng = np.random.default_rng(np.frombuffer(key.encode(), dtype=np.uint8).astype(np.uint32))
    found: Counter[int] = Counter()
    scores = []
    for _ in range(sets):
        points, truth = draw(rng)
        clusters = find_clusters(points)
        found[len(clusters)] += 1
        of_group = truth >= 0
        scores.append(adjusted_rand_score(truth[of_group], clusters.labels[of_group]))
    counts = {str(number): found[number] for number in sorted(found)}
    return {"sets": sets, "clusters": counts, "ari": round(float(np.median(scores)), 3)}


def told_apart(count: int, dim: int) -> float:
    """The distance at which 80 % of sets of two equal groups are split, interpolated."""
    shares: list[float] = []
    for distance in TOLD_APART_DISTANCES:
        sizes = (count - count // 2, count // 2)
        done = measure(
            f"{count} {dim} {distance}",
            partial(groups, sizes=sizes, distance=distance, dim=dim),
            SETS_FOR_DISTANCE,
        )
        shares.append(max([*shares[-1:], 1 - done["clusters"].get("1", 0) / SETS_FOR_DISTANCE]))
        if shares[-1] >= 0.8:
            break
    else:
        return float("nan")
    if len(shares) == 1:
        return TOLD_APART_DISTANCES[0]
    return round(float(np.interp(0.8, shares, TOLD_APART_DISTANCES[: len(shares)])), 2)


def tables(results: dict[str, Any]) -> str:
    """What is known so far, in Markdown."""
    of_kind = {kind: [key.split(" | ") for key in results if key.startswith(kind)] for kind in ("one", "two", "mix")}
    parts = []
    for dim in ONE_STYLE_DIMS:
        names = dict.fromkeys(key[1] for key in of_kind["one"] if key[3] == str(dim))
        rows = [
            [name, *(_alarms(results, f"one style | {name} | {count} | {dim}") for count in ONE_STYLE_COUNTS)]
            for name in names
        ]
        parts.append(markdown_table([f"one style, {dim}-D", *(f"{count} cases" for count in ONE_STYLE_COUNTS)], rows))
    rows = [[name, *(_split(results, f"two groups | {name} | {one}") for one in DISTANCES)] for name in POWER]
    parts.append(markdown_table(["groups, distance in SD", *map(str, DISTANCES)], rows))
    rows = []
    for _, name in of_kind["mix"]:
        result = results[f"mixture | {name}"]
        right = result["clusters"].get(str(len(MIXTURES[name]["sizes"])), 0)
        rows.append([name, f"{100 * right / result['sets']:.0f} %", f"{result['ari']:.2f}"])
    parts.append(markdown_table(["groups", "right number", "ARI, median"], rows))
    return "\n\n".join(parts)


def _alarms(results: dict[str, Any], key: str) -> str:
    return str(results[key]["sets"] - results[key]["clusters"].get("1", 0)) if key in results else ""


def _split(results: dict[str, Any], key: str) -> str:
    if key not in results:
        return ""
    return f"{100 * results[key]['clusters'].get('2', 0) / results[key]['sets']:.1f} %"


def main() -> None:
    """Measure what is not in the results yet, or print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", type=Path, default=RESULTS)
    parser.add_argument("--tables", action="store_true")
    args = parser.parse_args()
    results = json.loads(args.o.read_text()) if args.o.exists() else {}
    if not args.tables:
        for key, job in jobs().items():
            if key not in results:
                results[key] = job()
                write_json(args.o, results)
                print(key, results[key], flush=True)
    print(tables(results))


if __name__ == "__main__":
    main()
