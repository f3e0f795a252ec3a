"""How far a fold has come, told from its checkpoints."""

import shutil
import warnings

import pytest
import torch

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.fitting.fit import fit_latents
from nnunetv2_hypersort.handover.export import export_style
from nnunetv2_hypersort.handover.harmonise import harmonise_labels
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.model.progress import Progress, Stage, progress_of_fold
from nnunetv2_hypersort.ranking.rank import rank_cases
from nnunetv2_hypersort.report import write_report
from nnunetv2_hypersort.styles import find_styles

LATEST = "checkpoint_latest.pth"


def leave_unfinished(model_folder, folds=(0, 1), **weights):
    """Make the final checkpoints of folds the latest ones of a training that was stopped, with some other weights."""
    for fold in folds:
        folder = model_folder / f"fold_{fold}"
        content = torch.load(folder / "checkpoint_final.pth", weights_only=False)
        state = content["network_weights"]
        state.pop("checksum", None)
        for name, value in weights.items():
            key = {"counts": "case_gradients.counts"}.get(name, f"latents.{name}")
            state[key] = value(state) if callable(value) else value
        content["current_epoch"] = 7
        for checkpoint in folder.glob("checkpoint_*.pth"):
            checkpoint.unlink()
        torch.save(content, folder / LATEST)


def visited(steps):
    return lambda state: torch.full_like(state["latents.steps"], steps)


@pytest.mark.parametrize(
    ("weights", "stage"),
    [
        ({"visits": lambda state: torch.zeros_like(state["latents.visits"])}, Stage.NOTHING),
        ({"counts": torch.ones(8, dtype=torch.int64)}, Stage.WARM_UP),
        ({"steps": visited(10)}, Stage.PLACED),
        # At least 1,500 steps with 2 of the 8 cases each: 375 visits.
        ({"steps": visited(374)}, Stage.PLACED),
        ({"steps": visited(375)}, Stage.SETTLED),
    ],
)
def test_the_stage_of_a_checkpoint(trained_model, weights, stage):
    leave_unfinished(trained_model, (0,), **weights)
    assert progress_of_fold(trained_model / "fold_0") == Progress(stage, 7, LATEST)


def test_a_finished_fold_and_one_that_was_not_begun(trained_model):
    assert progress_of_fold(trained_model / "fold_0") == Progress(Stage.FINISHED, 1, "checkpoint_final.pth")
    assert progress_of_fold(trained_model / "fold_4") == Progress(Stage.NOTHING)


def test_verbs_that_look_take_the_newest_checkpoint_and_mark_what_they_write(trained_model, capsys):
    leave_unfinished(trained_model)
    mark = r"PROVISIONAL: fold 0 .*is at epoch 7 \(checkpoint_latest\.pth\), the latents have places but still move"
    with pytest.warns(UserWarning, match=mark):
        found = find_styles(trained_model, cases=0)
    assert found.to_text().startswith("PROVISIONAL: fold 0 is at epoch 7")
    styles = ModelFolder.open(trained_model, unfinished=True).styles
    assert set(styles.provisional) == {"0", "1"}
    with pytest.warns(UserWarning, match=mark):
        assert main(["rank", str(trained_model), "--no-predictions", "-device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("PROVISIONAL: fold 0 is at epoch 7")
    header, first, *_ = (trained_model / "case_ranking.csv").read_text().splitlines()
    assert header.endswith(",provisional")
    assert "fold 0: epoch 7" in first
    with pytest.warns(UserWarning, match=mark):
        (page, _, table), notes = write_report(trained_model, minutes=0)
    assert notes[0].text.startswith("PROVISIONAL: fold 0 is at epoch 7")
    assert 'id="provisional"' in page.read_text()
    assert table.read_text().splitlines()[0].endswith(",provisional")


def test_of_a_finished_training_nothing_is_marked(trained_model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_styles(trained_model, cases=0).provisional == {}
    rank_cases(trained_model, predict=False, progress=False)
    assert "provisional" not in (trained_model / "case_ranking.csv").read_text()
    (page, _, table), notes = write_report(trained_model, minutes=0)
    assert 'id="provisional"' not in page.read_text()
    assert "provisional" not in table.read_text()
    assert not any("PROVISIONAL" in note.text for note in notes)


def test_verbs_that_hand_over_want_the_checkpoint_named(trained_model, tmp_path):
    leave_unfinished(trained_model)
    calls = (
        lambda: export_style(trained_model, "style_a", tmp_path / "out"),
        lambda: harmonise_labels(trained_model, "style_a", tmp_path / "Dataset950_New"),
        lambda: fit_latents(trained_model, tmp_path, tmp_path),
    )
    for call in calls:
        with pytest.raises(
            HyperSORTError, match=r"no checkpoint_final\.pth .*Fold 0 is at epoch 7 \(checkpoint_latest\.pth\).*`-chk`"
        ):
            call()
    assert list(tmp_path.glob("out*")) == list(tmp_path.glob("Dataset950*")) == []


def test_before_latents_have_places_nothing_is_said_of_styles(trained_model, tmp_path):
    leave_unfinished(trained_model, counts=torch.ones(8, dtype=torch.int64), values=torch.zeros(8, 2))
    said = r"Fold 0 .* is at epoch 7 .*warm-up.* not known yet"
    with pytest.warns(UserWarning, match="PROVISIONAL"), pytest.raises(HyperSORTError, match=said):
        find_styles(trained_model)
    for call in (
        lambda: export_style(trained_model, "style_a", tmp_path, checkpoint_name=LATEST),
        lambda: harmonise_labels(trained_model, "style_a", tmp_path / "Dataset950_New", checkpoint_name=LATEST),
        lambda: fit_latents(trained_model, tmp_path, tmp_path, checkpoint_name=LATEST),
    ):
        with pytest.raises(HyperSORTError, match=f"{said}|There is no style style_a"):
            call()
    with pytest.warns(UserWarning, match="PROVISIONAL"):
        ranking = rank_cases(trained_model, predict=False, progress=False)
    assert all(case.isolation_z != case.isolation_z and case.loss_z == case.loss_z for case in ranking.cases)
    assert {case.style for case in ranking.cases} == {""}
    assert any("in the warm-up" in note and "not known" in note for note in ranking.notes)
    with pytest.warns(UserWarning, match="PROVISIONAL"):
        notes = write_report(trained_model, minutes=0)[1]
    assert any("latents of fold 0 mean nothing yet" in note.text for note in notes)


def test_a_fold_without_places_is_left_out_of_the_styles_of_others(trained_model):
    leave_unfinished(trained_model, (1,), counts=torch.ones(8, dtype=torch.int64))
    with pytest.warns(UserWarning, match="Fold 1 of .* in the warm-up.* left out"):
        assert find_styles(trained_model, folds=[0, 1], cases=0).folds == ("0",)


def test_a_checkpoint_in_the_folder_of_another_fold_is_refused(trained_model):
    shutil.copy(trained_model / "fold_1" / "checkpoint_final.pth", trained_model / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(HyperSORTError, match="is a checkpoint of fold 1"):
        ModelFolder.open(trained_model)
