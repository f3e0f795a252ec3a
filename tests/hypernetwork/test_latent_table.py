"""The latent table: its Adam against PyTorch's, cases that come and go, any size in a checkpoint."""

import copy
import io

import pytest
import torch

from nnunetv2_hypersort.hypernetwork import LatentTable


def filled(cases: list[str], dim: int = 2, seed: int | None = 0) -> LatentTable:
    table = LatentTable(dim)
    table.set_cases(cases, init_std=0.5, seed=seed)
    return table


def test_each_row_has_an_adam_of_its_own():
    table = filled(["a", "b", "c"])
    stock = [torch.nn.Parameter(row.clone()) for row in table.values]
    optimizers = [torch.optim.Adam([row], lr=0.03, betas=(0.7, 0.9)) for row in stock]
    generator = torch.Generator().manual_seed(1)
    for drawn in ([0, 1], [1], [2, 0], [1], [1, 2]):
        gradients = torch.randn(len(drawn), 2, generator=generator)
        table.step(torch.tensor(drawn), gradients, lr=0.03, betas=(0.7, 0.9))
        for row, gradient in zip(drawn, gradients, strict=True):
            stock[row].grad = gradient.clone()
            optimizers[row].step()
    torch.testing.assert_close(table.values, torch.stack([row.detach() for row in stock]))
    assert table.steps.tolist() == [2, 4, 2]


def test_a_case_drawn_twice_is_stepped_once_with_the_sum():
    once, twice = filled(["a", "b"]), filled(["a", "b"])
    gradients = torch.tensor([[1.0, -2.0], [0.5, 0.25]])
    twice.step(torch.tensor([1, 1]), gradients, lr=0.1, betas=(0.9, 0.999))
    once.step(torch.tensor([1]), gradients.sum(0, keepdim=True), lr=0.1, betas=(0.9, 0.999))
    twice.count_visits(torch.tensor([1, 1]))
    assert torch.equal(once.values, twice.values)
    assert twice.steps.tolist() == twice.visits.tolist() == [0, 1]


def test_each_sample_may_bring_its_own_learning_rate():
    one_rate, own_rates = filled(["a", "b", "c"]), filled(["a", "b", "c"])
    before = one_rate.values.clone()
    rows, gradients = torch.tensor([2, 0, 2]), torch.tensor([[1.0, -2.0], [0.5, 0.25], [3.0, 1.0]])
    one_rate.step(rows, gradients, lr=0.1, betas=(0.9, 0.999))
    own_rates.step(rows, gradients, lr=torch.tensor([0.2, 0.0, 0.2]), betas=(0.9, 0.999))
    assert torch.equal(own_rates.values[:2], before[:2])
    torch.testing.assert_close(own_rates.values[2] - before[2], 2 * (one_rate.values[2] - before[2]))


def test_a_gradient_that_is_not_finite_leaves_its_row_alone():
    table = filled(["a", "b"])
    before = table.values.clone()
    table.step(torch.tensor([0, 1]), torch.tensor([[float("inf"), 1.0], [1.0, 1.0]]), lr=0.1, betas=(0.9, 0.999))
    assert torch.equal(table.values[0], before[0])
    assert not torch.equal(table.values[1], before[1])
    assert table.steps.tolist() == [0, 1]


def test_loss_is_the_mean_of_the_first_visits():
    table = filled(["a", "b"])
    for loss in (1.0, 2.0, 6.0):
        table.count_visits(torch.tensor([1]))
        table.record_losses(torch.tensor([1]), torch.tensor([loss]))
    assert table.loss.tolist() == [0.0, pytest.approx(3.0)]


def test_losses_of_a_case_drawn_twice_count_once():
    table = filled(["a", "b"])
    table.count_visits(torch.tensor([1, 1]))
    table.record_losses(torch.tensor([1, 1]), torch.tensor([1.0, 3.0]))
    assert table.loss.tolist() == [0.0, pytest.approx(2.0)]


def test_known_cases_keep_everything_when_others_come_and_go():
    table = filled(["a", "b", "c"])
    table.step(torch.tensor([1]), torch.ones(1, 2), lr=0.1, betas=(0.9, 0.999))
    table.record_history(1)
    row = {name: buffer[1].clone() for name, buffer in table.named_buffers() if buffer.shape[:1] == (3,)}
    joined, left = table.set_cases(["b", "d"], init_std=0.5, seed=0)
    assert (joined, left) == (["d"], ["a", "c"])
    assert table.case_ids == ["b", "d"]
    for name in ("values", "first_moment", "second_moment", "visits"):
        assert torch.equal(getattr(table, name)[0], row[name]), name
    assert torch.equal(table.history[0, 0], row["values"])
    assert table.history[0, 1].isnan().all()


def test_a_seeded_latent_depends_on_its_case_alone():
    few, many = filled(["b", "c"]), filled(["a", "b", "c", "d"])
    assert torch.equal(few.values[0], many.values[1])
    assert not torch.equal(few.values, filled(["b", "c"], seed=1).values)


def test_initial_latents_have_the_wanted_spread():
    table = filled([f"case_{number}" for number in range(2000)])
    assert table.values.mean().abs() < 0.03
    assert abs(float(table.values.std()) - 0.5) < 0.03


def test_a_checkpoint_of_any_size_loads_into_an_empty_table():
    table = filled(["a", 'Ärger, "b"\n', "c"])
    table.step(torch.tensor([1]), torch.ones(1, 2), lr=0.1, betas=(0.9, 0.999))
    table.record_history(3)
    file = io.BytesIO()
    torch.save(table.state_dict(), file)
    file.seek(0)
    other = LatentTable(2)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.case_ids == table.case_ids
    for name, buffer in table.named_buffers():
        assert torch.equal(buffer, getattr(other, name)), name
    assert other.rows(["c"]).tolist() == [2]


def test_another_latent_dimension_is_refused():
    with pytest.raises(RuntimeError, match="size mismatch for values"):
        LatentTable(3).load_state_dict(filled(["a", "b"], dim=2).state_dict())


def test_history_is_thinned_and_keeps_first_and_last():
    table = filled(["a", "b"])
    for epoch in range(1, 201):
        table.record_history(epoch)
    epochs = table.history_epochs.tolist()
    assert len(epochs) <= 64
    assert epochs[0] == 1
    assert epochs[-1] == 200
    assert epochs == sorted(epochs)
    assert table.history.shape == (len(epochs), 2, 2)


def test_latents_are_no_parameters():
    assert list(copy.deepcopy(filled(["a"])).parameters()) == []
