"""Settings: shipped files, absent keys, and one clear sentence for each mistake."""

import dataclasses

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.settings import (
    GeneratorKind,
    LrSchedule,
    OptimizerKind,
    Settings,
    load_settings,
    shipped_configs,
)


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_four_configs_ship():
    assert {"default", "published", "amos22", "totalsegmentator"} <= set(shipped_configs())
    for name in shipped_configs():
        load_settings(name)


def test_default_yaml_says_what_the_defaults_are():
    assert load_settings("default") == Settings()


def test_published_is_the_published_recipe():
    # The values of hypersort's released code, as our specification of it lists them.
    published = load_settings("published")
    assert published.latent.dim == 2
    assert published.latent.init_std == 0.05
    assert published.latent.lr == 1e-3
    assert published.latent.betas == (0.7, 0.9)
    assert published.latent.l1_weight == 1.0
    assert published.latent.lr_schedule is LrSchedule.CONSTANT
    assert published.hypernetwork.generator is GeneratorKind.FULL
    assert published.hypernetwork.hidden == 50
    training = published.training
    assert (training.optimizer, training.initial_lr, training.weight_decay) == (OptimizerKind.ADAM, 1e-3, 0)
    assert (training.lr_schedule, training.num_epochs) == (LrSchedule.CONSTANT, 10_000)
    assert (training.augmentation, training.deep_supervision, training.gradient_clipping) == (False, False, 0)


def test_absent_keys_leave_the_trainers_values(tmp_path):
    settings = load_settings(write(tmp_path, "latent: {dim: 3}\ntraining:\n  num_epochs: 7\n"))
    assert settings.latent == dataclasses.replace(Settings().latent, dim=3)
    assert settings.hypernetwork == Settings().hypernetwork
    assert settings.training.num_epochs == 7
    assert settings.training.initial_lr is None


def test_an_empty_file_means_defaults(tmp_path):
    assert load_settings(write(tmp_path, "")) == Settings()
    assert load_settings(write(tmp_path, "latent:\ntraining:\n")) == Settings()


def test_numbers_without_a_dot_are_numbers(tmp_path):
    # PyYAML reads 1e-3 as text.
    assert load_settings(write(tmp_path, "latent: {lr: 1e-3, init_std: 1}")).latent.lr == 1e-3


def test_json_round_trip():
    for name in shipped_configs():
        settings = load_settings(name)
        assert Settings.from_dict(settings.to_dict(), source="plans") == settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latent: {dimm: 2}", r"mine\.yaml: latent: unknown key `dimm`; did you mean `dim`\?"),
        ("trainning: {seed: 1}", r"unknown key `trainning`; did you mean `training`\?"),
        ("hypernetwork: {generator: lowrank}", r"'lowrank' is not one of .*Did you mean low_rank\?"),
        ("latent: {dim: 0}", r"latent\.dim: expected an integer from 1 to 64, found 0"),
        ("latent: {dim: 2.5}", r"expected an integer"),
        ("latent: {dim: true}", r"expected an integer"),
        ("latent: {lr: -1}", r"latent\.lr: -1 is out of range"),
        ("latent: {lr: .nan}", r"expected a number"),
        ("latent: {lr: .inf}", r"out of range"),
        (f"latent: {{lr: 1{'0' * 400}}}", r"latent\.lr: 1000.*out of range"),
        ("training: {mirror_axes: [0, 3]}", r"training\.mirror_axes: expected axes"),
        ("training: {mirror_axes: 1}", r"expected axes"),
        ("training: {mirror_axes: [1, 1]}", r"expected axes"),
        ("latent: {lr: fast}", r"expected a number from 0 to 10, found 'fast'"),
        ("latent: {betas: [0.9]}", r"expected two numbers"),
        ("latent: {betas: [0.9, 1.0]}", r"below 1"),
        ("latent: 3", r"mine\.yaml: latent: expected keys with values"),
        ("[1, 2]", r"mine\.yaml: expected keys with values"),
        ("training: {seed: -1}", r"training\.seed"),
        ("training: {augmentation: 1}", r"expected true or false"),
        ("latent: {dim: 2", r"mine\.yaml is not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']", r"not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, said):
    with pytest.raises(HyperSORTError, match=said):
        load_settings(write(tmp_path, text))


def test_a_missing_file_names_the_shipped_configs(tmp_path):
    with pytest.raises(HyperSORTError, match=r"neither a file nor a shipped config .*Did you mean published\?"):
        load_settings("publishd")
    with pytest.raises(HyperSORTError, match="neither a file nor a shipped config"):
        load_settings(tmp_path / "absent.yaml")


def test_a_folder_or_binary_file_is_no_config(tmp_path):
    with pytest.raises(HyperSORTError, match="cannot be read as a text file"):
        load_settings(tmp_path)
    (tmp_path / "weights.yaml").write_bytes(b"\x80\x02\xff\xfe")
    with pytest.raises(HyperSORTError, match="cannot be read as a text file"):
        load_settings(tmp_path / "weights.yaml")


def test_differences_name_the_key_and_both_values():
    other = dataclasses.replace(Settings(), latent=dataclasses.replace(Settings().latent, dim=5))
    assert Settings().differences(other) == [("latent.dim", 2, 5)]
    assert Settings().differences(Settings()) == []
