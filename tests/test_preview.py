"""The montage shows the right planes, sides and colours; read back from the pixels."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError
from pathosynth.stages.preview import Panel, Row, montage, preview, row_of

SCHEME = load_scheme("kcl8")
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
WHITE, VENTRICLE, CEREBELLUM, BRAINSTEM = 1, 2, 3, 7


def head() -> Volume:
    """White matter; a ventricle in the middle; brainstem to the patient's right of it, cerebellum behind."""
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[4:36, 4:36, 4:36] = WHITE
    labels[17:23, 17:23, 17:23] = VENTRICLE
    labels[28:34, 17:23, 17:23] = BRAINSTEM
    labels[17:23, 5:11, 17:23] = CEREBELLUM
    return Volume(labels, AFFINE)


def case(name: str = "a", **fields: object) -> Case:
    return Case(case=name, subject=name, scheme="kcl8", **fields)


def is_color(picture: np.ndarray, value: int) -> np.ndarray:
    """Pixels with the colour of a label; the legend below is cut off."""
    rgb = np.array([int(SCHEME[value].color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    planes = picture[: int(0.72 * len(picture))]
    return np.abs(planes[..., :3] - rgb).max(axis=-1) < 0.02


def planes_with(path: Path, value: int, blocks: int = 1) -> list[np.ndarray]:
    """Where a label's colour is, for each of the planes of the first row."""
    hits = is_color(imread(path), value)
    return np.array_split(hits, 3 * blocks, axis=1)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    montage(tmp_path / "m.png", [Row("a", "", SCHEME, (Panel("labels", head()),))])
    return tmp_path / "m.png"


def test_all_three_planes_go_through_the_ventricle(drawn: Path) -> None:
    assert all(plane.any() for plane in planes_with(drawn, VENTRICLE))


def test_the_patients_right_is_on_the_left(drawn: Path) -> None:
    _, coronal, axial = planes_with(drawn, BRAINSTEM)
    for plane, ventricle in zip((coronal, axial), planes_with(drawn, VENTRICLE)[1:], strict=True):
        assert plane.any()
        assert np.argwhere(plane)[:, 1].mean() < np.argwhere(ventricle)[:, 1].mean() - 5


def test_posterior_is_left_in_sagittal_and_down_in_axial(drawn: Path) -> None:
    sagittal, _, axial = planes_with(drawn, CEREBELLUM)
    middle_sagittal, _, middle_axial = planes_with(drawn, VENTRICLE)
    assert np.argwhere(sagittal)[:, 1].mean() < np.argwhere(middle_sagittal)[:, 1].mean() - 5
    assert np.argwhere(axial)[:, 0].mean() > np.argwhere(middle_axial)[:, 0].mean() + 5


def test_words_below_a_narrow_picture_are_not_cut_off(drawn: Path, tmp_path: Path) -> None:
    four = (Panel("labels", head()),) * 4
    montage(tmp_path / "wide.png", [Row("a", "", SCHEME, four)])
    for path in (drawn, tmp_path / "wide.png"):
        lit = imread(path)[..., :3].max(axis=-1) > 0.1
        below = lit[int(0.8 * len(lit)) :]
        assert below.any()
        assert not below[:, -3:].any(), path


def test_planes_follow_the_ventricles_not_the_grid(tmp_path: Path) -> None:
    labels = head().array.copy()
    labels[labels != 0] = WHITE
    labels[6:10, 28:32, 30:34] = VENTRICLE
    montage(tmp_path / "m.png", [Row("a", "", SCHEME, (Panel("labels", Volume(labels, AFFINE)),))])
    assert all(plane.any() for plane in planes_with(tmp_path / "m.png", VENTRICLE))


def test_anisotropic_voxels_keep_their_proportions(tmp_path: Path) -> None:
    thick = Volume(np.ascontiguousarray(head().array[:, :, ::2]), np.diag([2.0, 2.0, 4.0, 1.0]))
    montage(tmp_path / "m.png", [Row("a", "", SCHEME, (Panel("labels", thick),))])
    where = np.argwhere(planes_with(tmp_path / "m.png", VENTRICLE)[0])
    height, width = np.ptp(where, axis=0) + 1
    assert height == pytest.approx(width, abs=3)


def test_images_share_one_window_whatever_their_unit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = head()
    image = (labels.array * 0.1 + rng.random(labels.shape)).astype(np.float32)
    for name, factor in (("small", 1.0), ("large", 900.0)):
        panel = Panel("image", labels, labels.with_array(image * np.float32(factor)), outlines=False)
        montage(tmp_path / f"{name}.png", [Row("a", "", SCHEME, (panel,))])
    np.testing.assert_allclose(imread(tmp_path / "small.png"), imread(tmp_path / "large.png"), atol=2 / 255)


def test_outlines_are_drawn_in_the_scheme_s_colours_only_when_asked(tmp_path: Path) -> None:
    labels = head()
    image = labels.with_array((labels.array > 0).astype(np.float32) + np.linspace(0, 1, 40, dtype=np.float32))
    colourful = {}
    for outlines in (True, False):
        montage(tmp_path / "m.png", [Row("a", "", SCHEME, (Panel("image", labels, image, outlines),))])
        planes = imread(tmp_path / "m.png")[:150, :, :3]
        colourful[outlines] = int((np.ptp(planes, axis=-1) > 0.2).sum())
    assert colourful[False] == 0
    assert colourful[True] > 100


def test_same_rows_same_bytes_and_no_half_files(tmp_path: Path) -> None:
    rows = [Row("a", "1 mL", SCHEME, (Panel("labels", head()),))]
    montage(tmp_path / "one.png", rows)
    montage(tmp_path / "two.png", rows)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_usual_row_tells_width_and_volume() -> None:
    labels = head()
    row = row_of(case(severity={"atrial_width_mm": 15.04}), labels, None, parent=labels)
    assert row.facts == "15.0 mm, 1.7 mL"  # 6^3 voxels of 8 mm3
    assert [panel.title for panel in row.panels] == ["parent labels", "labels"]


def test_preview_reads_cases_and_their_parents(tmp_path: Path) -> None:
    write_labels(tmp_path / "p_dseg.nii.gz", head())
    image = head().with_array(np.random.default_rng(0).random(head().shape, dtype=np.float32))
    write_image(tmp_path / "c_T2w.nii.gz", image)
    parent = case("p", labels=tmp_path / "p_dseg.nii.gz")
    child = case("c", labels=tmp_path / "p_dseg.nii.gz", parent="p", images={"T2w": tmp_path / "c_T2w.nii.gz"})
    preview([child], tmp_path / "with.png", parents=[parent])
    preview([child], tmp_path / "without.png")
    assert imread(tmp_path / "with.png").shape[1] > imread(tmp_path / "without.png").shape[1]
    preview([parent, child], tmp_path / "one.png", most=1)
    preview([parent], tmp_path / "alone.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "alone.png").read_bytes()


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one case"):
        montage(tmp_path / "m.png", [])
    empty = Volume(np.zeros((5, 5, 5), np.uint8), AFFINE)
    with pytest.raises(InputError, match="empty"):
        montage(tmp_path / "m.png", [Row("a", "", SCHEME, (Panel("labels", empty),))])
    assert not list(tmp_path.iterdir())
