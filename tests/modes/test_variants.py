"""nnU-Net's trainer variants with latents."""

import pickle

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.primus.primus_trainers import nnUNet_Primus_S_Trainer
from nnunetv2.training.nnUNetTrainer.variants.lr_schedule.nnUNetTrainer_warmup import nnUNetTrainer_warmup
from nnunetv2.training.nnUNetTrainer.variants.lr_schedule.nnUNetTrainerCosAnneal import nnUNetTrainerCosAnneal
from nnunetv2.training.nnUNetTrainer.variants.network_architecture.nnUNetTrainerBN import nnUNetTrainerBN
from nnunetv2.training.nnUNetTrainer.variants.optimizer.nnUNetTrainerAdam import nnUNetTrainerAdam
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from tiny_datasets import SPLITS
from tiny_nnunet import SHORT, read_segmentations

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort import variants

VARIANTS = sorted(name for name in vars(variants) if name.startswith("HyperSORTTrainer") and name != "HyperSORTTrainer")


def transforms_of(trainer):
    rotation, dummy_2d, initial_patch_size, mirror_axes = (
        trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    )
    patch_size = trainer.configuration_manager.patch_size
    transforms = trainer.get_training_transforms(
        patch_size, rotation, None, mirror_axes, dummy_2d, is_cascaded=False, foreground_labels=(1, 2)
    )
    named = [
        (type(transform).__name__, type(getattr(transform, "transform", None)).__name__)
        for transform in transforms.transforms
    ]
    return rotation, dummy_2d, list(initial_patch_size), mirror_axes, named


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_found_and_is_nnunets(tiny_nnunet, name):
    # Thin slices, so that the variant without the 2-D augmentation that they get differs from others.
    nnunet = tiny_nnunet("anisotropic")
    found = recursive_find_trainer_class_by_name(name)
    assert recursive_find_trainer_class_by_name(name) is found is pickle.loads(pickle.dumps(found))
    stock = recursive_find_trainer_class_by_name(name.replace("HyperSORTTrainer", "nnUNetTrainer"))
    ours, theirs = nnunet.trainer(None, kind=found), nnunet.trainer(None, kind=stock)
    assert ours.output_folder != theirs.output_folder
    for setting in (
        "num_epochs",
        "enable_deep_supervision",
        "probabilistic_oversampling",
        "oversample_foreground_percent",
        "initial_lr",
    ):
        assert getattr(ours, setting) == getattr(theirs, setting), setting
    assert transforms_of(ours) == transforms_of(theirs)
    assert ours.inference_allowed_mirroring_axes == theirs.inference_allowed_mirroring_axes
    losses = [trainer._build_loss() for trainer in (ours, theirs)]
    assert repr(losses[0]) == repr(losses[1])
    assert getattr(losses[0], "weight_factors", None) == getattr(losses[1], "weight_factors", None)


def test_variants_differ_from_the_plain_trainer(tiny_nnunet):
    nnunet = tiny_nnunet("anisotropic")
    plain = nnunet.trainer(None)
    seen = {}
    for name in VARIANTS:
        trainer = nnunet.trainer(None, kind=getattr(variants, name))
        sampling = (trainer.probabilistic_oversampling, trainer.enable_deep_supervision)
        seen[name] = repr((trainer.num_epochs, sampling, transforms_of(trainer), trainer._build_loss()))
    sampling = (plain.probabilistic_oversampling, plain.enable_deep_supervision)
    seen["plain"] = repr((plain.num_epochs, sampling, transforms_of(plain), plain._build_loss()))
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize(
    "name", [name for name in VARIANTS if not name.removesuffix("_NoMirroring").endswith("epochs")]
)
def test_a_variant_trains(tiny_nnunet, name):
    trainer = tiny_nnunet().trainer(SHORT, kind=getattr(variants, name))
    trainer.run_training()
    assert np.isfinite(trainer.logger.get_value("train_losses", None)).all()
    assert (trainer.table.visits > 0).any()


def test_a_variant_without_mirroring_predicts_without(tiny_nnunet, tmp_path):
    nnunet = tiny_nnunet()
    trainer = nnunet.trainer(SHORT, kind=variants.HyperSORTTrainerNoMirroring)
    trainer.run_training()
    trainer.perform_actual_validation()
    model = nnunet.model(trainer="HyperSORTTrainerNoMirroring")
    stored = torch.load(model / "fold_0" / "checkpoint_final.pth", weights_only=False)
    assert stored["trainer_name"] == "HyperSORTTrainerNoMirroring"
    assert stored["inference_allowed_mirroring_axes"] is None
    held_out = SPLITS[0]["val"]
    found = nnunet.predict(held_out, tmp_path / "out", model=model)
    np.testing.assert_array_equal(found, read_segmentations(model / "fold_0" / "validation", held_out))


def test_settings_have_the_last_word(tiny_nnunet):
    trainer = tiny_nnunet().trainer(SHORT, kind=variants.HyperSORTTrainer_250epochs)
    assert trainer.num_epochs == 250
    trainer.initialize()
    assert trainer.num_epochs == 1


@pytest.mark.parametrize(
    "other", [nnUNetTrainerAdam, nnUNetTrainerCosAnneal, nnUNetTrainer_warmup, nnUNetTrainerBN, nnUNet_Primus_S_Trainer]
)
def test_a_variant_that_would_be_lost_is_refused(other):
    with pytest.raises(HyperSORTError, match=r"HyperSORTTrainerOther cannot be: \w+ replaces .* one of the two would"):
        type("HyperSORTTrainerOther", (HyperSORTTrainer, other), {})


def test_batch_normalisation_is_refused(tiny_nnunet):
    nnunet = tiny_nnunet()
    plain = nnunet.trainer()
    architecture = plain.plans_manager.plans["configurations"]["3d_fullres"]["architecture"]
    architecture["arch_kwargs"]["norm_op"] = "torch.nn.modules.batchnorm.BatchNorm3d"
    with pytest.raises(HyperSORTError, match="BatchNorm3d, which normalises all cases of a batch together"):
        nnunet.trainer(architecture=architecture).initialize()
