"""The campaign of faults in its short form: nothing is lost, and nothing wrong is believed."""

import os
from pathlib import Path

import pytest

from benchmarks.fault_campaign.kills import CONFIG, MOMENTS, kill_trainings
from benchmarks.fault_campaign.mutations import mutate_files
from benchmarks.fault_campaign.names import PLACES, attack_with_names
from benchmarks.fault_campaign.tiny_model import train_halves
from benchmarks.fault_campaign.twins import run_twins
from benchmarks.fault_campaign.verb_kills import MOMENTS as VERB_MOMENTS
from benchmarks.fault_campaign.verb_kills import kill_verbs
from benchmarks.fault_campaign.verbs import CRASHED, Outcome, prepare_inputs, write_style
from nnunetv2_hypersort.demo.phantom import write_phantom_dataset

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


@pytest.fixture
def without_model(tmp_path):
    """What verbs work on that need no model."""
    raw = tmp_path / "nnUNet_raw" / "Dataset901_Tiny"
    write_phantom_dataset(raw, training_cases=4, test_cases=1, wrong_labels=0, seed=5)
    (tmp_path / "results" / raw.name / "model").mkdir(parents=True)
    return prepare_inputs(raw, tmp_path / "results" / raw.name / "model", tmp_path / "inputs")


@pytest.fixture
def with_model(make_trainer, tmp_path):
    dataset = Path(make_trainer(CONFIG).preprocessed_dataset_folder_base)
    results = Path(os.environ["nnUNet_results"])
    results.mkdir(exist_ok=True)
    model = train_halves(dataset, results)
    write_style(model)
    return prepare_inputs(Path(os.environ["nnUNet_raw"]) / dataset.name, model, tmp_path / "inputs")


def test_datasets_are_written_by_one_of_two_and_finished_after_kills(without_model, tmp_path):
    verbs = ("perturb", "convert")
    _disturb(without_model, tmp_path, verbs, verbs)


def test_models_take_two_at_once_and_kills(with_model, tmp_path):
    _disturb(with_model, tmp_path, ("styles", "export"), ("export",))


def _disturb(inputs, folder, twins, killed):
    pairs = run_twins(1, inputs, folder / "twins", twins)
    assert pairs.failures == []
    assert {verb for verb, _ in pairs.outcomes} == set(twins)
    kills = kill_verbs(len(VERB_MOMENTS), inputs, folder / "killed", verbs=killed)
    assert kills.failures == []
    assert {moment for _, moment in kills.kills} >= set(VERB_MOMENTS[1:])


def test_lost_work_is_a_failure(without_model, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.fault_campaign.verb_kills.run", lambda *_: Outcome(CRASHED, "a traceback"))
    counts = kill_verbs(2, without_model, tmp_path / "killed", verbs=("perturb",))
    assert sum("crashed when it was run again: a traceback" in failure for failure in counts.failures) == 2
    assert any(" is missing" in failure for failure in counts.failures)


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
