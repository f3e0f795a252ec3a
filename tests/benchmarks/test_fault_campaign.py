"""The campaign of faults in its short form: nothing is lost, and nothing wrong is believed."""

import os
from pathlib import Path

import pytest

from benchmarks.fault_campaign.kills import CONFIG, MOMENTS, kill_trainings
from benchmarks.fault_campaign.mutations import mutate_files
from benchmarks.fault_campaign.names import PLACES, attack_with_names

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the campaign needs Linux")


def test_killed_trainings_go_on_where_they_were(make_trainer):
    trainer = make_trainer(CONFIG)
    dataset = Path(trainer.preprocessed_dataset_folder_base)
    counts = kill_trainings(2 * (len(MOMENTS) - 1), dataset, Path(os.environ["nnUNet_results"]))
    assert counts.failures == []
    assert set(counts.kills) == set(MOMENTS)
    assert counts.continued > 0


def test_damaged_files_are_refused_or_make_no_difference(trained_model, tmp_path):
    counts = mutate_files(100, trained_model, tmp_path / "mutated")
    assert counts.failures == []
    assert counts.outcomes.total() == 100
    assert {outcome for _, _, outcome in counts.outcomes} == {"refused", "the same model"}


def test_a_difference_that_is_believed_is_a_failure(trained_model, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.fault_campaign.mutations._damaged", lambda content, draw: ("none", content))
    monkeypatch.setattr("benchmarks.fault_campaign.mutations._same", lambda here, there: False)
    monkeypatch.setattr("benchmarks.fault_campaign.mutations.load_settings", lambda path: 1 / 0)
    counts = mutate_files(20, trained_model, tmp_path / "mutated")
    assert sum("another model" in failure for failure in counts.failures) == 18
    assert sum("ZeroDivisionError" in failure for failure in counts.failures) == 2


def test_hostile_names_are_refused_or_make_no_difference(trained_model, tmp_path):
    counts = attack_with_names(10, trained_model, tmp_path / "named")
    assert counts.failures == []
    assert counts.outcomes.total() == 10
    assert sum(number for (_, _, outcome), number in counts.outcomes.items() if outcome == "refused") >= 6


def test_a_name_that_is_followed_is_a_failure(trained_model, tmp_path, monkeypatch):
    import pickle

    cases = [place for place in PLACES if place[2] == "pickle"]
    monkeypatch.setattr("nnunetv2_hypersort.nnunet.case_properties._Properties", pickle.Unpickler)
    counts = attack_with_names(4, trained_model, tmp_path / "unpickled", places=cases)
    assert any("wrote ['mark']" in failure for failure in counts.failures)
    endings = [place for place in PLACES if place[1] == ("dataset_name",)]
    monkeypatch.setattr("nnunetv2_hypersort.nnunet.names.is_path_part", lambda name: True)
    counts = attack_with_names(4, trained_model, tmp_path / "led out", places=endings)
    assert any("dataset_name of plans.json" in failure for failure in counts.failures)
