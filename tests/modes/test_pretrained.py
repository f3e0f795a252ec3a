"""Starting from trained weights with nnU-Net's `-pretrained_weights`."""

from pathlib import Path

import pytest
import torch
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.run.run_training import run_training
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tiny_nnunet import SHORT

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort.pretrained import write_pretrained_weights

LOW_RANK = SHORT + "hypernetwork: {generator: low_rank}\n"
CPU = torch.device("cpu")


def checkpoint_of(nnunet, kind=HyperSORTTrainer, config=SHORT) -> Path:
    trainer = nnunet.trainer(config, kind=kind)
    # Of nnU-Net's own trainer; the settings say the same.
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 1, 3, 1
    trainer.run_training()
    return Path(trainer.output_folder) / "checkpoint_final.pth"


def test_plain_weights_become_the_style_at_the_origin(tiny_nnunet, tmp_path):
    nnunet = tiny_nnunet()
    source, file = checkpoint_of(nnunet, nnUNetTrainer), tmp_path / "pretrained.pth"
    write_pretrained_weights(source, file, dataset=nnunet.dataset, configuration="3d_fullres")
    plain, ours = nnunet.trainer(kind=nnUNetTrainer), nnunet.trainer(fold=1)
    plain.initialize()
    ours.initialize()
    own_heads = {name: value.clone() for name, value in ours.network.named_parameters() if ".seg_layers." in name}
    load_pretrained_weights(plain.network, str(source))
    load_pretrained_weights(ours.network, str(file))
    for name, value in ours.hypernetwork.primary.named_parameters():
        expected = own_heads[f"primary.{name}"] if ".seg_layers." in name else plain.network.get_parameter(name)
        assert torch.equal(value, expected), name
    # The same features come out at the zero latent.
    x = torch.randn(1, 1, 8, 16, 16)
    ours.hypernetwork.primary.decoder.seg_layers.load_state_dict(plain.network.decoder.seg_layers.state_dict())
    with torch.no_grad():
        assert torch.equal(ours.network(x, torch.zeros(1, 2))[0], plain.network(x)[0])
    ours.run_training()
    assert len(ours.table) == 4


def test_weights_that_were_not_made_for_it_are_refused_by_what_to_do(tiny_nnunet, tmp_path):
    nnunet = tiny_nnunet()
    plain, other = checkpoint_of(nnunet, nnUNetTrainer), checkpoint_of(nnunet, config=LOW_RANK)
    ours = nnunet.trainer()
    ours.initialize()
    before = {name: value.clone() for name, value in ours.hypernetwork.state_dict().items()}
    for source, said in ((plain, "are of plain nnU-Net, without a generator"), (other, "do not fit this training")):
        with pytest.raises(HyperSORTError, match=rf"`-pretrained_weights` {said}.*`hypersort pretrained CHECKPOINT"):
            load_pretrained_weights(ours.network, str(source))
    for name, value in ours.hypernetwork.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("fold", [0, 1, "all"])
def test_one_file_serves_every_fold_of_nnunets_own_command(tiny_nnunet, tmp_path, fold, capsys):
    nnunet = tiny_nnunet()
    file = tmp_path / "pretrained.pth"
    source = str(checkpoint_of(nnunet))
    assert main(["pretrained", source, "-d", nnunet.dataset, "-c", "3d_fullres", "-o", str(file)]) == 0
    command = capsys.readouterr().out.splitlines()[-1]
    assert command.startswith(f"nnUNetv2_train {nnunet.dataset} 3d_fullres FOLD -tr HyperSORTTrainer ")
    run_training(nnunet.dataset, "3d_fullres", fold, "HyperSORTTrainer", pretrained_weights=str(file), device=CPU)
    assert (nnunet.model() / f"fold_{fold}" / "validation" / "summary.json").is_file()


def test_a_generator_goes_to_a_dataset_with_other_labels_but_its_heads_do_not(tiny_nnunet, tmp_path):
    source = checkpoint_of(tiny_nnunet("3d_fullres"), config=LOW_RANK)
    target = tiny_nnunet("regions")
    file = tmp_path / "pretrained.pth"
    new = write_pretrained_weights(source, file, dataset=target.dataset, configuration="3d_fullres")
    trained = torch.load(source, weights_only=False)["network_weights"]
    trainer = target.trainer(LOW_RANK)
    trainer.initialize()
    load_pretrained_weights(trainer.network, str(file))
    there = trainer.network.state_dict()
    # Three outputs there, two regions here; of each head the generator has U, V and s(z), and the bias's directions.
    assert sum(name.startswith("generator.") for name in new) == 2 * 4
    for name in there:
        if name.startswith(("primary.", "generator.")) and name not in new:
            assert torch.equal(there[name], trained[name]), name
    trainer.run_training()
    assert sorted(trainer.table.case_ids) == sorted(trainer.do_split()[0])


def test_what_does_not_fit_is_named(tiny_nnunet, tmp_path, monkeypatch):
    nnunet = tiny_nnunet("two_channels")
    source, file = checkpoint_of(nnunet), tmp_path / "pretrained.pth"
    plain = checkpoint_of(nnunet, nnUNetTrainer)
    options = {"dataset": nnunet.dataset, "configuration": "3d_fullres"}

    nnunet.configure(SHORT + "latent: {dim: 3}\nhypernetwork: {hidden: 8}\n")
    with pytest.raises(HyperSORTError, match=r"latent\.dim is 3 for .* and 2 in .*; hypernetwork\.hidden is 8"):
        write_pretrained_weights(source, file, **options)
    nnunet.configure(SHORT + "latent: {start: random}\nhypernetwork: {generator: full}\n")
    with pytest.raises(HyperSORTError, match="`full` has no network of its own"):
        write_pretrained_weights(plain, file, **options)
    nnunet.configure(SHORT)
    for wrong, said in (
        ({"configuration": "3d_lowres"}, "has no configuration 3d_lowres; it has 2d, 3d_fullres"),
        ({"plans": "nnUNetResEncUNetMPlans"}, r"There is no .*nnUNetResEncUNetMPlans\.json"),
        ({"dataset": "999"}, "There is no dataset 999: Could not find"),
        ({"trainer": "nnUNetTrainer"}, "nnUNetTrainer is no HyperSORT trainer"),
    ):
        with pytest.raises(HyperSORTError, match=said):
            write_pretrained_weights(source, file, **{**options, **wrong})
    with pytest.raises(HyperSORTError, match="exists already"):
        write_pretrained_weights(source, source, **options)
    one_channel = tiny_nnunet("3d_fullres")
    first = r"conv.* has the shape \(4, 1, 3, 3, 3\) here and has the shape \(4, 2, 3, 3, 3\) there"
    with pytest.raises(HyperSORTError, match=first):
        write_pretrained_weights(plain, file, dataset=one_channel.dataset, configuration="3d_fullres")
    assert not file.exists()
