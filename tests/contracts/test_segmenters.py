"""What every segmenter must define, tried on all of them."""

import inspect

import pytest

from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError
from pathosynth.segmenters import SEGMENTERS

LEARNING = [name for name, module in SEGMENTERS.items() if hasattr(module, "train")]
OTHERS = sorted(set(SEGMENTERS) - set(LEARNING))


@pytest.mark.parametrize("name", SEGMENTERS)
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
        config = module.config_from_plan(plan, {"threads": 1})
        assert config.plan == plan
        assert "threads" not in config.identity()
        with pytest.raises(ConfigError, match="no_such_setting"):
            module.config_from_plan(plan, {"no_such_setting": 1})
    assert list(inspect.signature(module.predict).parameters) == ["asked", "machine"]
    assert set(inspect.signature(module.train).parameters) >= {"data", "config", "folder", "seed", "machine", "notice"}


@pytest.mark.parametrize("name", OTHERS)
def test_one_that_does_not_learn_checks_its_settings_before_anything_is_done(name: str) -> None:
    assert list(inspect.signature(SEGMENTERS[name].check).parameters) == ["config"]
