"""What of the latents the images do not tell."""

import numpy as np

from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.styles.clustering import FoldClusters

RNG = np.random.default_rng(3)


def record(latents: np.ndarray, images: np.ndarray | None = None, sizes: np.ndarray | None = None) -> FoldRecord:
    cases = tuple(f"case_{row}" for row in range(len(latents)))
    return FoldRecord("0", cases, latents, np.full(len(latents), 5), {}, images=images, sizes=sizes)


def test_latents_of_which_nothing_more_is_known_stay_as_they_are():
    latents = RNG.normal(size=(20, 2))
    assert np.array_equal(record(latents).beside_images(), latents)
    each_its_own, no_sizes = np.arange(1, 21), np.zeros((20, 0))
    assert np.array_equal(record(latents, each_its_own, no_sizes).beside_images(), latents)
    # A checkpoint of before: nobody looked at the images.
    assert np.array_equal(record(latents, np.zeros(20, int), no_sizes).beside_images(), latents)


def test_two_annotators_of_the_same_images_are_two_clusters_however_images_differ():
    images = np.repeat(np.arange(1, 31), 2)
    who = np.tile([-1.0, 1.0], 30)
    latents = np.repeat(RNG.normal(size=(30, 2)) * 10, 2, axis=0) + RNG.normal(size=(60, 2)) * 0.1
    latents[:, 0] += who
    found = FoldClusters.find(record(latents, images))
    assert len(found) == 2
    assert {found.clusters[f"case_{row}"] for row in range(0, 60, 2)} == {found.clusters["case_0"]}
    assert found.clusters["case_1"] == 1 - found.clusters["case_0"]
    # Where it is not known which images are the same, their annotations lie together.
    unknown = FoldClusters.find(record(latents))
    assert unknown.clusters["case_0"] == unknown.clusters["case_1"]


def test_what_the_size_of_the_organ_explains_is_no_style():
    style = np.repeat([-1.0, 1.0], 40)
    size = RNG.normal(size=80)
    latents = np.column_stack([5 * size + RNG.normal(size=80) * 0.1, 3 * size + style + RNG.normal(size=80) * 0.1])
    rest = record(latents, np.arange(1, 81), size[:, None]).beside_images()
    assert abs(np.corrcoef(rest[:, 1], style)[0, 1]) > 0.95
    assert abs(np.corrcoef(rest.T, size)[-1, :-1]).max() < 1e-9
    # The case that joined later was not looked at, so that nothing is known of its size.
    images = np.arange(1, 81)
    images[3] = 0
    assert np.array_equal(record(latents, images, size[:, None]).beside_images()[3], latents[3])
