"""The table of `split_level`: how much evidence of two groups sets of one style give by chance.

    python -m benchmarks.number_of_styles.levels

Printed for each number of points and dimension: the evidence that 6.5 in a hundred sets exceed, of Gaussian ones or of
skewed ones, whichever is more.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.number_of_styles.sets import ONE_STYLE
from nnunetv2_hypersort.styles.isolation import isolated
from nnunetv2_hypersort.styles.splitting import best_splits

COUNTS = (10, 20, 40, 80, 160, 400, 1500)
DIMS = (2, 1, 3, 5, 10)
SHAPES = ("Gaussian", "skewed: gamma, shape 2, in each axis")
SHARE = 0.065
RESULTS = Path(__file__).parents[1] / "results" / "number_of_styles_levels.json"


def quantile(shape: str, count: int, dim: int, sets: int) -> float:
    """The evidence that a share of the sets exceeds."""
    rng = np.random.default_rng([count, dim, sorted(ONE_STYLE).index(shape)])
    evidence = []
    for _ in range(sets):
        points = ONE_STYLE[shape](rng, count, dim)
        splits = best_splits(points[~isolated(points)], least=5)
        evidence.append(splits[0].evidence if splits else -np.inf)
    return float(np.quantile(evidence, 1 - SHARE, method="higher"))


def main() -> None:
    """Measure what is not measured yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", type=Path, default=RESULTS)
    file = parser.parse_args().o
    known = json.loads(file.read_text()) if file.exists() else {}
    for dim in DIMS:
        for count in COUNTS:
            for shape in SHAPES if count <= 160 else SHAPES[:1]:
                key = f"{shape} | {count} | {dim}"
                if key not in known:
                    known[key] = round(
                        quantile(shape, count, dim, 1000 if (count, dim) == (40, 2) else 400 if count <= 160 else 100),
                        2,
                    )
                    file.write_text(json.dumps(known, indent=1) + "\n")
    for count in COUNTS:
        row = [max(known.get(f"{shape} | {count} | {dim}", -np.inf) for shape in SHAPES) for dim in sorted(DIMS)]
        print(f"    ({', '.join(f'{value:.1f}' for value in row)}),  # {count}")


if __name__ == "__main__":
    main()
