"""The report of a trained model, from its folder to the files."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.tables import read_table
from nnunetv2_hypersort.hypernetwork.conditioning.latent_table import decode_json, encode_json
from nnunetv2_hypersort.latents import StyleBook, StyleInFold
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder
from nnunetv2_hypersort.ranking.rank import rank_cases
from nnunetv2_hypersort.report import write_report
from nnunetv2_hypersort.styles import find_styles


def data_of(page: Path) -> dict[str, Any]:
    """What the scripts of a page read."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_all_parts_of_a_model_with_styles_and_ranking(styled_model: Path, tmp_path: Path) -> None:
    (styled_model / "case_ranking.csv").write_text(
        "case,quality,style,folds,reason\nphantom_006,0.9,B,0 1,\nphantom_005,0.2,,0 1,isolated latent\n"
    )
    (tmp_path / "sites.csv").write_text("case,site\nphantom_005,Ulm\nphantom_006,Bonn\n")
    options = ["-o", str(tmp_path / "out.html"), "--metadata", str(tmp_path / "sites.csv")]
    assert main(["report", str(styled_model), *options]) == 0

    data = data_of(tmp_path / "out.html")
    cases = [case["id"] for case in data["cases"]]
    # The ranked ones first, the worst before the others.
    assert cases[:2] == ["phantom_005", "phantom_006"]
    assert sorted(cases) == [f"phantom_{number:03d}" for number in range(10)]
    assert {case["id"]: case["style"] for case in data["cases"]}["phantom_004"] == 0
    assert [style["name"] for style in data["styles"]] == ["A", "B", "C"]
    assert [column["name"] for column in data["columns"]] == ["site"]
    # Where a prediction is wrong there need not be a label, and the other way round.
    assert all((case["picture"]["label"] + case["picture"]["prediction"]).startswith("M") for case in data["cases"])
    # Fold 0 knows all three styles; what it held out is phantom_000 and phantom_001.
    assert [(line["start"], line["end"]) for line in data["lines"]] == [(0, 1), (0, 2), (1, 2)]
    assert {line["case"] for line in data["lines"]} <= {"phantom_000", "phantom_001"}

    table = pd.read_csv(tmp_path / "out_cases.csv").set_index("case")
    assert table.loc["phantom_005", ["quality", "reason", "site"]].tolist() == [0.2, "isolated latent", "Ulm"]
    model = ModelFolder.open(styled_model)
    assert table.loc["phantom_003", ["fold_1_z_0", "fold_1_z_1"]].tolist() == pytest.approx(
        model.fold(1).record.latent_of("phantom_003").tolist()
    )
    assert (tmp_path / "out_latents.png").read_bytes().startswith(b"\x89PNG")


def test_volumes_along_a_line_are_those_of_the_segmentations(styled_model: Path) -> None:
    write_report(styled_model)
    line = data_of(styled_model / "report.html")["lines"][0]
    model = ModelFolder.open(styled_model)
    segmenter = FoldSegmenter(model, replace(model.fold(0), mirror_axes=None))
    for step, style in ((0, "A"), (-1, "B")):
        latent = model.book.find(style).folds["0"].coordinates
        voxels = int((segmenter.segment_preprocessed(line["case"], latent) > 0).sum())
        spacing = model.planned.configuration_manager.spacing
        expected = voxels * spacing[0] * spacing[1] * spacing[2] / 1000
        assert line["steps"][step]["volume"] == pytest.approx(expected, abs=1e-3)


