"""What plain nnU-Net trains on, every trainer trains on; what cannot be trained is refused before it begins."""

import json
from pathlib import Path

import pytest

from nnunetv2_hypersort.errors import HyperSORTError

CASES = [f"phantom_{number:03d}" for number in range(10)]
CONFIG = "training: {num_epochs: 1, num_iterations_per_epoch: 1, num_val_iterations_per_epoch: 1, seed: 3}\n"


@pytest.fixture
def trainer_with_splits(make_trainer):
    def make(splits: object, *, encoding: str = "utf-8", names: dict[str, str] | None = None, fold: int = 0):
        trainer = make_trainer(CONFIG, fold=fold)
        folder = Path(trainer.preprocessed_dataset_folder_base)
        text = splits if isinstance(splits, str) else json.dumps(splits)
        (folder / "splits_final.json").write_text(text, encoding=encoding)
        for old, new in (names or {}).items():
            for file in list(Path(trainer.preprocessed_dataset_folder).glob(f"{old}*")):
                file.rename(file.with_name(file.name.replace(old, new)))
        return trainer

    return make


def test_numbers_are_taken_as_the_cases_that_they_name(trainer_with_splits):
    names = {"phantom_000": "1", "phantom_001": "2", "phantom_002": "37"}
    trainer = trainer_with_splits(
        [{"train": [1, "2", "phantom_003"], "val": [37]}, {"train": [37], "val": [1]}], names=names
    )
    trainer.on_train_start()
    assert trainer.table.case_ids == ["1", "2", "phantom_003"]
    assert {*trainer.dataloader_train.data_loader._data.identifiers} == {"1", "2", "phantom_003"}
    assert trainer._fold_record().held_out == {"0": ["37"], "1": ["1", "2", "phantom_003"]}
    trainer.train_step(next(trainer.dataloader_train))


def test_a_case_twice_or_in_both_parts_is_trained_with_a_warning(trainer_with_splits):
    trainer = trainer_with_splits([{"train": [*CASES[:4], CASES[0]], "val": [CASES[1], CASES[9]]}])
    trainer.on_train_start()
    assert trainer.table.case_ids == CASES[:4]
    # nnU-Net draws it twice as often.
    assert sorted(trainer.dataloader_train.data_loader._data.identifiers) == sorted([*CASES[:4], CASES[0]])
    log = Path(trainer.log_file).read_text()
    assert "`train` has phantom_000 more than once" in log
    assert "Some validation cases are also in the training set" in log


def test_a_byte_order_mark_is_no_fault(trainer_with_splits):
    trainer = trainer_with_splits([{"train": CASES[:4], "val": CASES[4:]}], encoding="utf-8-sig")
    assert trainer.do_split() == (CASES[:4], CASES[4:])


def test_other_folds_need_not_be_usable(trainer_with_splits):
    trainer = trainer_with_splits([{"train": CASES[:4], "val": CASES[4:]}, {"train": 5}, None])
    trainer.on_train_start()
    assert trainer._fold_record().held_out == {"0": CASES[4:]}


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (
            [{"train": CASES[:4], "val": ["phantom_04"]}],
            r"1 of the cases under `val` are not .*phantom_04",
        ),
        ([{"train": [*CASES[:4], 7], "val": CASES[4:]}], r"1 of the cases under `train` are not preprocessed \(7\)"),
        ([{"train": [], "val": CASES[4:]}], "there are no cases under `train`"),
        ([{"train": CASES[:4], "val": []}], "there are no cases under `val`"),
        ([{"train": CASES[:4]}], "`val` is not a list of case identifiers"),
        ([{"train": "phantom_001", "val": CASES[4:]}], "`train` is not a list of case identifiers"),
        ([[*CASES]], "`train` is not a list"),
        ({"0": {"train": CASES[:4], "val": CASES[4:]}}, "is not a list of folds"),
        ("[{", "cannot be read"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence_at_the_start(trainer_with_splits, splits, said):
    trainer = trainer_with_splits(splits)
    with pytest.raises(HyperSORTError, match=rf"splits_final\.json.*{said}"):
        trainer.on_train_start()
    assert not list(Path(trainer.output_folder).glob("checkpoint_*"))


def test_a_fold_beyond_the_file_is_nnunets_random_split(trainer_with_splits):
    training, validation = trainer_with_splits([{"train": CASES[:4], "val": CASES[4:]}], fold=3).do_split()
    assert len(training) == 8
    assert sorted([*training, *validation]) == CASES
