"""Styles of a model: found, aligned, named, described, written, and predicted with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord, Style, StyleInFold
from nnunetv2_hypersort.latents.styles_file import set_styles_aside
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder, load_preprocessed
from nnunetv2_hypersort.model.case_images import evenly_spread
from nnunetv2_hypersort.prediction import predict_from_model_folder
from nnunetv2_hypersort.styles import find_styles
from nnunetv2_hypersort.styles.alignment import align_clusters
from nnunetv2_hypersort.styles.certainty import Certainty, first_axis
from nnunetv2_hypersort.styles.clustering import FoldClusters

ONE_PROCESS = {"num_processes_preprocessing": 1, "num_processes_segmentation_export": 1, "device": "cpu"}
# Even numbers are one style, odd ones the other; phantom_000 and phantom_001 are unusual.
MEDOIDS = {0: "phantom_006", 1: "phantom_005"}


def synthetic_record(fold: int, truth: np.ndarray, seed: int) -> FoldRecord:
    """Latents of 80 % of the cases in groups of Gaussians, which lie elsewhere in each fold."""
    rng = np.random.default_rng(seed)
    centres = rng.permutation([[0, 0], [3, 0], [0, 3]]) @ np.linalg.qr(rng.normal(size=(2, 2)))[0]
    rows = [row for row in range(len(truth)) if row % 5 != fold]
    latents = centres[truth[rows]] + rng.normal(0, 0.3, (len(rows), 2))
    return FoldRecord(str(fold), tuple(f"case_{row:03d}" for row in rows), latents, np.ones(len(rows), int), {})


def test_latents_with_the_same_groups_agree_over_folds_and_unrelated_ones_do_not():
    truth = np.repeat([0, 1, 2], [100, 60, 40])
    same = [FoldClusters.find(synthetic_record(fold, truth, seed=fold)) for fold in (0, 1)]
    alignment = align_clusters(same)
    assert [set(style) for style in alignment.styles] == [{"0", "1"}] * 3
    assert alignment.consistent
    assert alignment.agreement.cases == 120
    assert alignment.agreement.share >= 0.99
    assert alignment.agreement.kappa >= 0.98
    other = FoldClusters.find(synthetic_record(1, np.random.default_rng(5).permutation(truth), seed=1))
    apart = align_clusters([same[0], other])
    assert (apart.consistent, apart.styles) == (False, ())
    assert abs(apart.agreement.kappa) < 0.2


@pytest.fixture
def with_clusters(monkeypatch):
    """Let latents of the tiny model, which are too few to cluster, have the clusters that a test wants."""

    def cluster(style_of) -> None:
        def find(record: FoldRecord) -> FoldClusters:
            numbers = {case: style_of(record.fold, int(case[-3:])) for case in record.case_ids}
            count = max(numbers.values()) + 1
            medoids = [
                MEDOIDS[number]
                if numbers.get(MEDOIDS.get(number)) == number
                else next(case for case, wanted in numbers.items() if wanted == number)
                for number in range(count)
            ]
            return FoldClusters(record.fold, numbers, tuple(medoids))

        monkeypatch.setattr(FoldClusters, "find", staticmethod(find))

    return cluster


def by_parity(_fold: str, number: int) -> int:
    return -1 if number < 2 else number % 2


def test_styles_are_written_and_predict_as_their_medoids(trained_model, preprocessed, tmp_path, with_clusters, capsys):
    with_clusters(by_parity)
    plans = json.loads((trained_model / "plans.json").read_text())
    assert main(["styles", str(trained_model), "--cases", "2", "-device", "cpu"]) == 0
    printed = capsys.readouterr().out
    content = json.loads((trained_model / "styles.json").read_text())
    assert content["consistent"] is True
    assert content["agreement"]["share"] == content["agreement"]["pairs"]["0,1"]["kappa"] == 1
    # Both folds train on phantom_002 to phantom_007.
    assert content["agreement"]["cases"] == 6
    assert content["outliers"] == ["phantom_000", "phantom_001"]
    first, second = content["styles"]
    assert (first["name"], second["name"]) == ("style_a", "style_b")
    assert first["cases"] == [f"phantom_00{number}" for number in (2, 4, 6, 8)]
    assert first["folds"]["1"]["medoid"] == "phantom_006"
    assert first["folds"]["0"]["size"] == 4
    assert first["compared_with"]["style_b"]["fold"] in ("0", "1")
    assert first["description"].startswith("The most common style. Compared with style_b: ")
    assert second["description"].startswith("Compared with style_a: ")
    for said in (first["description"], second["description"], "100.0 % of 6 comparisons", "phantom_000, phantom_001"):
        assert said in printed

    book = ModelFolder.open(trained_model).book
    assert book.names == ("style_a", "style_b")
    assert all(book.find("style_b").serves(fold.record) for fold in ModelFolder.open(trained_model).folds)
    written = json.loads((trained_model / "plans.json").read_text())
    del written["hypersort"]["styles"]
    assert written == plans

    images = preprocessed / "nnUNet_raw" / "Dataset901_Tiny" / "imagesTs"
    threads = torch.get_num_threads()
    command = ["predict", "-m", str(trained_model), "-i", str(images), "-f", "0", "1", "-device", "cpu"]
    try:
        status = main([*command, "-o", str(tmp_path / "style"), "--latent", "style:style_b", "-npp", "1", "-nps", "1"])
    finally:
        torch.set_num_threads(threads)  # nnU-Net's command takes all
    assert status == 0
    # Both folds have the same medoid, so this is the same ensemble by another name.
    predict_from_model_folder(
        trained_model, images, tmp_path / "case", latent="case:phantom_005", folds=(0, 1), **ONE_PROCESS
    )
    (by_style,), (by_case,) = ((tmp_path / name).glob("*.nii.gz") for name in ("style", "case"))
    read = [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))) for path in (by_style, by_case)]
    np.testing.assert_array_equal(*read)


def test_styles_of_folds_that_are_left_out_are_missed(trained_model, with_clusters):
    with_clusters(by_parity)
    find_styles(trained_model, cases=0)
    with pytest.warns(UserWarning, match="no longer serve fold 1"):
        find_styles(trained_model, folds=[0], cases=0)


def test_a_second_run_keeps_names_and_fitted_styles(trained_model, with_clusters):
    with_clusters(by_parity)
    assert find_styles(trained_model, cases=0).names == ("style_a", "style_b")
    model = ModelFolder.open(trained_model)
    fitted = Style("mine", {"0": StyleInFold((0.5, 0.5), None, model.fold(0).record.fingerprint)}, (), "fitted")
    # A training start rewrites plans.json; a fitted style may be added after it.
    set_styles_aside(model.path)
    model.write_book(type(model.book)((fitted,)))
    with_clusters(lambda _fold, number: (number + 1) % 2)
    assert set(find_styles(trained_model, cases=0).names) == {"style_a", "style_b"}
    book = ModelFolder.open(trained_model).book
    assert book.find("mine") == fitted
    assert "phantom_004" in book.find("style_a").cases
    assert book.find("style_a").folds["0"].cluster == 1


def test_a_style_renamed_in_the_file_keeps_its_name_or_is_refused(trained_model, with_clusters):
    with_clusters(by_parity)
    find_styles(trained_model, cases=0)
    file = trained_model / "styles.json"
    written = file.read_text()
    file.write_text(written.replace("style_a", "surgeon"))
    assert set(find_styles(trained_model, cases=0).names) == {"surgeon", "style_b"}
    file.write_text(written.replace("style_a", "our surgeon"))
    with pytest.raises(HyperSORTError, match=r"styles\.json: 'our surgeon' cannot be the name of a style; use letters"):
        find_styles(trained_model, cases=0)
    assert "our surgeon" in file.read_text()


def test_clusters_that_do_not_match_are_left_as_they_are(trained_model, with_clusters):
    with_clusters(lambda fold, number: number % 2 if fold == "0" else int(number in (2, 5, 0)))
    found = find_styles(trained_model, cases=0)
    assert not found.alignment.consistent
    names = ("fold_0_cluster_0", "fold_0_cluster_1", "fold_1_cluster_0", "fold_1_cluster_1")
    assert (found.names, found.unmatched) == (names, names)
    assert "NO CONSISTENT MATCHING" in found.to_text()
    content = json.loads((trained_model / "styles.json").read_text())
    assert content["consistent"] is False
    assert all(len(style["folds"]) == 1 for style in content["styles"])
    book = ModelFolder.open(trained_model).book
    assert book.clusters_of("1")[1].cases == ("phantom_000", "phantom_002", "phantom_005")


def test_one_fold_and_one_style(trained_model):
    found = find_styles(trained_model, folds=[1])
    assert found.names == ("style_a",)
    assert len(found.styles[0].style.cases) == 8
    assert found.styles[0].description == "The only style: the latents show no structure beyond one cluster."
    assert "Only fold 1 was looked at" in found.to_text()
    assert "Fold 1 has 8 cases; fewer than 10 are never split." in found.to_text()
    content = json.loads((trained_model / "styles.json").read_text())
    assert content["agreement"] is None
    assert content["folds"] == ["1"]


def test_one_style_says_what_would_have_been_seen(trained_model, monkeypatch):
    few = Certainty("1", 8, (), 3.5)
    monkeypatch.setattr(Certainty, "of", classmethod(lambda _cls, _record, _found: few))
    found = find_styles(trained_model, folds=[1], cases=2)
    fold = ModelFolder.open(trained_model).fold(1)
    centre, axis, spread = first_axis(fold.record.latents)
    segmenter = FoldSegmenter(ModelFolder.open(trained_model), fold, "cpu")
    model = ModelFolder.open(trained_model)
    volumes = []
    for case in evenly_spread(sorted(fold.validation_cases), 2):
        image = load_preprocessed(model, case)
        ends = [segmenter.segment_preprocessed(image, centre + side * 3.5 / 2 * spread * axis) for side in (1, -1)]
        volumes.append([[np.isin(end, values).sum() for values in model.labels.values()] for end in ends])
    # Only what both ends segment is compared, by case.
    high, low = np.moveaxis(np.array(volumes, float), 1, 0)
    both = np.minimum(high.sum(0), low.sum(0)) >= 0.05 * np.maximum(high.sum(0), low.sum(0))
    ratios = high[:, both].sum(1) / low[:, both].sum(1)
    written = json.loads((trained_model / "styles.json").read_text())["certainty"]["1"]
    assert written["told_apart_from"] == 3.5
    assert written["change"]
    if np.isfinite(ratios).all():
        assert written["volume_ratio"] == pytest.approx(np.median(ratios), abs=1e-3)
    assert f"stands for this change: {written['change']}" in found.to_text()
    assert json.loads((trained_model / "styles.json").read_text())["certainty"]["1"]["stability"] == []
    without = find_styles(trained_model, folds=[1], cases=0)
    assert without.certainty == (few,)


def test_without_preprocessed_data_the_raw_images_serve_and_then_the_labels(
    trained_model, preprocessed, tmp_path, monkeypatch, with_clusters
):
    with_clusters(by_parity)
    described = find_styles(trained_model, cases=2)
    assert described.described_from.startswith("Described from the same images segmented in each style (up to 2")
    gone = tmp_path / "gone"
    shutil.copytree(preprocessed / "nnUNet_raw", gone / "nnUNet_raw")
    monkeypatch.setenv("nnUNet_raw", str(gone / "nnUNet_raw"))
    monkeypatch.setenv("nnUNet_preprocessed", str(gone / "nnUNet_preprocessed"))
    again = find_styles(trained_model, cases=2)
    assert again.described_from == described.described_from
    assert [found.description for found in again.styles] == [found.description for found in described.styles]
    shutil.rmtree(gone / "nnUNet_raw" / "Dataset901_Tiny" / "imagesTr")
    monkeypatch.setenv("nnUNet_preprocessed", str(preprocessed / "nnUNet_preprocessed"))
    hide = Path(ModelFolder.open(trained_model).preprocessed_cases_folder())
    hide.rename(tmp_path / "hidden")
    try:
        labels = find_styles(trained_model, cases=2)
    finally:
        (tmp_path / "hidden").rename(hide)
    assert "training labels, which are of different patients" in labels.described_from
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    nothing = find_styles(trained_model, cases=2)
    assert [found.description for found in nothing.styles] == ["Not described.", "Not described."]
    assert "training labels are gone as well" in nothing.to_text()


def test_bad_models_and_arguments_are_refused_in_one_sentence(trained_model, tmp_path, capsys):
    assert main(["styles", str(tmp_path)]) == 1
    assert "give nnU-Net's trained-model folder" in capsys.readouterr().err
    assert main(["styles", str(trained_model), "-f", "3"]) == 1
    assert "no checkpoint_final.pth in fold 3" in capsys.readouterr().err
    assert main(["styles", str(trained_model), "--cases", "-1"]) == 1
    assert "--cases is -1" in capsys.readouterr().err
    assert main(["styles", str(trained_model), "-device", "abacus"]) == 1
    assert "The device abacus cannot be used" in capsys.readouterr().err
    for checkpoint in (trained_model / "fold_1").glob("checkpoint_*.pth"):
        checkpoint.unlink()
    with pytest.warns(UserWarning, match=r"Fold 1 of .* is left out"):
        assert find_styles(trained_model).folds == ("0",)
    with pytest.raises(HyperSORTError, match="There is no style style_z; the styles of this model are style_a"):
        ModelFolder.open(trained_model, folds=[0]).book.find("style_z")


def test_a_damaged_file_is_set_aside_and_what_the_plans_have_is_kept(trained_model, with_clusters):
    with_clusters(by_parity)
    find_styles(trained_model, cases=0)
    model = ModelFolder.open(trained_model)
    fitted = Style("mine", {"0": StyleInFold.of(model.fold(0).record, (0.5, 0.5))}, (), "fitted")
    model.write_book(model.book.with_style(fitted))
    damaged = (trained_model / "styles.json").read_text()[:-20]
    (trained_model / "styles.json").write_text(damaged)
    with pytest.warns(UserWarning, match=r"styles\.json cannot be read as JSON .* is kept"):
        assert find_styles(trained_model, cases=0).names == ("style_a", "style_b")
    assert ModelFolder.open(trained_model).book.find("mine") == fitted
    assert (trained_model / "styles_before.json").read_text() == damaged


def test_latents_that_were_never_trained_are_no_style(trained_model):
    for fold in (0, 1):
        path = trained_model / f"fold_{fold}" / "checkpoint_final.pth"
        content = torch.load(path, weights_only=False)
        content["network_weights"]["latents.visits"][:] = 0
        torch.save(content, path)
    with pytest.raises(HyperSORTError, match=r"Fold 0 .* nothing trained yet.* styles are not known yet"):
        find_styles(trained_model)
    assert not (trained_model / "styles.json").exists()
