"""The loss over what is annotated: nnU-Net's own where all is, and a smaller problem of nnU-Net's where some is not."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss, DC_and_topk_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss, SoftDiceLoss
from nnunetv2.training.loss.robust_ce_loss import RobustCrossEntropyLoss
from nnunetv2.utilities.helpers import softmax_helper_dim1
from torch import distributed as dist
from torch import multiprocessing as mp

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation
from nnunetv2_hypersort.trainers.base.annotation.masked_loss import masked_loss

CLASSES = {"background": 0, "a": 1, "b": 2, "c": 3}
REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "tip": 3}
SHAPE = (4, 5, 6)


def annotation(listed: Mapping[str, list[str]], labels: dict = CLASSES, *, never: Any = (), ignore: int | None = None):
    labels = labels if ignore is None else {**labels, "ignore": ignore}
    content = {"labels": labels, "annotated_labels": listed}
    return BatchAnnotation(AnnotatedLabels.from_dataset_json(content, "dataset.json"), never)


def class_loss(*, batch_dice=False, ignore=None, ddp=False):
    dice = {"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": False, "ddp": ddp}
    return DC_and_CE_loss(dice, {}, ignore_label=ignore, dice_class=MemoryEfficientSoftDiceLoss)


def region_loss(*, batch_dice=False, ignore=None, ddp=False):
    dice = {"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": True, "ddp": ddp}
    return DC_and_BCE_loss({}, dice, use_ignore_label=ignore is not None)


def masked(plain, knows, cases, *, ddp=False):
    """The loss of these cases as a function of output and target."""
    loss = masked_loss(copy.deepcopy(plain), knows, ddp=ddp, trainer="SomeTrainer")

    def of(output, target):
        with knows.cases(cases):
            return loss(output, target)

    return of


def class_batch(samples=2, *, values=(0, 1, 2, 3), seed=0):
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(samples, 4, *SHAPE, generator=generator, dtype=torch.float64).float() * 2
    target = torch.tensor(values)[torch.randint(0, len(values), (samples, 1, *SHAPE), generator=generator)]
    return output.requires_grad_(), target


def region_batch(samples=2, *, ignore=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(samples, 3, *SHAPE, generator=generator) * 2
    values = torch.randint(0, 5 if ignore else 4, (samples, 1, *SHAPE), generator=generator)
    channels = [(values >= 1) & (values <= 3), (values >= 2) & (values <= 3), values == 3]
    return output.requires_grad_(), torch.cat([*channels, *([values == 4] if ignore else [])], 1)


def value_and_gradient(loss, output, target):
    output.grad = None
    value = loss(output, target)
    value.backward()
    return float(value.detach()), output.grad.clone()


def assert_equal(loss, expected, output, target, **tolerance):
    value, gradient = value_and_gradient(loss, output, target)
    wanted, wanted_gradient = value_and_gradient(expected, output, target)
    assert value == pytest.approx(wanted, abs=1e-6)
    torch.testing.assert_close(gradient, wanted_gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize("ignore", [None, 4])
def test_where_all_is_annotated_it_is_nnunets(batch_dice, ignore):
    values = (0, 1, 2, 3) if ignore is None else (0, 1, 2, 3, 4)
    plain = class_loss(batch_dice=batch_dice, ignore=ignore)
    assert_equal(masked(plain, annotation({}, ignore=ignore), "xy"), plain, *class_batch(values=values))
    plain = region_loss(batch_dice=batch_dice, ignore=ignore)
    knows = annotation({}, REGIONS, ignore=ignore)
    assert_equal(masked(plain, knows, "xy"), plain, *region_batch(ignore=ignore is not None))


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize("ignore", [None, 4])
def test_unknown_classes_are_background_of_a_smaller_problem(batch_dice, ignore):
    # Only b is known: nnU-Net's loss of two classes, {background, a, c} and b.
    values = (0, 2) if ignore is None else (0, 2, 4)
    output, target = class_batch(values=values)
    knows = annotation({"x": ["b"], "y": ["b"]}, ignore=ignore)
    plain = class_loss(batch_dice=batch_dice, ignore=ignore)
    smaller = class_loss(batch_dice=batch_dice, ignore=None if ignore is None else 2)

    def merged(output, target):
        rest = torch.log(sum(output[:, channel].exp() for channel in (0, 1, 3)))
        return smaller(torch.stack([rest, output[:, 2]], 1), torch.tensor([0, 0, 1, 0, 2])[target])

    assert_equal(masked(plain, knows, "xy"), merged, output, target)


def test_it_does_not_matter_how_background_and_unknown_classes_share_a_voxel():
    output, target = class_batch(values=(0, 2))
    knows = annotation({"x": ["b"], "y": ["b"]})
    loss = masked(class_loss(), knows, "xy")
    shared = output.detach().clone()
    total = output.detach()[:, [0, 1, 3]].logsumexp(1)
    shares = torch.softmax(torch.randn(2, 3, *SHAPE, generator=torch.Generator().manual_seed(5)), 1)
    shared[:, [0, 1, 3]] = total[:, None] + shares.log()
    assert float(loss(shared, target)) == pytest.approx(float(loss(output, target)), abs=1e-5)


def test_large_logits_stay_finite():
    knows = annotation({"x": ["b"]})
    output = torch.full((1, 4, 2, 2, 2), 300.0).half()
    value = masked(class_loss(), knows, "x")(output.float(), torch.zeros(1, 1, 2, 2, 2, dtype=torch.long))
    # Three of four equal classes are background: -log(3/4); the Dice of b, which is not there, is 0.
    assert float(value) == pytest.approx(0.2877, abs=1e-3)


def test_a_background_that_seems_impossible_is_learnt_from():
    # Class b is 200 logits ahead, but the voxels are background: exp(-200) is 0 in 32 bits.
    output = torch.zeros(1, 4, 2, 2, 2)
    output[:, 2] = 200
    output.requires_grad_()
    loss = masked(RobustCrossEntropyLoss(), annotation({"x": ["b"]}), "x")
    value, gradient = value_and_gradient(loss, output, torch.zeros(1, 1, 2, 2, 2, dtype=torch.long))
    # All three together have three times the probability of one, which is log(3) at most.
    assert value == pytest.approx(200, abs=1.1)
    assert (gradient[:, 0] < 0).all()
    assert (gradient[:, 2] > 0).all()


def soft_dice(output, target, sample, label):
    chance = output.detach().softmax(1)[sample, label].double()
    there = (target[sample, 0] == label).double()
    return 2 * (chance * there).sum(), chance.sum() + there.sum()


@pytest.mark.parametrize("batch_dice", [False, True])
def test_a_class_counts_over_the_cases_that_have_it_and_not_at_all_where_none_has(batch_dice):
    output, target = class_batch(values=(0, 1))
    target[1][target[1] == 1] = 2
    # x has a; y has a and b; nobody has c.
    knows = annotation({"x": ["a"], "y": ["a", "b"]})
    plain = class_loss(batch_dice=batch_dice)
    plain.weight_ce = 0
    (ax, nx), (ay, ny), (by, dy) = (soft_dice(output, target, *place) for place in ((0, 1), (1, 1), (1, 2)))
    first = (ax + ay + 1e-5) / (nx + ny + 1e-5) if batch_dice else (ax / nx + (ay + 1e-5) / (ny + 1e-5)) / 2
    expected = -(first + by / dy) / 2
    assert float(masked(plain, knows, "xy")(output, target)) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize("ignore", [None, 4])
def test_regions_that_are_unknown_reach_no_gradient(batch_dice, ignore):
    output, target = region_batch(ignore=ignore is not None)
    knows = annotation({"x": ["whole"], "y": ["whole"]}, REGIONS, ignore=ignore)
    plain = region_loss(batch_dice=batch_dice, ignore=ignore)
    kept = [0] if ignore is None else [0, 3]

    def only_whole(output, target):
        # nnU-Net on the one channel; its ignore label turns the mean over channels into their sum.
        alone = region_loss(batch_dice=batch_dice, ignore=ignore)
        alone.weight_ce = 1 if ignore is None else 3
        return alone(output[:, :1], target[:, kept])

    assert_equal(masked(plain, knows, "xy"), only_whole, output, target)
    assert not output.grad[:, 1:].any()


def test_regions_of_two_cases_with_other_annotations():
    output, target = region_batch()
    knows = annotation({"x": ["whole", "core"], "y": ["core"]}, REGIONS)
    plain = region_loss()
    plain.weight_dice = 0
    bce = torch.nn.functional.binary_cross_entropy_with_logits(output, target.float(), reduction="none").mean((2, 3, 4))
    expected = (bce[0, 0] + (bce[0, 1] + bce[1, 1]) / 2) / 2
    assert float(masked(plain, knows, "xy")(output, target)) == pytest.approx(float(expected), abs=1e-6)


def test_what_no_training_case_has_is_taught_to_be_absent():
    output, target = class_batch(values=(0, 1))
    loss = masked(class_loss(), annotation({"x": ["a"], "y": ["a"]}, never=("c",)), "xy")
    _, gradient = value_and_gradient(loss, output, target)
    # b may be anything where background is; c is pushed down everywhere.
    assert (gradient[:, 3] > 0).all()
    assert (gradient[:, 2] < 0).any()
    output, target = region_batch()
    knows = annotation({"x": ["whole"], "y": ["whole"]}, REGIONS, never=("tip",))
    _, gradient = value_and_gradient(masked(region_loss(), knows, "xy"), output, target)
    assert target[:, 2].any()
    assert (gradient[:, 2] > 0).all()
    assert not gradient[:, 1].any()


def test_a_class_that_is_not_annotated_is_no_number_and_is_found():
    output, target = class_batch(values=(0, 1))
    knows = annotation({"x": ["b"], "y": ["a"]})
    loss = masked(class_loss(), knows, "xy")
    assert torch.isnan(loss(output, target))
    assert knows.foreign_value("x", target[0]) == 1
    assert knows.foreign_value("y", target[1]) is None


def test_all_levels_of_deep_supervision_see_the_cases():
    output, target = class_batch(values=(0, 2))
    knows = annotation({"x": ["b"], "y": ["b"]})
    single = masked(class_loss(), knows, "xy")
    deep = masked(DeepSupervisionWrapper(class_loss(), (0.75, 0.25, 0)), knows, "xy")
    lower = output[..., ::2, ::2, ::2], target[..., ::2, ::2, ::2]
    levels = [output, lower[0], lower[0]], [target, lower[1], lower[1]]
    expected = 0.75 * single(output, target) + 0.25 * single(*lower)
    assert float(deep(*levels)) == pytest.approx(float(expected), abs=1e-6)


def test_a_sample_of_a_batch_is_its_own_loss():
    output, target = class_batch(values=(0,))
    knows = annotation({"x": ["a"], "y": ["b", "c"]})
    loss = masked_loss(class_loss(), knows, ddp=False, trainer="T")
    with knows.cases("xy"), knows.sample(1):
        second = loss(output[1:], target[1:])
    with knows.cases("y"):
        assert second == loss(output[1:], target[1:])
    with pytest.raises(RuntimeError, match="in `with annotation"):
        loss(output, target)


def test_losses_of_variants():
    knows = annotation({"x": ["b"], "y": ["b"]})
    output, target = class_batch(values=(0, 2))
    dice = MemoryEfficientSoftDiceLoss(softmax_helper_dim1, batch_dice=False, do_bg=False, smooth=1e-5, ddp=False)
    parts = [float(masked(part, knows, "xy")(output, target)) for part in (dice, RobustCrossEntropyLoss())]
    assert float(masked(class_loss(), knows, "xy")(output, target)) == pytest.approx(sum(parts), abs=1e-6)
    topk = DC_and_topk_loss({"batch_dice": False}, {"k": 10})
    weighted = class_loss()
    weighted.ce.weight = torch.ones(4)
    other_dice = DC_and_CE_loss({"batch_dice": False}, {}, dice_class=SoftDiceLoss)
    for other in (topk, weighted, other_dice):
        with pytest.raises(HyperSORTError, match=r"loss of SomeTrainer \(DC_and_\w+_loss\) cannot leave out labels"):
            masked(other, knows, "xy")


LOSSES = {"classes": (class_loss, class_batch, CLASSES), "regions": (region_loss, region_batch, REGIONS)}
LISTED = {"classes": {"x": ["a"], "y": ["a", "b"], "w": ["b"]}, "regions": {"x": ["whole"], "y": ["whole", "tip"]}}
CASES = "xyzw"


def gradients(kind, batch_dice, samples, *, ddp):
    make, batch, labels = LOSSES[kind]
    # Case x, y, w in part, z fully; classes that no list has are background.
    output, target = batch(4) if kind == "regions" else batch(4, values=(0,))
    target = target if kind == "regions" else torch.where(torch.arange(4)[:, None, None, None, None] == 2, 3, target)
    knows = annotation(LISTED[kind], labels)
    part = output.detach()[samples].clone().requires_grad_()
    loss = masked(make(batch_dice=batch_dice, ddp=ddp), knows, CASES[samples], ddp=ddp)(part, target[samples])
    loss.backward()
    return loss.detach(), part.grad


def one_rank(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    # Batches of other sizes, as nnU-Net hands out where they do not divide.
    samples = slice(0, 1) if rank == 0 else slice(1, 4)
    found = {
        f"{kind}{batch_dice}": gradients(kind, batch_dice, samples, ddp=True)
        for kind in LOSSES
        for batch_dice in (False, True)
    }
    torch.save(found, f"{folder}/{rank}.pth")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    if not (dist.is_available() and dist.is_gloo_available()):
        pytest.skip("this PyTorch has no gloo")
    folder = tmp_path_factory.mktemp("ddp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        mp.spawn(one_rank, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pth", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize("kind", LOSSES)
def test_two_processes_count_as_one_with_the_joint_batch(of_two_processes, kind, batch_dice):
    ranks = [found[f"{kind}{batch_dice}"] for found in of_two_processes]
    joint, gradient = gradients(kind, batch_dice, slice(None), ddp=False)
    if kind == "regions":
        for value, _ in ranks:
            assert float(value) == pytest.approx(float(joint), abs=1e-6)
        # DistributedDataParallel averages gradients over processes.
        together = torch.cat([part for _, part in ranks]) / 2
        torch.testing.assert_close(together, gradient, rtol=1e-4, atol=1e-8)
        return
    # The mean of the cross-entropy is each process's own, as in nnU-Net: the Dice is what is gathered.
    for samples, (value, _) in zip((slice(0, 1), slice(1, 4)), ranks, strict=True):
        alone = _cross_entropy(samples)
        assert float(value) - alone == pytest.approx(float(joint) - _cross_entropy(slice(None)), abs=1e-5)


def _cross_entropy(samples):
    output, target = class_batch(4, values=(0,))
    target = torch.where(torch.arange(4)[:, None, None, None, None] == 2, 3, target)
    knows = annotation(LISTED["classes"])
    with torch.no_grad():
        return float(masked(RobustCrossEntropyLoss(), knows, CASES[samples])(output[samples], target[samples]))