def test_what_is_gone_is_named_and_the_rest_drawn(
    trained_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("nnUNet_preprocessed")
    assert main(["report", str(trained_model), "-f", "1"]) == 0
    told = capsys.readouterr().out
    assert f"hypersort styles {trained_model}" in told
    assert f"hypersort rank {trained_model}" in told
    assert "preprocessed data of Dataset901_Tiny are gone" in told
    page = (trained_model / "report.html").read_text(encoding="utf-8")
    assert "preprocessed data of Dataset901_Tiny are gone" in page
    data = data_of(trained_model / "report.html")
    assert [fold["name"] for fold in data["folds"]] == ["1"]
    assert len(data["folds"][0]["points"]) == 8
    assert len(data["folds"][0]["historyEpochs"]) > 0


def test_cases_that_are_gone_are_named_and_the_rest_drawn(trained_model: Path, tmp_path: Path) -> None:
    model = ModelFolder.open(trained_model)
    folder = model.preprocessed_cases_folder()
    assert folder is not None
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    labels = [*folder.glob("phantom_004*"), *folder.glob("phantom_005_seg*")]
    try:
        for file in labels:
            shutil.move(file, hidden / file.name)
        notes = write_report(model)[1]
    finally:
        for file in labels:
            shutil.move(hidden / file.name, file)
    assert any(note.text.startswith("2 of 10 cases cannot be shown.") for note in notes)
    pictures = {case["id"]: case["picture"] for case in data_of(trained_model / "report.html")["cases"]}
    assert sorted(case for case, picture in pictures.items() if picture is None) == ["phantom_004", "phantom_005"]


@pytest.mark.parametrize("key", ["fingerprint", "weights", "settings"])
def test_styles_of_another_training_are_not_drawn(styled_model: Path, key: str) -> None:
    model = ModelFolder.open(styled_model)
    styles = []
    for style in model.book.styles:
        there = replace(StyleInFold.of(model.fold(0).record, style.folds["0"].coordinates), **{key: "of another"})
        styles.append(replace(style, folds={**style.folds, "0": there}))
    model.write_book(StyleBook(tuple(styles)))
    notes = write_report(styled_model, minutes=0)[1]
    assert any("not known in fold 0" in note.text for note in notes)
    assert any("another checkpoint of fold 0 are not shown there" in note.text for note in notes)
    drawn = [[style["style"] for style in fold["styles"]] for fold in data_of(styled_model / "report.html")["folds"]]
    assert drawn == [[], [0, 1]]


def test_without_styles_the_latents_are_grouped_as_the_command_would(trained_model: Path) -> None:
    write_report(trained_model, minutes=0)
    before = data_of(trained_model / "report.html")
    found = find_styles(trained_model, cases=0)
    assert [style["name"] for style in before["styles"]] == list(found.names)
    write_report(trained_model, minutes=0)
    after = data_of(trained_model / "report.html")
    assert [case["style"] for case in before["cases"]] == [case["style"] for case in after["cases"]]


def test_report_ranking_and_styles_say_the_same_of_each_case(styled_model: Path) -> None:
    ranked = {case.case: case.style for case in rank_cases(styled_model, predict=False, progress=False).cases}
    data = data_of(write_report(styled_model, minutes=0)[0][0])
    names = [style["name"] for style in data["styles"]]
    assert {case["id"]: names[case["style"]] if case["style"] >= 0 else "" for case in data["cases"]} == ranked
    # A ranking of before does not bring back what a style has lost.
    model = ModelFolder.open(styled_model)
    model.write_book(StyleBook(tuple(replace(style, cases=style.cases[1:]) for style in model.book.styles)))
    data = data_of(write_report(styled_model, minutes=0)[0][0])
    lost = {case["id"] for case in data["cases"] if case["style"] < 0 and ranked[case["id"]]}
    assert lost == {"phantom_002", "phantom_006", "phantom_008"}


def test_descriptions_come_from_the_styles_file(styled_model: Path) -> None:
    content = json.loads((styled_model / "styles.json").read_text())
    next(entry for entry in content["styles"] if entry["name"] == "B")["description"] = "12 % more volume"
    (styled_model / "styles.json").write_text(json.dumps(content))
    write_report(styled_model, minutes=0)
    styles = {style["name"]: style for style in data_of(styled_model / "report.html")["styles"]}
    assert styles["B"]["description"] == "12 % more volume"
    places = [(there["fold"], there["medoid"]) for there in styles["B"]["folds"]]
    assert places == [("0", "phantom_006"), ("1", "phantom_006")]
    (styled_model / "styles.json").write_text("{")
    with pytest.raises(HyperSORTError, match=r"styles\.json cannot be read as JSON .*`hypersort styles"):
        write_report(styled_model, minutes=0)


@pytest.mark.parametrize("case", ["a\u2028b", "a\u0085b", "a\rb", " a ", b"a\xff".decode(errors="surrogateescape")])
def test_awkward_names_stay_in_one_row_of_every_table(trained_model: Path, case: str) -> None:
    for path in trained_model.glob("fold_*/checkpoint_final.pth"):
        content = torch.load(path, weights_only=False)
        weights = content["network_weights"]
        ids = [case if name == "phantom_005" else name for name in decode_json(weights["latents.encoded_ids"])]
        weights["latents.encoded_ids"] = encode_json(ids)
        torch.save(content, path)
    find_styles(trained_model, cases=0)
    ranking = rank_cases(trained_model, predict=False, progress=False)
    page, _, table = write_report(trained_model, minutes=0)[0]
    assert sorted(one.case for one in ranking.cases) == sorted(one["id"] for one in data_of(page)["cases"])
    assert case in [one["id"] for one in data_of(page)["cases"]]
    rows = read_table(table, ("case",)).rows
    assert len(rows) == len({row["case"] for row in rows}) == 10
    assert {row["case"] for row in rows} == {one.case for one in ranking.cases}
    assert all(row["quality"] for row in rows)


@pytest.mark.parametrize("minutes", [-3.0, float("nan"), float("inf")])
def test_time_for_pictures_is_a_time(trained_model: Path, minutes: float) -> None:
    with pytest.raises(HyperSORTError, match="minutes for pictures cannot be; give 0 or more"):
        write_report(trained_model, minutes=minutes)


def test_an_earlier_report_is_replaced_and_nothing_else(trained_model: Path, tmp_path: Path) -> None:
    files = write_report(trained_model, tmp_path / "out.html", minutes=0)[0]
    assert write_report(trained_model, tmp_path / "out.html", minutes=0)[0] == files
    (tmp_path / "thesis.html").write_text("<h1>mine</h1>")
    (tmp_path / "my_cases.csv").write_text("case,site\n")
    for name, taken in (("thesis.html", "thesis.html"), ("my.html", "my_cases.csv")):
        with pytest.raises(HyperSORTError, match=f"{taken} exists and is not of an earlier report"):
            write_report(trained_model, tmp_path / name, minutes=0)
    assert (tmp_path / "thesis.html").read_text() == "<h1>mine</h1>"
    with pytest.raises(HyperSORTError, match=r"give it the ending \.html"):
        write_report(trained_model, tmp_path / "labels.nii.gz")
    with pytest.raises(HyperSORTError, match="There is no folder"):
        write_report(trained_model, tmp_path / "absent" / "out.html")
