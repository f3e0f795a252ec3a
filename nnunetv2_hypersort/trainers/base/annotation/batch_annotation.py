"""Which labels the samples of a batch are annotated for: one object that all losses of a training look into."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels


@dataclass(frozen=True)
class Channels:
    """What the channels of a network's output mean for a case.

    The channels are the structures of `LabelTable.structures`, after the background where labels are classes.

    Attributes:
        known: Shape (channels,), bool: the structures that the case is annotated for; never the background.
        scored: Shape (channels,), bool: the same with the structures that no training case is annotated for; the other
            classes are part of the background.
        foreign: Shape (values,), bool: label values that the case is not annotated for.
        whole: Whether every class stands for itself.
    """

    known: torch.Tensor
    scored: torch.Tensor
    foreign: torch.Tensor
    whole: bool


class BatchAnnotation:
    """Knows what each case is annotated for, and which cases a loss is about to see.

    A structure that no training case is annotated for is taught to be absent: added to the background everywhere, it
    would be free to take the place of the background.

    Args:
        annotated: The annotated labels of the data set.
        never: Structures that no training case is annotated for.
    """

    def __init__(self, annotated: AnnotatedLabels, never: Collection[str] = ()) -> None:
        self.annotated = annotated
        self.never = frozenset(never)
        self.has_regions = any(len(structure.values) > 1 for structure in annotated.table.structures)
        self._cases: tuple[str, ...] = ()
        self._channels: dict[tuple[tuple[bool, ...], torch.device], Channels] = {}

    @contextmanager
    def cases(self, case_ids: Sequence[str]) -> Iterator[None]:
        """In a `with` block losses see these cases, one for each sample of the output."""
        before, self._cases = self._cases, tuple(map(str, case_ids))
        try:
            yield
        finally:
            self._cases = before

    @contextmanager
    def sample(self, index: int) -> Iterator[None]:
        """In a `with` block losses see one sample of the batch that they would have seen."""
        with self.cases(self._cases[index : index + 1]):
            yield

    def of_batch(self, samples: int, device: torch.device) -> list[Channels]:
        """What the channels mean for each sample of the batch.

        Args:
            samples: Size of the batch.
            device: Where the tensors shall be.

        Raises:
            RuntimeError: The loss was called outside of `cases`, or with another number of samples.
        """
        if len(self._cases) != samples:
            raise RuntimeError(
                f"A loss of partly annotated cases was given {samples} samples, and the cases {self._cases}; call it "
                f"in `with annotation.cases(batch['keys'])`."
            )
        return [self.of_case(case, device) for case in self._cases]

    def of_case(self, case_id: str, device: torch.device) -> Channels:
        """What the channels mean for a case; see `of_batch`."""
        flags = self.annotated.flags_of(case_id)
        key = (flags, device)
        if key not in self._channels:
            self._channels[key] = self._describe(flags, device)
        return self._channels[key]

    def foreign_value(self, case_id: str, target: torch.Tensor) -> int | None:
        """A class in a target that the case is not annotated for, or None; regions cannot be told so.

        Args:
            case_id: The case.
            target: Label values, any shape.
        """
        if self.has_regions:
            return None
        foreign = self.of_case(case_id, target.device).foreign[target.long()]
        return int(target[foreign][0]) if bool(foreign.any()) else None

    def _describe(self, flags: Sequence[bool], device: torch.device) -> Channels:
        table = self.annotated.table
        names = [structure.name for structure in table.structures]
        scored = [flag or name in self.never for flag, name in zip(flags, names, strict=True)]
        foreign = [False] * (max(table.values) + 1)
        if not self.has_regions:
            for structure, flag in zip(table.structures, flags, strict=True):
                foreign[structure.values[0]] = not flag
        background = [] if self.has_regions else [False]
        return Channels(
            known=torch.tensor([*background, *flags], device=device),
            scored=torch.tensor([*background, *scored], device=device),
            foreign=torch.tensor(foreign, device=device),
            whole=all(flags),
        )
