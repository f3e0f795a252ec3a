"""The latent of a planted style is that of the tools for the cluster that holds it."""

import numpy as np

from benchmarks.style_recovery.style_latents import latents_of_styles
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.styles import clustering as module
from nnunetv2_hypersort.styles.clustering import Clusters


def test_each_style_gets_the_latent_of_the_cluster_with_most_of_its_right_cases(trained_model, monkeypatch):
    model = ModelFolder.open(trained_model)
    fold = model.fold("0")
    # Rows are phantom_002 to phantom_009; 002 to 005 are cluster 0 and 006 to 008 cluster 1.
    clusters = Clusters(np.array([0, 0, 0, 0, 1, 1, 1, -1]), (1, 5))
    monkeypatch.setattr(module, "find_clusters", lambda _latents: clusters)
    fold_cases = fold.record.case_ids
    styles = dict(zip(fold_cases, ["wide", "wide", "wide", "thin", "thin", "thin", "wide", "far"], strict=True))
    latents = latents_of_styles(model, fold, styles, ["wide", "thin", "far", "absent"])
    assert latents["far"] is latents["absent"] is None
    np.testing.assert_array_equal(latents["wide"], fold.record.latent_of("phantom_003"))
    np.testing.assert_array_equal(latents["thin"], fold.record.latent_of("phantom_007"))
