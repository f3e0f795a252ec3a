"""Surface metrics against DeepMind's surface-distance, brute force, and MONAI's own functions."""

import itertools
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from nnunetv2_hypersort.evaluation.surface import compute_surface_scores

SEEDS = range(30)


def make_masks(seed: int, num_axes: int = 3) -> tuple[NDArray[np.bool_], NDArray[np.bool_], tuple[float, ...], float]:
    """Two blobs that overlap in part, some at the border of the image, with anisotropic spacing and a tolerance."""
    generator = np.random.default_rng(seed)
    shape = generator.integers(6, 16, num_axes)
    axes = np.indices(shape)
    masks = []
    for _ in range(2):
        centre = generator.uniform(0, shape)
        radii = generator.uniform(1.5, shape / 1.5)
        distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True))
        mask = distance + generator.normal(0, 0.3, shape) < 1
        mask.flat[generator.integers(mask.size)] = True
        masks.append(mask)
    spacing = tuple(float(s) for s in generator.uniform(0.4, 5.0, num_axes))
    return masks[0], masks[1], spacing, float(generator.uniform(0.0, 6.0))


def find_surface(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Indices of the foreground voxels with a background voxel, or the outside, across one of their faces."""
    surface = []
    for index in map(tuple, np.argwhere(mask)):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            neighbour = list(index)
            neighbour[axis] += step
            inside = 0 <= neighbour[axis] < mask.shape[axis]
            if not inside or not mask[tuple(neighbour)]:
                surface.append(index)
                break
    return np.array(surface, dtype=np.float64)


@pytest.mark.parametrize("num_axes", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_hd95_and_asd_equal_brute_force(seed: int, num_axes: int) -> None:
    reference, prediction, spacing, tolerance = make_masks(seed, num_axes)
    distances = cdist(find_surface(prediction) * spacing, find_surface(reference) * spacing)
    to_reference, to_prediction = distances.min(axis=1), distances.min(axis=0)
    scores = compute_surface_scores(reference, prediction, spacing=spacing, nsd_tolerance=tolerance)
    hd95 = max(np.percentile(to_reference, 95), np.percentile(to_prediction, 95))
    assert scores.hd95 == pytest.approx(hd95, abs=1e-4)
    assert scores.asd == pytest.approx(np.concatenate([to_reference, to_prediction]).mean(), abs=1e-4)


@pytest.mark.parametrize("num_axes", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_nsd_equals_deepmind(seed: int, num_axes: int) -> None:
    surface_distance = pytest.importorskip("surface_distance")
    reference, prediction, spacing, tolerance = make_masks(seed, num_axes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses old names of SciPy
        distances = surface_distance.compute_surface_distances(reference, prediction, spacing)
    expected = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance)
    scores = compute_surface_scores(reference, prediction, spacing=spacing, nsd_tolerance=tolerance)
    assert scores.nsd == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("num_axes", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_scores_are_those_of_monai_on_the_full_volume(seed: int, num_axes: int) -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    reference, prediction, spacing, tolerance = make_masks(seed, num_axes)
    full = [torch.from_numpy(np.pad(mask, 5))[None, None] for mask in (prediction, reference)]
    options = {"include_background": True, "spacing": list(spacing)}
    scores = compute_surface_scores(reference, prediction, spacing=spacing, nsd_tolerance=tolerance)
    expected = [
        metrics.compute_hausdorff_distance(*full, percentile=95, **options),
        metrics.compute_surface_dice(*full, class_thresholds=[tolerance], use_subvoxels=True, **options),
        metrics.compute_average_surface_distance(*full, symmetric=True, **options),
    ]
    assert [scores.hd95, scores.nsd, scores.asd] == pytest.approx([float(value) for value in expected], abs=1e-5)


@pytest.mark.parametrize(
    ("spacing", "voxel_centres", "surface_elements"),
    [((1.0, 1.0, 1.0), (3.00, 1.44), (2.83, 1.16)), ((3.0, 1.0, 1.0), (6.34, 2.23), (5.83, 1.53))],
)
def test_the_two_conventions_differ_as_documented(
    spacing: tuple[float, ...], voxel_centres: tuple[float, float], surface_elements: tuple[float, float]
) -> None:
    # HD95 and ASD of a ball of radius 10 voxels and the same ball moved by 3 voxels; the figures of docs/evaluate.md.
    surface_distance = pytest.importorskip("surface_distance")
    axes = np.indices((40, 40, 40))
    first = ((axes - 18) ** 2).sum(axis=0) <= 100
    second = np.roll(first, 3, 0)
    scores = compute_surface_scores(first, second, spacing=spacing, nsd_tolerance=1.0)
    assert (scores.hd95, scores.asd) == pytest.approx(voxel_centres, abs=0.005)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        distances = surface_distance.compute_surface_distances(first, second, spacing)
    hd95 = surface_distance.compute_robust_hausdorff(distances, 95)
    asd = np.mean(surface_distance.compute_average_surface_distance(distances))
    assert (hd95, asd) == pytest.approx(surface_elements, abs=0.005)
