"""How far mask statistics alone tell planted annotation styles apart: clustering -> ARI, median over seeds.

    python benchmarks/mask_statistics.py nnUNet_raw/Dataset004_Hippocampus --spec perturb_hippocampus_turn

Each seed assigns styles and errors anew, as `hypersort perturb --seed` does. Every training label becomes a vector of
volume, surface, extent, mask position in the image and label centroids (of each label and of all together), in mm;
features are standardised and clustered with the true number of styles. The adjusted Rand index (Hubert and Arabie
1985) is taken over the cases without planted error; `without_errors` clusters these alone. `supervised` is no
competitor but an upper bound: logistic regression that is told the styles of the other cases (5-fold cross-fit), so
it shows what the statistics contain.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before numpy: linear algebra on matrices this small is faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.images.distances import border_area
from nnunetv2_hypersort.images.geometry import AXES, Grid, Labels, Mask
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset, read_labels
from nnunetv2_hypersort.perturbation.assignment import assign
from nnunetv2_hypersort.perturbation.perturb import draw_error, find_spec
from nnunetv2_hypersort.perturbation.spec import load_spec

Features = dict[str, NDArray[np.float64]]
Clusterer = Callable[[NDArray[np.float64], int, int], NDArray[np.integer]]


def mask_statistics(labels: Labels, grid: Grid, values: tuple[int, ...]) -> Features:
    """Return the statistics of one label map by family, lengths in mm, along left-right, posterior-anterior, ..."""
    order = [grid.axis(axis) for axis in AXES]
    steps = np.asarray([grid.spacing[index] for index, _ in order])
    oriented = np.transpose(labels, [index for index, _ in order])
    oriented = np.flip(oriented, tuple(target for target, (_, sign) in enumerate(order) if sign < 0))
    size = np.asarray(oriented.shape) * steps
    masks = [oriented == value for value in values]
    if len(values) > 1:
        masks.append(oriented > 0)
    volumes = [float(mask.sum() * steps.prod()) for mask in masks]
    boxes = [_box(mask, steps, size) for mask in masks]
    centroids = [_centroid(mask, steps, size) for mask in masks]
    whole_centroid, (low, high) = centroids[-1], boxes[-1]
    return {
        "volume": np.asarray(
            [*np.cbrt(volumes), *(np.log((volume + 1) / (volumes[-1] + 1)) for volume in volumes[:-1])]
        ),
        "surface": np.sqrt([border_area(mask, steps) for mask in masks]),
        "extent": np.ravel([end - start for start, end in boxes]),
        "position": np.concatenate([whole_centroid - size / 2, low, size - high]),
        "centroids": np.ravel(
            [centre - size / 2 for centre in centroids[:-1]] + [centre - whole_centroid for centre in centroids[:-1]]
        ),
    }


def mask_table(raw: Path, cases: Sequence[str]) -> NDArray[np.float64]:
    """All statistics of the training labels of a raw dataset, shape (cases, features)."""
    dataset = open_dataset(raw)
    rows = []
    for case in cases:
        file = read_labels(dataset.cases[case].label, dataset.content, dataset.table)
        rows.append(np.hstack(list(mask_statistics(file.labels, file.grid, dataset.table.foreground).values())))
    return np.stack(rows)


def _box(mask: Mask, steps: NDArray[np.float64], size: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    # A label that is absent sits, without extent, in the image centre: a number that clustering can work with.
    if not mask.any():
        return size / 2, size / 2
    occupied = np.argwhere(mask)
    return occupied.min(axis=0) * steps, (occupied.max(axis=0) + 1) * steps


def _centroid(mask: Mask, steps: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    return (np.argwhere(mask).mean(axis=0) + 0.5) * steps if mask.any() else size / 2


def _mixture(covariance: str) -> Clusterer:
    def cluster(features: NDArray[np.float64], count: int, seed: int) -> NDArray[np.integer]:
        # The floor on the variances keeps a full covariance of many features from collapsing onto a few cases.
        model = GaussianMixture(count, covariance_type=covariance, n_init=3, reg_covar=1e-3, random_state=seed)
        return np.asarray(model.fit_predict(features))

    return cluster


CLUSTERERS: dict[str, Clusterer] = {
    "gmm_full": _mixture("full"),
    "gmm_diag": _mixture("diag"),
    "kmeans": lambda features, count, seed: KMeans(count, n_init=10, random_state=seed).fit_predict(features),
}


def supervised(features: NDArray[np.float64], styles: NDArray[np.integer], seed: int) -> NDArray[np.integer]:
    """Return for each case the style that logistic regression predicts from the other folds' cases."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(model, features, styles, cv=folds))


def measure(source: Path, spec_name: str, seeds: list[int]) -> dict[str, dict[str, list[float]]]:
    """Return ARI by feature family and method, one value per seed."""
    dataset, spec = open_dataset(source), load_spec(find_spec(spec_name))
    spec.check_labels(dataset.table)
    values = dataset.table.foreground
    read = {name: dataset.labels_of(name) for name in dataset.cases}
    drawn = {
        name: [style.apply(file.labels, file.grid, dataset.table) for style in spec.styles]
        for name, file in read.items()
    }
    clean = {name: [mask_statistics(each, read[name].grid, values) for each in maps] for name, maps in drawn.items()}
    scores: dict[str, dict[str, list[float]]] = {}
    for seed in seeds:
        assignments = assign(list(dataset.cases), spec, seed)
        rows = []
        for each in assignments:
            row = clean[each.case][each.style]
            if each.error is not None:
                grid = read[each.case].grid
                wrong = draw_error(drawn[each.case][each.style], grid, dataset, spec, each, seed)
                row = mask_statistics(wrong, grid, values)
            rows.append(row)
        styles = np.asarray([each.style for each in assignments])
        right = np.asarray([each.error is None for each in assignments])
        families = {family: np.stack([row[family] for row in rows]) for family in rows[0]}
        families["all"] = np.hstack(list(families.values()))
        for family, features in families.items():
            found = scores.setdefault(family, {})
            for method, cluster in CLUSTERERS.items():
                # Outliers spoil clusters; so the same once more as if all planted errors had been found and removed.
                for suffix, kept in (("", np.ones_like(right)), ("_without_errors", right)):
                    clusters = cluster(StandardScaler().fit_transform(features[kept]), len(spec.styles), seed)
                    score = adjusted_rand_score(styles[kept][right[kept]], clusters[right[kept]])
                    found.setdefault(method + suffix, []).append(float(score))
            told = supervised(features[right], styles[right], seed)
            found.setdefault("supervised", []).append(float(adjusted_rand_score(styles[right], told)))
    return scores


def main() -> None:
    """Measure, print a table of medians, and write every value as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("source", type=Path, help="raw nnU-Net dataset as drawn")
    parser.add_argument("--spec", required=True, help="YAML spec or name of a shipped one")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--json", type=Path, help="write ARI by family, method and seed")
    args = parser.parse_args()
    scores = measure(args.source, args.spec, args.seeds)
    methods = list(next(iter(scores.values())))
    print(f"ARI, median over {len(args.seeds)} seeds")
    print("| features | " + " | ".join(methods) + " |")
    print("|---" * (len(methods) + 1) + "|")
    for family, found in scores.items():
        print(f"| {family} | " + " | ".join(f"{np.median(found[method]):.2f}" for method in methods) + " |")
    if args.json:
        write_json(args.json, {"spec": Path(args.spec).stem, "seeds": args.seeds, "ari": scores})


if __name__ == "__main__":
    # scikit-learn warns where a mixture has not converged; its best start is kept, as in any use of it.
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)
    main()
