"""Pixel diffusion: what the network is told, what it is trained on, model folders, and generation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pathosynth.data.grid import resample_labels
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.data.requests import Request
from pathosynth.data.volume import Volume
from pathosynth.diffusion.distributed import Rank
from pathosynth.image_generators import pixel_diffusion
from pathosynth.image_generators.model_grid import bring_back, from_model_range, to_model_range
from pathosynth.image_generators.pixel_diffusion import Config, config_from_preset, generate, load_model, presets, train
from pathosynth.image_generators.pixel_diffusion.condition import analyse
from pathosynth.image_generators.pixel_diffusion.crops import batch_at, make_example
from pathosynth.runs.errors import ConfigError, InputError, ModelError

KCL8 = load_scheme("kcl8")
SPACING = (1.0, 1.0, 1.0)
RADIUS = 9.0


def ball(shape: tuple[int, int, int] = (32, 28, 30), radius: float = RADIUS, value: int = 2) -> np.ndarray:
    """White matter ellipsoid filling the box up to 2 voxels, with a ball of another label in its middle."""
    axes = [np.arange(n) - (n - 1) / 2 for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    a, b, c = (n / 2 - 2 for n in shape)
    labels = np.where((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1, 1, 0).astype(np.uint8)
    labels[x**2 + y**2 + z**2 <= radius**2] = value
    return labels


def pair_of(labels: np.ndarray, case: str = "one") -> Pair:
    image = np.where(labels == 2, 0.9, np.where(labels > 0, 0.3, 0.0)).astype(np.float32)
    return Pair(case, case, labels, image, SPACING)


def tiny(**training: object) -> Config:
    settings = {"steps": 6, "crop_voxels": [16, 16, 16], "precision": "fp32", "warmup_steps": 2, **training}
    network = {"width": 8, "multipliers": [1, 2], "blocks": 1, "head_width": 4}
    return config_from_preset("fast", {"training": settings, "network": network})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model")
    list(train([pair_of(ball())], KCL8, tiny(), out, rank=Rank()))
    return out


def test_distance_to_a_ball_is_its_closed_form() -> None:
    anatomy = analyse(ball(), KCL8, SPACING, Config().condition)
    axes = [np.arange(n) - (n - 1) / 2 for n in ball().shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    expected = np.sqrt(x**2 + y**2 + z**2) - RADIUS
    # Distances run between voxel centres, half a voxel from the surface on either side.
    assert np.abs(anatomy.distances_mm[0] - expected).max() < 1.0
    assert (np.sign(anatomy.distances_mm[0]) == np.where(ball() == 2, -1, 1)).all()


def test_positions_and_size_describe_the_labelled_box() -> None:
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[4:11, 10:21, 20:33] = 1
    anatomy = analyse(labels, KCL8, (2.0, 1.0, 0.5), Config().condition)
    assert anatomy.centre.tolist() == [7, 15, 26]
    assert anatomy.half_extent.tolist() == [3, 5, 6]
    assert np.exp(anatomy.log_size) * 200 == pytest.approx(7 * 11 * 13 / 1000)


def test_a_structure_that_is_missing_is_far_away_everywhere() -> None:
    anatomy = analyse(ball(value=1), KCL8, SPACING, Config().condition)
    assert (anatomy.distances_mm[0] == 100).all()


def test_a_crop_depends_on_seed_step_and_slot_alone() -> None:
    config = tiny()
    examples = [make_example(pair_of(ball(), name), KCL8, config) for name in ("a", "b", "c")]
    both, second = batch_at(examples, config, 7, 3, [0, 1]), batch_at(examples, config, 7, 3, [1])
    assert torch.equal(both.image[1:], second.image)
    assert torch.equal(both.fine[1:], second.fine)
    assert both.cases[1:] == second.cases
    assert not torch.equal(both.image[:1], second.image)
    assert not torch.equal(batch_at(examples, config, 8, 3, [1]).fine, second.fine)


@pytest.mark.parametrize("settings", [{"flip": 0.0, "affine": 0.0}, {"flip": 1.0, "affine": 0.0}, {"affine": 1.0}])
def test_image_labels_and_distances_of_a_crop_stay_together(settings: dict[str, float]) -> None:
    config = tiny(**settings)
    examples = [make_example(pair_of(ball()), KCL8, config)]
    for step in range(8):
        batch = batch_at(examples, config, 0, step, [0])
        image, fine = batch.image[0, 0].numpy(), batch.fine[0].numpy()
        ventricle, distance = fine[1] > 0.5, np.arctanh(np.clip(fine[8], -0.999, 0.999)) * 6
        clear = np.abs(distance) > 1.5  # away from the surface, where interpolation mixes
        assert (ventricle[clear] == (distance[clear] < 0)).all()
        inside = clear & (fine[:8].sum(axis=0) > 0)
        expected = np.where(ventricle, 0.8, -0.4)  # 0.9 and 0.3 in the network's range
        # Cubic interpolation rings by an eighth of the step of 1.2 beyond the surface.
        assert np.abs(image - expected)[inside].max(initial=0) < 0.16


def test_a_flip_mirrors_the_position_as_well() -> None:
    plain, mirrored = tiny(flip=0.0, affine=0.0), tiny(flip=1.0, affine=0.0)
    labels = ball()
    labels[:8][labels[:8] > 0] = 5  # only on the left
    for step in range(4):
        a = batch_at([make_example(pair_of(labels), KCL8, plain)], plain, 0, step, [0])
        b = batch_at([make_example(pair_of(labels), KCL8, mirrored)], mirrored, 0, step, [0])
        assert torch.equal(b.fine, a.fine.flip(2))
        assert torch.allclose(b.coarse[:, 0], -a.coarse[:, 0].flip(1), atol=1e-6)
        assert torch.allclose(b.coarse[:, 1:3], a.coarse[:, 1:3].flip(2), atol=1e-6)


def test_scaling_a_crop_scales_distances_and_size() -> None:
    config = tiny(affine=1.0, rotation_degrees=0.0, flip=0.0)
    example = make_example(pair_of(ball()), KCL8, config)
    sizes = {round(float(batch_at([example], config, 0, step, [0]).coarse[0, -1].mean()), 4) for step in range(6)}
    assert len(sizes) == 6
    assert all(abs(size - example.anatomy.log_size) <= 3 * 0.1 + 1e-4 for size in sizes)


def test_intensity_ranges_are_inverse_of_each_other() -> None:
    image = np.linspace(0, 1.5, 50, dtype=np.float32)
    assert np.allclose(from_model_range(to_model_range(image)), image, atol=1e-6)
    assert to_model_range(np.float32([0, 1])).tolist() == [-1, 1]


def test_learning_rate_warms_up_and_decays() -> None:
    config = tiny(steps=100, warmup_steps=10, decay_fraction=0.5, learning_rate=1.0)
    rates = [config.training.learning_rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:50] == [1.0] * 40
    assert rates[75] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.02)


def test_interrupted_training_ends_with_the_same_bits(tmp_path: Path, folder: Path) -> None:
    pairs = [pair_of(ball())]
    first = []
    for result in train(pairs, KCL8, tiny(), tmp_path, rank=Rank(), stop=lambda: len(first) >= 2):
        first.append(result.loss)
        if len(first) == 3:
            break
    second = [result.loss for result in train(pairs, KCL8, tiny(), tmp_path, rank=Rank())]
    again = [result.loss for result in train(pairs, KCL8, tiny(), tmp_path / "other", rank=Rank())]
    assert first + second == again
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    list(train([pair_of(ball())], KCL8, tiny(steps=1), tmp_path, rank=Rank()))
    with pytest.raises(ModelError, match="other settings"):
        list(train([pair_of(ball())], KCL8, tiny(steps=2), tmp_path, rank=Rank()))


def test_cases_of_different_voxel_size_are_refused(tmp_path: Path) -> None:
    other = Pair("two", "two", ball(), pair_of(ball()).image, (0.5, 0.5, 0.5))
    with pytest.raises(InputError, match=r"0\.500 to 1\.000"):
        list(train([pair_of(ball()), other], KCL8, tiny(), tmp_path, rank=Rank()))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "is missing"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x08" * 40), "damaged"),
        (lambda f: (f / "config.json").write_text("{"), "damaged"),
        (lambda f: (f / "config.json").write_text('{"format_version": 99}'), "format 99"),
        (
            lambda f: (f / "config.json").write_text(
                (f / "config.json").read_text().replace('"width": 8', '"width": 16')
            ),
            "do not fit",
        ),
    ],
)
def test_a_damaged_model_folder_is_refused(tmp_path: Path, folder: Path, damage: object, message: str) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)


def test_generation_keeps_the_grid_and_the_background(folder: Path) -> None:
    labels = np.zeros((45, 31, 38), np.uint8)
    labels[9:41, 2:30, 5:35] = ball()
    image = generate(load_model(folder), [Request(labels, KCL8, SPACING)], [1])[0]
    assert image.shape == labels.shape
    assert np.isfinite(image).all()
    assert (image[labels == 0] == 0).all()
    assert image[labels > 0].std() > 0


def test_the_seed_decides_and_the_company_does_not(folder: Path) -> None:
    model, request = load_model(folder), Request(ball(), KCL8, SPACING)
    one, other, again = generate(model, [request] * 3, [1, 2, 1])
    assert np.array_equal(one, again)
    assert np.array_equal(one, generate(model, [request], [1])[0])
    assert not np.array_equal(one, other)


def test_another_voxel_size_is_rendered_at_the_models_and_brought_back(folder: Path) -> None:
    labels = ball((16, 14, 15), radius=4)
    image = generate(load_model(folder), [Request(labels, KCL8, (2.0, 2.0, 2.0))], [1])[0]
    assert image.shape == labels.shape
    assert (image[labels == 0] == 0).all()
    assert (image[labels > 0] > 0).mean() > 0.5


@pytest.mark.parametrize("spacing", [0.7, 1.0, 1.7])
def test_a_constant_brain_stays_constant_to_its_edge_on_other_voxels(spacing: float) -> None:
    own = Volume(ball((20, 18, 19), radius=4), np.diag([spacing, spacing, spacing, 1.0]))
    grid = resample_labels(own, 0.8)
    back = bring_back((grid.array > 0) * np.float32(0.6), grid, own)
    assert np.abs(back[own.array > 0] - 0.6).max() < 1e-4
    assert not back[own.array == 0].any()


def test_labels_of_another_scheme_are_remapped_by_its_table_or_refused(folder: Path) -> None:
    model = load_model(folder)
    twin = LabelScheme.model_validate(
        KCL8.model_dump() | {"name": "twin", "to": {"kcl8": {value: value for value in KCL8.values}}}
    )
    same = generate(model, [Request(ball(), KCL8, SPACING), Request(ball(), twin, SPACING)], [3, 3])
    assert np.array_equal(*same)
    stranger = LabelScheme.model_validate(KCL8.model_dump() | {"name": "stranger", "to": {}})
    with pytest.raises(ConfigError, match="has tables to no other"):
        generate(model, [Request(ball(), stranger, SPACING)], [3])


def test_every_preset_is_valid_and_impossible_sizes_name_the_nearest() -> None:
    assert set(presets()) == {"fast", "paper", "overfit"}
    for name in presets():
        assert config_from_preset(name, {}).preset == name
    with pytest.raises(ConfigError, match=r"multiples of 8; the nearest are \[64, 72, 64\]"):
        config_from_preset("fast", {"training": {"crop_voxels": [63, 70, 65]}})
    with pytest.raises(ConfigError, match="stepps"):
        config_from_preset("fast", {"training": {"stepps": 3}})
    with pytest.raises(ConfigError, match="expected one of fast"):
        config_from_preset("slow", {})


@pytest.mark.slow
def test_trained_on_one_pair_it_reproduces_that_pair_and_follows_a_changed_label(tmp_path: Path) -> None:
    labels = ball()
    texture = np.random.default_rng(0).normal(0, 0.1, labels.shape)
    image = np.where(labels > 0, pair_of(labels).image + texture, 0).clip(0, 1).astype(np.float32)
    pair = Pair("one", "one", labels, image, SPACING)
    config = config_from_preset(
        "overfit", {"training": {"steps": 800, "crop_voxels": [32, 32, 32]}, "network": {"width": 16}}
    )
    list(train([pair], KCL8, config, tmp_path, rank=Rank()))
    model = load_model(tmp_path)
    made = generate(model, [Request(labels, KCL8, SPACING)], [0])[0]
    assert np.corrcoef(made[labels > 0], image[labels > 0])[0, 1] > 0.95
    without = generate(model, [Request(ball(radius=5), KCL8, SPACING)], [0])[0]
    shell = (labels == 2) & (ball(radius=5) == 1)
    assert made[shell].mean() - without[shell].mean() > 0.3


def test_the_package_offers_the_generator_contract() -> None:
    assert {"Config", "train", "generate", "load_model"} <= set(pixel_diffusion.__all__)
