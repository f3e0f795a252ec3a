"""nnU-Net's split of a fold, with what cannot be trained refused before the training has begun."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.splits import SPLITS_FILE, as_split, read_splits, refuse_unusable, repeated


class CheckedSplits(nnUNetTrainer):  # type: ignore[misc]  # nnU-Net is not typed
    """nnU-Net's trainer that takes splits as people write them."""

    def do_split(self) -> tuple[list[str], list[str]]:
        """As nnU-Net; numbers become case identifiers, and a case in both parts or twice in one stays there.

        Raises:
            HyperSORTError: The fold cannot be trained or validated as the file has it.
        """
        path = Path(self.preprocessed_dataset_folder_base) / SPLITS_FILE
        where = f"{path}, fold {self.fold}"
        try:
            training, validation = super().do_split()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            training, validation = self._read_split(path, where, error)
        split = as_split({"train": _listed(training), "val": _listed(validation)}, where=where)
        dataset_class = self.dataset_class or infer_dataset_class(self.preprocessed_dataset_folder)
        refuse_unusable(split, dataset_class.get_identifiers(self.preprocessed_dataset_folder), where=where)
        for part, cases in split.items():
            if repeated(cases):
                self.print_to_log_file(
                    f"WARNING: {where}: `{part}` has {', '.join(repeated(cases)[:5])} more than once, which is visited "
                    f"as often."
                )
        return split["train"], split["val"]

    def _read_split(self, path: Path, where: str, error: Exception) -> tuple[Any, Any]:
        # What nnU-Net stumbles over is said in a sentence; a byte-order mark, which it cannot read, is no fault.
        entries = read_splits(path) if path.is_file() else []
        if self.fold == "all" or not -len(entries) <= self.fold < len(entries):
            raise HyperSORTError(f"{where}: nnU-Net finds no split ({type(error).__name__}: {error}).") from error
        split = as_split(entries[self.fold], where=where)
        return split["train"], split["val"]


def _listed(cases: Any) -> Any:
    # Trainers that choose cases themselves return arrays or sets, too.
    return cases if isinstance(cases, (str, Mapping)) or not hasattr(cases, "__iter__") else list(cases)
