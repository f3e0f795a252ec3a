"""Settings of any system: own sections, variable and place in the plans; HyperSORT's are one of them."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION
from nnunetv2_hypersort.settings import (
    CONFIG_VARIABLE,
    OptimizerKind,
    Settings,
    System,
    SystemSettings,
    checks,
    shipped_configs,
)


@dataclass(frozen=True, kw_only=True)
class Fruit:
    """A section of one key."""

    apples: int = field(default=3, metadata=checks.integer(0, 9))


@dataclass(frozen=True, kw_only=True)
class FruitSettings(SystemSettings):
    """A system of one section; more than eight apples need Adam."""

    system: ClassVar[System] = System("Fruit", section="fruit", variable="FRUIT_CONFIG")
    fruit: Fruit = field(default_factory=Fruit)

    def check(self, *, source: str) -> None:
        if self.fruit.apples > 8 and self.training.optimizer is not OptimizerKind.ADAM:
            raise HyperSORTError(f"{source}: too many apples.")


def test_hypersort_is_a_system_with_the_section_and_variable_of_ever():
    assert (Settings.system.section, Settings.system.variable) == (PLANS_SECTION, CONFIG_VARIABLE)
    assert (PLANS_SECTION, CONFIG_VARIABLE) == ("hypersort", "HYPERSORT_CONFIG")
    assert list(Settings().to_dict()) == ["latent", "hypernetwork", "training"]
    assert Settings().training.optimizer is OptimizerKind.ADAM


def test_the_training_of_any_system_leaves_nnunets_values():
    assert set(FruitSettings().to_dict()["training"].values()) == {None}


def test_yaml_to_plans_and_back(tmp_path, monkeypatch):
    assert FruitSettings.from_environment() is None
    (tmp_path / "mine.yaml").write_text("fruit: {apples: 5}\ntraining: {seed: 1}\n")
    monkeypatch.setenv("FRUIT_CONFIG", str(tmp_path / "mine.yaml"))
    settings = FruitSettings.from_environment()
    assert settings is not None
    assert (settings.fruit.apples, settings.training.seed) == (5, 1)
    plans = {"hypersort": {"settings": Settings().to_dict()}}
    settings.store_in(plans)
    assert FruitSettings.from_plans(plans, source="plans.json") == settings
    assert Settings.from_plans(plans, source="plans.json") == Settings()
    assert settings.differences(FruitSettings()) == [("fruit.apples", 5, 3), ("training.seed", 1, None)]
    for nothing in (None, {}, {"fruit": 3}, {"fruit": {"styles": []}}):
        assert FruitSettings.from_plans(nothing, source="plans.json") is None
    with pytest.raises(HyperSORTError, match=r"plans\.json: fruit\.settings: fruit\.apples: expected an integer"):
        FruitSettings.from_plans({"fruit": {"settings": {"fruit": {"apples": 10}}}}, source="plans.json")


def test_values_that_exclude_each_other_are_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("fruit: {apples: 9}")
    with pytest.raises(HyperSORTError, match=r"mine\.yaml: too many apples"):
        FruitSettings.load(path)
    path.write_text("fruit: {apples: 9}\ntraining: {optimizer: adam}")
    assert FruitSettings.load(path).fruit.apples == 9


def test_each_system_has_configs_of_its_own():
    assert shipped_configs() == ["amos22", "default", "published", "totalsegmentator"]
    assert shipped_configs("fruit") == []
    with pytest.raises(HyperSORTError, match=r"'default' \(FRUIT_CONFIG\) are neither a file nor .*\(there are none\)"):
        FruitSettings.load("default")
