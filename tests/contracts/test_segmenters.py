"""What every segmenter must define, tried on all of them and on one from outside."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError
from pathosynth.segmenters import SEGMENTERS
from pathosynth.stages.plugins import use_plugins

OUTSIDE = Path(__file__).parents[1] / "plugins" / "nearest_mean.py"
LEARNING = [*(name for name, module in SEGMENTERS.items() if hasattr(module, "train")), OUTSIDE.stem]
OTHERS = sorted(set(SEGMENTERS) - set(LEARNING))


@pytest.fixture(autouse=True)
def _one_from_outside() -> Iterator[None]:
    use_plugins([OUTSIDE])
    yield
    SEGMENTERS.pop(OUTSIDE.stem)


@pytest.mark.parametrize("name", [*LEARNING, *OTHERS])
def test_settings_are_frozen_explained_and_know_no_other_keys(name: str) -> None:
    config = SEGMENTERS[name].Config
    assert issubclass(config, Config)
    assert all(field.description for field in config.model_fields.values())
    assert list(inspect.signature(SEGMENTERS[name].labels_of).parameters) == ["case", "like", "asked"]


@pytest.mark.parametrize("name", LEARNING)
def test_one_that_learns_has_plans_that_can_be_built_and_changed(name: str) -> None:
    module = SEGMENTERS[name]
    assert module.plans()
    for plan in module.plans():
        config = module.config_from_plan(plan, {})
        assert config.plan == plan
        with pytest.raises(ConfigError, match="no_such_setting"):
            module.config_from_plan(plan, {"no_such_setting": 1})
    assert module.config_from_plan("", {}).plan == next(iter(module.plans()))
    with pytest.raises(ConfigError, match="expected one of"):
        module.config_from_plan("no_such_plan", {})
    assert set(module.Config.model_fields) > module.CHANGEABLE
    assert list(inspect.signature(module.predict).parameters) == ["asked", "machine"]
    assert set(inspect.signature(module.train).parameters) >= {"data", "config", "folder", "seed", "machine", "notice"}


def test_cores_are_no_part_of_what_nnunet_is() -> None:
    one, two = (SEGMENTERS["nnunet"].config_from_plan("small", {"threads": threads}) for threads in (1, 2))
    assert one.identity() == two.identity()


@pytest.mark.parametrize("name", OTHERS)
def test_one_that_does_not_learn_checks_its_settings_before_anything_is_done(name: str) -> None:
    assert list(inspect.signature(SEGMENTERS[name].check).parameters) == ["config"]
