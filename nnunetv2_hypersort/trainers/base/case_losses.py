"""The loss of each training case, kept beside any training."""

from pathlib import Path
from typing import Any, ClassVar

import torch

from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.hypernetwork import LatentTable
from nnunetv2_hypersort.trainers.base.base_trainer import BaseTrainer

CASE_LOSSES_FILE = "case_losses.json"


class CaseLossTrainer(BaseTrainer):
    """Keeps a running mean of the loss of each training case at full resolution, and writes it to `case_losses.json`.

    This reads what the training step has computed and changes nothing in the training.
    """

    # In nnU-Net's log they are part of every checkpoint.
    logged: ClassVar[tuple[str, ...]] = ("case_loss", "case_visits")

    def on_train_start(self) -> None:
        """Start as nnU-Net does, with a row for each training case."""
        super().on_train_start()
        if not hasattr(self, "table"):
            self._make_table()

    def on_epoch_end(self) -> None:
        """Log the losses before nnU-Net may save a checkpoint."""
        self.logger.log("case_loss", self.table.loss.tolist(), self.current_epoch)
        self.logger.log("case_visits", self.table.visits.tolist(), self.current_epoch)
        super().on_epoch_end()

    def on_train_end(self) -> None:
        """Write the losses, then end as nnU-Net does."""
        content = {"cases": self.table.case_ids, "losses": self.table.loss.tolist()}
        write_json(Path(self.output_folder) / CASE_LOSSES_FILE, {**content, "visits": self.table.visits.tolist()})
        super().on_train_end()

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Load a checkpoint with the losses of the cases."""
        super().load_checkpoint(filename_or_checkpoint)
        self._make_table()
        self.table.loss.copy_(torch.tensor(self.logger.get_value("case_loss", -1)))
        self.table.visits.copy_(torch.tensor(self.logger.get_value("case_visits", -1)))

    def _make_table(self) -> None:
        # Its latents are not used: what counts visits and averages losses is the same.
        self.table = LatentTable(1)
        self.table.set_cases(sorted(set(self.do_split()[0])), init_std=0, seed=0)

    def _note_output(self, batch: dict[str, Any], output: Any, target: Any) -> None:
        super()._note_output(batch, output, target)
        rows, losses = self._losses_of_cases(self.table.rows(batch["keys"]), output, target)
        self.table.count_visits(rows)
        self.table.record_losses(rows, losses.cpu())
