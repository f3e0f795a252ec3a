"""Devices that PyTorch cannot use are refused in one sentence."""

import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.devices import usable_device


def test_devices_that_are_there():
    assert usable_device("cpu") == "cpu"
    assert usable_device() == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["foo", "cpu:x", "cuda:99"])
def test_devices_that_are_not(name):
    with pytest.raises(HyperSORTError, match=f"The device {name} cannot be used .*; give cpu, cuda or mps"):
        usable_device(name)
