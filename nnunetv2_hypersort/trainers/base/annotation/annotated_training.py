"""nnU-Net's trainer on cases that are not annotated for the same labels."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from nnunetv2.training.loss.dice import get_tp_fp_fn_tn
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.json_file import read_json
from nnunetv2_hypersort.nnunet.annotated_labels import KEY, AnnotatedLabels
from nnunetv2_hypersort.nnunet.case_properties import read_properties
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation
from nnunetv2_hypersort.trainers.base.annotation.known_scores import known_scores
from nnunetv2_hypersort.trainers.base.annotation.masked_loss import masked_loss

_SHOWN = 5


class AnnotatedTraining(nnUNetTrainer):  # type: ignore[misc]  # nnU-Net is not typed
    """nnU-Net's trainer that counts in losses and scores only what `annotated_labels` in dataset.json lists.

    Where every case is fully annotated nothing is changed, not even the loss object.

    Attributes:
        annotation: What the cases are annotated for, once the trainer is initialised; None where all are fully.
    """

    annotation: BatchAnnotation | None = None

    def _begin_annotation(self) -> None:
        """Read and check which case is annotated for what; called before the loss is built.

        Raises:
            HyperSORTError: See `AnnotatedLabels.from_dataset_json`.
        """
        if not self.dataset_json.get(KEY):
            return
        folder = self.preprocessed_dataset_folder
        dataset_class = self.dataset_class or infer_dataset_class(folder)
        annotated = AnnotatedLabels.from_dataset_json(
            self.dataset_json, self._dataset_json_file, cases=set(dataset_class.get_identifiers(folder))
        )
        if annotated.partly:
            nowhere, only_validated = annotated.without_training(*self.do_split())
            self.annotation = BatchAnnotation(annotated, (*nowhere, *only_validated))

    def _masked(self, loss: Any, *, ddp: bool) -> Any:
        if self.annotation is None:
            return loss
        return masked_loss(loss, self.annotation, ddp=ddp, trainer=type(self).__name__)

    def _seen(self, batch: dict[str, Any]) -> AbstractContextManager[None]:
        """In a `with` block losses see the cases of a batch."""
        return nullcontext() if self.annotation is None else self.annotation.cases(batch["keys"])

    def _seen_sample(self, index: int) -> AbstractContextManager[None]:
        """In a `with` block losses see one sample of the batch that they see."""
        return nullcontext() if self.annotation is None else self.annotation.sample(index)

    @property
    def _dataset_json_file(self) -> str:
        return str(Path(self.preprocessed_dataset_folder_base) / "dataset.json")

    # --- before the training ----------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Start as nnU-Net does, with what is not annotated said before.

        Raises:
            HyperSORTError: A label map has a class that its case is not annotated for.
        """
        if not self.was_initialized:
            self.initialize()
        if self.annotation is not None:
            self._say_what_is_unknown(self.annotation.annotated)
        super().on_train_start()

    def _say_what_is_unknown(self, annotated: AnnotatedLabels) -> None:
        training, validation = self.do_split()
        cases = {*training, *validation}
        partly = sorted(cases & annotated.listed.keys())
        self._refuse_foreign_classes(partly)
        self.print_to_log_file(
            f"{len(partly)} of {len(cases)} cases of this fold are annotated in part: what a case is not annotated for "
            f"counts neither in its loss nor in its scores."
        )
        nowhere, only_validated = annotated.without_training(training, validation)
        for names, has in ((nowhere, "no case"), (only_validated, "only validation cases")):
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                self.print_to_log_file(
                    f"WARNING: fold {self.fold} has {has} annotated for {', '.join(names[:_SHOWN])}{more}: the network "
                    f"will learn that it is nowhere. Take another split, or leave the label out."
                )

    def _refuse_foreign_classes(self, cases: list[str]) -> None:
        assert self.annotation is not None
        for case in cases:
            try:
                found = read_properties(Path(self.preprocessed_dataset_folder) / f"{case}.pkl").get("class_locations")
            except (OSError, ValueError):
                # nnU-Net reports a file that it cannot read; what is drawn is looked at in any case.
                continue
            known = self.annotation.annotated.values_of(case)
            for values, places in (found or {}).items():
                members = values if isinstance(values, tuple) else (values,)
                if len(places) and known.isdisjoint(members) and -1 not in members:
                    raise self._foreign_class(case, members)

    def _foreign_class(self, case: str, values: tuple[int, ...]) -> HyperSORTError:
        assert self.annotation is not None
        annotated = self.annotation.annotated
        names = [s.name for s in annotated.table.structures if set(values) <= set(s.values)]
        return HyperSORTError(
            f"The label map of {case} has voxels of {names[0] if names else values}, which {KEY} in "
            f"{self._dataset_json_file} does not list for it ({', '.join(annotated.names_of(case)[:_SHOWN])}); list "
            f"the label there, or make these voxels background and run nnUNetv2_preprocess again."
        )

    def _refuse_foreign_targets(self, batch: dict[str, Any]) -> None:
        """Name the case of a batch whose target has a class that it is not annotated for, if there is one."""
        if self.annotation is None:
            return
        target = batch["target"][0] if isinstance(batch["target"], list) else batch["target"]
        for case, values in zip(batch["keys"], target, strict=True):
            value = self.annotation.foreign_value(str(case), values)
            if value is not None:
                raise self._foreign_class(str(case), (value,))

    def _check_checkpoint(self, checkpoint: dict[str, Any], path: Path) -> None:
        """Refuse a checkpoint that was trained with other annotated labels."""
        super()._check_checkpoint(checkpoint, path)
        contents = (checkpoint["init_args"].get("dataset_json") or self.dataset_json, self.dataset_json)
        if not any(content.get(KEY) for content in contents):
            return
        trained, here = (
            AnnotatedLabels.from_dataset_json(content, where).listed
            for content, where in zip(contents, (str(path), self._dataset_json_file), strict=True)
        )
        changed = sorted(case for case in {*trained, *here} if trained.get(case) != here.get(case))
        if changed:
            there, now = (", ".join(found.get(changed[0], ("everything",))) for found in (trained, here))
            raise HyperSORTError(
                f"{KEY} in {self._dataset_json_file} has changed since {path} was trained, for {len(changed)} cases "
                f"such as {changed[0]} (then {there}, now {now}); restore it to go on, or start anew without `--c`."
            )

    # --- validation -------------------------------------------------------------------------------------------------

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step; where a case is not annotated for a label, nothing of it is right or wrong."""
        if self.annotation is None:
            step: dict[str, Any] = super().validation_step(batch)
            return step
        data, target = batch["data"].to(self.device, non_blocking=True), self._to_device(batch["target"])
        with self._autocast(), self._seen(batch):
            output = self.network(data)
            loss = self.loss(output, target)
        self._refuse_foreign_targets(batch)
        if self.enable_deep_supervision:
            output, target = output[0], target[0]
        counted, ignore = None, self.label_manager.ignore_label
        if self.label_manager.has_regions:
            predicted = (torch.sigmoid(output) > 0.5).long()
            if ignore is not None:
                counted, target = ~target[:, -1:].bool(), target[:, :-1]
        else:
            predicted = torch.zeros_like(output, dtype=torch.float16).scatter_(1, output.argmax(1)[:, None], 1)
            if ignore is not None:
                counted = target != ignore
                target = torch.where(counted, target, 0)
        axes = list(range(2, output.ndim))
        counts = get_tp_fp_fn_tn(predicted, target, axes=axes, mask=counted)[:3]
        known = torch.stack([self.annotation.of_case(str(case), output.device).known for case in batch["keys"]])
        # All samples together, without the background; as nnU-Net.
        first = 0 if self.label_manager.has_regions else 1
        true, false_positive, false_negative = (
            (count * known).sum(0)[first:].detach().cpu().numpy() for count in counts
        )
        return {
            "loss": loss.detach().cpu().numpy(),
            "tp_hard": true,
            "fp_hard": false_positive,
            "fn_hard": false_negative,
        }

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """nnU-Net's final validation, with what is not annotated as not-a-number in `summary.json`."""
        super().perform_actual_validation(save_probabilities)
        if self.local_rank != 0 or self.annotation is None:
            return
        file = Path(self.output_folder) / "validation" / "summary.json"
        summary = read_json(file, what="the summary of the validation", allow_nan=True)
        known = known_scores(summary, self.annotation.annotated, self.dataset_json["file_ending"])
        write_json(file, known)
        for label, metrics in known["mean"].items():
            self.logger.log_summary(f"final_val/class_{label}_dice", metrics["Dice"])
        self.logger.log_summary("final_val/foreground_dice", known["foreground_mean"]["Dice"])
        self.print_to_log_file(
            f"Mean Validation Dice over what is annotated: {known['foreground_mean']['Dice']}",
            also_print_to_console=True,
        )
