"""Commands that are printed to be typed in survive a shell, whatever the names in them."""

import argparse
import shlex
from pathlib import Path
from types import SimpleNamespace

from nnunetv2_hypersort.cli import export, fit, pretrained, styles
from nnunetv2_hypersort.handover.export import ExportedStyle
from nnunetv2_hypersort.latents.styles_file import StylesFile
from nnunetv2_hypersort.report.tables import shown_ranking
from nnunetv2_hypersort.styles.known_styles import known_styles

ODD = "/data/it's a $HOME (1)/model"


def words_after(text, command):
    """Return what a shell makes of the line from `command` on."""
    [line] = [line for line in text.splitlines() if command in line]
    return shlex.split(line[line.index(command) :])


def test_pretrained(monkeypatch, capsys):
    monkeypatch.setattr(
        "nnunetv2_hypersort.trainers.hypersort.pretrained.write_pretrained_weights", lambda *_, **__: []
    )
    monkeypatch.setenv("nnUNet_extTrainer", "")
    pretrained.run(argparse.Namespace(source="s", o=ODD, d="Dataset004_A b", c="3d_fullres", p="my plans", tr="T"))
    words = words_after(capsys.readouterr().out, "nnUNetv2_train")
    assert words[:3] == ["nnUNetv2_train", "Dataset004_A b", "3d_fullres"]
    assert words[-1] == ODD
    assert "my plans" in words


def test_styles(monkeypatch, capsys):
    style = SimpleNamespace(folds=("0", "1"), name="with vessels; wide")
    found = SimpleNamespace(to_text=lambda: "", styles=[SimpleNamespace(style=style)])
    monkeypatch.setattr("nnunetv2_hypersort.styles.finding.find_styles", lambda *_, **__: found)
    monkeypatch.setattr("nnunetv2_hypersort.styles.find_styles", lambda *_, **__: found, raising=False)
    styles.run(argparse.Namespace(model=ODD, f=None, chk="c", cases=0, device="cpu", by=None, table=None, subject=None))
    words = words_after(capsys.readouterr().out, "hypersort predict")
    assert words == [
        "hypersort",
        "predict",
        "-m",
        ODD,
        "-f",
        "0",
        "1",
        "-i",
        "IN",
        "-o",
        "OUT",
        "--latent",
        f"style:{style.name}",
    ]


def test_fit(monkeypatch, capsys):
    monkeypatch.setattr("nnunetv2_hypersort.fitting.fit.fit_latents", lambda *_, **__: SimpleNamespace(markdown=str))
    keys = ("model", "images", "labels", "shared", "partly_annotated", "annotated", "cases", "f", "chk", "beyond", "o")
    fit.run(argparse.Namespace(**dict.fromkeys(keys), device="cpu", save_as="of a stranger"))
    assert words_after(capsys.readouterr().out, "hypersort predict")[3] == "style:of a stranger"


def test_export(monkeypatch, capsys):
    exported = ExportedStyle(Path("x"), "Dataset004_A b", "my plans", "3d_fullres", (), {}, ())
    monkeypatch.setattr("nnunetv2_hypersort.handover.export.export_style", lambda *_, **__: exported)
    keys = ("model", "style", "f", "chk", "np")
    export.run(argparse.Namespace(**dict.fromkeys(keys), device="cpu", no_validation=True, o=ODD))
    said = capsys.readouterr().out
    assert words_after(said, "nnUNet_results=")[0] == f"nnUNet_results={ODD}:"
    for command in ("nnUNetv2_predict", "nnUNetv2_export_model_to_zip"):
        assert words_after(said, command)[1:7] == ["-d", "Dataset004_A b", "-c", "3d_fullres", "-p", "my plans"]


def test_a_note_of_the_report():
    (note,) = shown_ranking(Path(ODD))[-1]
    assert shlex.split(note.command)[2:] == [ODD]


def test_a_note_about_styles():
    (said,) = known_styles(SimpleNamespace(path=Path(ODD), folds=(), styles=StylesFile()))[1]
    assert shlex.split(said.split("`")[1])[2:] == [ODD]
