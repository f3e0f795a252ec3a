"""Changed weights are noticed."""

import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checksum import refuse_changed_weights, weights_checksum


def weights() -> dict[str, torch.Tensor]:
    shared = torch.arange(6.0).reshape(2, 3)
    return {
        "conv": shared,
        "all_modules.0": shared,
        "bytes": torch.tensor([1, 2], dtype=torch.uint8),
        "empty": torch.zeros(0, 2),
        "number": torch.tensor(7),
    }


def with_checksum() -> dict[str, torch.Tensor]:
    return {**weights(), "checksum": weights_checksum(weights())}


def test_the_same_weights_pass_however_they_lie_in_memory():
    unshared = {name: value.clone() for name, value in with_checksum().items()}
    for same in (
        with_checksum(),
        unshared,
        dict(reversed(unshared.items())),
        {**unshared, "conv": unshared["conv"].t().contiguous().t()},
    ):
        refuse_changed_weights(same, source="x.pth")


def test_weights_without_a_checksum_pass():
    refuse_changed_weights(weights(), source="x.pth")


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["conv"].view(torch.uint8).view(-1)[5].bitwise_xor_(1),
        lambda state: state.update(conv=state["conv"].reshape(3, 2)),
        lambda state: state.update(number=state["number"].int()),
        lambda state: state.update(other=state.pop("conv")),
        lambda state: state.update(more=torch.zeros(1)),
        lambda state: state.pop("empty"),
        lambda state: state.update(empty=torch.zeros(0, 3)),
        lambda state: state["checksum"][3].bitwise_xor_(1),
        lambda state: state.update(checksum="text"),
    ],
)
def test_any_change_is_noticed(change):
    state = with_checksum()
    change(state)
    with pytest.raises(HyperSORTError, match=r"x\.pth are not those that the training saved"):
        refuse_changed_weights(state, source="x.pth")
