"""Stock nnU-Net, trained as long as HyperSORT is in a benchmark: the baseline."""

import os
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_hypersort.files import atomic_path, write_json
from nnunetv2_hypersort.hypernetwork import LatentTable
from nnunetv2_hypersort.settings import CONFIG_VARIABLE, load_settings
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort.hypersort_trainer import _pin_timed_choices

CASE_LOSSES_FILE = "case_losses.json"


class PlainTrainer(nnUNetTrainer):  # type: ignore[misc]  # nnU-Net is not typed
    """Stock nnU-Net with the length, mirroring and seeds that `training` in HYPERSORT_CONFIG says, and nothing else.

    Beside it keeps, as HyperSORT does, a running mean of the loss of each training case at full resolution, written to
    `case_losses.json`. This reads what the training step has computed and changes nothing.
    """

    # The same seeds at the same places, and the same loss of a case.
    _seed = HyperSORTTrainer._seed
    _build_case_loss = HyperSORTTrainer._build_case_loss

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008  # nnU-Net's signature, which must stay as it is
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.settings = load_settings(os.environ[CONFIG_VARIABLE])
        for name in ("num_epochs", "num_iterations_per_epoch", "num_val_iterations_per_epoch", "save_every"):
            value = getattr(self.settings.training, name)
            if value is not None:
                setattr(self, name, value)
        # In nnU-Net's log they are part of every checkpoint.
        for key in ("case_loss", "case_visits"):
            self.logger.local_logger.my_fantastic_logging.setdefault(key, [])

    def initialize(self) -> None:
        """Build everything as nnU-Net does, seeded, and a table for the losses of the training cases."""
        self._seed(0)
        super().initialize()
        self._case_loss = self._build_case_loss()
        self._table = LatentTable(1)
        self._table.set_cases(sorted(self.do_split()[0]), init_std=0, seed=0)
        self.network.register_forward_hook(self._keep_output)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802  # nnU-Net's name
        """As nnU-Net, mirrored along the axes of the settings."""
        rotation, dummy_2d, size, mirror_axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        if self.settings.training.mirror_axes is not None:
            mirror_axes = self.settings.training.mirror_axes or None
        self.inference_allowed_mirroring_axes = mirror_axes
        return rotation, dummy_2d, size, mirror_axes

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """As nnU-Net, without the choices that are made by timing them."""
        transforms = super().get_training_transforms(*args, **kwargs)
        _pin_timed_choices(transforms)
        return transforms

    def on_epoch_start(self) -> None:
        """Reseed, as HyperSORT does."""
        super().on_epoch_start()
        self._seed(self.current_epoch + 1)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's training step; then the loss of each case from the output it computed."""
        result: dict[str, Any] = super().train_step(batch)
        output, target = self._output, batch["target"]
        if isinstance(self.loss, DeepSupervisionWrapper):
            output, target = output[0], target[0]
        target = target.to(output.device)
        rows = self._table.rows(batch["keys"])
        with torch.no_grad():
            losses = [self._case_loss(output[i : i + 1], target[i : i + 1]) for i in range(len(rows))]
        self._table.count_visits(rows)
        self._table.record_losses(rows, torch.stack(losses).cpu())
        return result

    def on_epoch_end(self) -> None:
        """Log the losses before nnU-Net may save a checkpoint."""
        self.logger.log("case_loss", self._table.loss.tolist(), self.current_epoch)
        self.logger.log("case_visits", self._table.visits.tolist(), self.current_epoch)
        super().on_epoch_end()

    def on_train_end(self) -> None:
        """Write the losses, then end as nnU-Net does."""
        content = {"cases": self._table.case_ids, "losses": self._table.loss.tolist()}
        write_json(Path(self.output_folder) / CASE_LOSSES_FILE, {**content, "visits": self._table.visits.tolist()})
        super().on_train_end()

    def save_checkpoint(self, filename: str) -> None:
        """Save as nnU-Net does, but whole or not at all: a benchmark may be killed at any time."""
        with atomic_path(filename) as temporary:
            super().save_checkpoint(str(temporary))

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Load a checkpoint with the losses of the cases."""
        super().load_checkpoint(filename_or_checkpoint)
        self._table.loss.copy_(torch.tensor(self.logger.get_value("case_loss", -1)))
        self._table.visits.copy_(torch.tensor(self.logger.get_value("case_visits", -1)))

    def _keep_output(self, _module: Any, _inputs: Any, output: Any) -> None:
        self._output = [level.detach() for level in output] if isinstance(output, (list, tuple)) else output.detach()
