"""Trainers of users that build a network of their own, and an nnU-Net that has changed inside."""

import pytest
import torch
from nnunetv2.inference import predict_from_raw_data
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.trainers import HyperSORTTrainer


class WithReLU(HyperSORTTrainer):
    """Changes the planned network in place."""

    @staticmethod
    def build_network_architecture(
        plans_manager,
        configuration_manager,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision=True,
    ):
        network = HyperSORTTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.LeakyReLU):
                    setattr(module, name, nn.ReLU())
        return network


class WithAnother(HyperSORTTrainer):
    """Builds something else."""

    @staticmethod
    def build_network_architecture(
        plans_manager,
        configuration_manager,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision=True,
    ):
        return nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )


class OfOld(HyperSORTTrainer):
    """Takes what nnU-Net handed over until version 2.8."""

    @staticmethod
    def build_network_architecture(
        architecture_class_name,
        arch_init_kwargs,
        arch_init_kwargs_req_import,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision=True,
    ):
        raise AssertionError("never called")


def test_a_network_changed_in_place_trains_and_predicts_as_it_is(make_trainer, monkeypatch):
    trainer = make_trainer("latent: {start: random}\nhypernetwork: {generator: low_rank}\n", kind=WithReLU)
    trainer.initialize()
    assert "build_network_architecture" not in vars(trainer)
    trainer._take_training_cases()
    trained = trainer.hypernetwork
    kinds = {type(module) for module in trained.primary.modules()}
    assert nn.ReLU in kinds
    assert nn.LeakyReLU not in kinds
    monkeypatch.setenv("HYPERSORT_LATENT", "0.5,-1.5")
    network = WithReLU.build_network_architecture(trainer.plans_manager, trainer.configuration_manager, 1, 2, False)
    network.load_state_dict(trained.state_dict())
    x = torch.randn(1, 1, 16, 24, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(x), trained(x, torch.tensor([[0.5, -1.5]]))[0], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(network(x), trained(x, torch.zeros(1, 2))[0], atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (WithAnother, "returns a PlainConvUNet that HyperSORTTrainer's own did not build"),
        (OfOld, "OfOld.build_network_architecture takes what nnU-Net no longer hands over"),
    ],
)
def test_a_network_that_could_not_predict_is_refused_before_the_training(make_trainer, kind, said):
    with pytest.raises(HyperSORTError, match=said):
        make_trainer(kind=kind).initialize()


def test_what_is_gone_from_nnunet_is_said_at_the_start(make_trainer, monkeypatch):
    trainer = make_trainer()
    with monkeypatch.context() as patch:
        patch.setattr(nnUNetTrainer, "initialize", lambda self: None)
        with pytest.raises(HyperSORTError, match=r"has no call of build_network_architecture in nnUNetTrainer\.init"):
            trainer.initialize()
    for owner, name in (
        (predict_from_raw_data.nnUNetPredictor, "initialize_from_trained_model_folder"),
        (predict_from_raw_data, "predict_entry_point"),
    ):
        with monkeypatch.context() as patch:
            patch.delattr(owner, name)
            with pytest.raises(HyperSORTError, match=rf"nnU-Net [\d.]+ has no .*{name}, which this package needs to"):
                trainer.initialize()
    trainer.initialize()
