"""The sanity view: surfaces against closed forms, sides and directions in world space, and a page that asks nobody."""

import base64
import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plotly.offline import get_plotlyjs
from typer.testing import CliRunner, Result

from pathosynth.cli import app
from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import write_field, write_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume
from pathosynth.data.warp import warp_image
from pathosynth.runs.errors import InputError
from pathosynth.stages.mesh_view import asked_values, mesh_view
from pathosynth.stages.mesh_view.page import json_for_html
from pathosynth.stages.mesh_view.scene import Seen, scene
from pathosynth.stages.mesh_view.structures import SKULL, mask_of, structures
from pathosynth.stages.mesh_view.surfaces import Surface, lattice_mm, movement_mm, surface, thinned

ISOTROPIC = np.diag([1.0, 1.0, 1.0, 1.0])
THICK = np.diag([0.8, 0.8, 2.4, 1.0])
FLIPPED = np.diag([-1.0, -1.0, 1.2, 1.0])
MIRRORED = np.diag([-1.0, 1.0, 1.0, 1.0])
GRIDS = {"isotropic": ISOTROPIC, "thick": THICK, "flipped": FLIPPED, "mirrored": MIRRORED}


def oblique() -> np.ndarray:
    """Voxels of 1 x 1.2 x 1.4 mm, turned about an axis that is none of the grid's, left-handed."""
    axis = np.array([1.0, 2.0, -1.0]) / np.sqrt(6)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + np.sin(0.5) * cross + (1 - np.cos(0.5)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-1.0, 1.2, 1.4])
    return affine


GRIDS["oblique"] = oblique()


def world_of(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def centred(affine: np.ndarray, shape: tuple[int, int, int], middle_mm: tuple[float, float, float]) -> np.ndarray:
    """The affine moved so that the middle of the grid lies at `middle_mm`."""
    moved = affine.copy()
    moved[:3, 3] = np.asarray(middle_mm) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return moved


def ball(affine: np.ndarray, radius_mm: float, middle_mm: tuple[float, float, float]) -> Volume:
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    i, j, k = (int(2 * radius_mm / edge) + 3 for edge in edges)
    placed = centred(affine, (i, j, k), middle_mm)
    return Volume(((world_of((i, j, k), placed) - middle_mm) ** 2).sum(axis=-1) < radius_mm**2, placed)


def area_mm2(found: Surface) -> float:
    a, b, c = np.moveaxis(found.vertices_mm.astype(np.float64)[found.triangles], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def enclosed_mm3(found: Surface) -> float:
    """By the divergence theorem; negative where the triangles face inwards."""
    a, b, c = np.moveaxis(found.vertices_mm.astype(np.float64)[found.triangles], 1, 0)
    return float(np.einsum("ni,ni->n", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_ball_has_its_area_volume_and_place_on_every_grid(grid: str) -> None:
    radius, middle = 15.0, (12.0, -31.0, 7.0)
    found = surface(ball(GRIDS[grid], radius, middle), 10**6)
    assert area_mm2(found) == pytest.approx(4 * np.pi * radius**2, rel=0.04)
    assert enclosed_mm3(found) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)
    np.testing.assert_allclose(found.vertices_mm.mean(axis=0), middle, atol=0.15)
    distance = np.linalg.norm(found.vertices_mm - middle, axis=1)
    voxel_mm3 = abs(np.linalg.det(GRIDS[grid][:3, :3]))
    assert enclosed_mm3(found) == pytest.approx(ball(GRIDS[grid], radius, middle).array.sum() * voxel_mm3, rel=0.01)
    assert abs(distance - radius).max() < 0.5 * max(np.linalg.norm(GRIDS[grid][:3, :3], axis=0))


@pytest.mark.parametrize("most", [500, 2000, 8000])
def test_fewer_vertices_when_fewer_are_allowed_and_still_a_ball(most: int) -> None:
    found = surface(ball(np.diag([0.5, 0.5, 0.5, 1.0]), 20.0, (0, 0, 0)), most)
    assert 0.8 * most < len(found.vertices_mm) < 1.1 * most
    assert enclosed_mm3(found) == pytest.approx(4 / 3 * np.pi * 20.0**3, rel=0.03)


def test_every_surface_is_closed_even_at_the_edge_of_the_volume() -> None:
    found = surface(Volume(np.ones((6, 7, 8), dtype=bool), ISOTROPIC), 10**6)
    edges = np.sort(np.concatenate([found.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert enclosed_mm3(found) == pytest.approx(6 * 7 * 8, rel=0.01)


def test_a_sheet_of_one_voxel_does_not_vanish() -> None:
    sheet = np.zeros((30, 30, 9), dtype=bool)
    sheet[3:27, 3:27, 4] = True
    assert enclosed_mm3(surface(Volume(sheet, ISOTROPIC), 10**6)) == pytest.approx(24 * 24, rel=0.01)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        surface(Volume(np.zeros((5, 5, 5), dtype=bool), ISOTROPIC), 100)


@pytest.mark.parametrize("grid", GRIDS)
def test_movement_points_from_the_parent_to_the_case_in_millimetres(grid: str, rng: np.random.Generator) -> None:
    affine = centred(GRIDS[grid], (20, 22, 24), (5.0, -4.0, 9.0))
    linear, constant = 0.05 * rng.standard_normal((3, 3)), rng.standard_normal(3)
    voxels = np.stack(np.meshgrid(*map(np.arange, (20, 22, 24)), indexing="ij"), axis=-1)
    displacement = np.moveaxis(voxels @ linear.T + constant, -1, 0)
    here = rng.uniform(2, 17, (50, 3))
    there = here + here @ linear.T + constant
    in_world = [points @ affine[:3, :3].T + affine[:3, 3] for points in (here, there)]
    moved = movement_mm(displacement, affine, in_world[0])
    np.testing.assert_allclose(moved, in_world[0] - in_world[1], atol=1e-9)


def test_thinned_points_are_apart_and_the_lattice_lies_inside(rng: np.random.Generator) -> None:
    points = rng.uniform(0, 40, (4000, 3))
    kept = thinned(points, 10.0)
    assert len(kept) == 4**3
    mask = ball(THICK, 15.0, (3.0, 4.0, 5.0))
    places = lattice_mm(mask, 5.0)
    assert (np.linalg.norm(places - (3.0, 4.0, 5.0), axis=1) < 15).all()
    assert len(places) == pytest.approx(4 / 3 * np.pi * 15**3 / (4.8 * 4.8 * 4.8), rel=0.15)


def heads(shape: tuple[int, int, int] = (60, 64, 40), affine: np.ndarray = FLIPPED) -> Volume:
    """A head in synthseg labels: large left and small right ventricle, cerebellum behind, brainstem below."""
    placed = centred(affine, shape, (0.0, 0.0, 0.0))
    world = world_of(shape, placed)

    def near(middle: tuple[float, float, float], radius: float) -> np.ndarray:
        return np.asarray(((world - middle) ** 2).sum(axis=-1) < radius**2)

    labels = np.zeros(shape, dtype=np.uint8)
    for value, middle, radius in (
        (3, (0, 0, 0), 22), (4, (-9, 2, 3), 7), (43, (9, 2, 3), 4), (8, (0, -14, -4), 5), (16, (0, -2, -12), 5),
    ):  # fmt: skip
        labels[near(middle, radius)] = value
    return Volume(labels, placed)


def case(name: str = "sick", **fields: Any) -> Case:
    return Case(case=name, subject="s", scheme="synthseg", **fields)


def decoded(packed: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["bdata"]), dtype=f"<{packed['dtype']}")


def scenes_of(path: Path) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="scenes">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found
    scenes: list[dict[str, Any]] = json.loads(found[1])
    return scenes


def test_left_is_left_and_behind_is_behind_whatever_the_orientation_of_the_file(tmp_path: Path) -> None:
    write_labels(tmp_path / "a_dseg.nii.gz", heads())
    mesh_view([case(labels=tmp_path / "a_dseg.nii.gz")], tmp_path / "a.html")
    meshes = scenes_of(tmp_path / "a.html")[0]["panes"][0]["meshes"]
    middle = {name: [decoded(mesh[axis]).mean() for axis in "xyz"] for name, mesh in meshes.items()}
    np.testing.assert_allclose(middle["lateral ventricle, left"], (-9, 2, 3), atol=0.3)
    np.testing.assert_allclose(middle["lateral ventricle, right"], (9, 2, 3), atol=0.3)
    np.testing.assert_allclose(middle["cerebellum"], (0, -14, -4), atol=0.3)
    left, right = (meshes[f"lateral ventricle, {side}"] for side in ("left", "right"))
    assert np.ptp(decoded(left["x"])) > 1.5 * np.ptp(decoded(right["x"]))


def seen_pair() -> Seen:
    """A head that moved by (2, -1, 3) voxels on a grid of 1 x 1 x 1.2 mm."""
    affine = centred(np.diag([1.0, 1.0, 1.2, 1.0]), (60, 64, 40), (0.0, 0.0, 0.0))
    parent = heads(affine=affine)
    field = np.broadcast_to(-np.array([2.0, -1.0, 3.0]).reshape(3, 1, 1, 1), (3, *parent.shape)).astype(np.float32)
    moved = warp_image(parent.array.astype(np.float32), field, order=1).astype(np.uint8)
    return Seen(case(parent="p"), load_scheme("synthseg"), parent.with_array(moved), parent=parent, displacement=field)


def test_movement_is_the_way_between_the_two_surfaces() -> None:
    shown = scene(seen_pair())
    healthy, morphed = (pane["meshes"]["lateral ventricle, left"] for pane in shown["panes"])
    way = [decoded(morphed[axis]).mean() - decoded(healthy[axis]).mean() for axis in "xyz"]
    np.testing.assert_allclose(way, (2.0, -1.0, 3.6), atol=0.05)
    length = np.sqrt(2.0**2 + 1.0**2 + 3.6**2)
    np.testing.assert_allclose(decoded(morphed["moved_mm"]), length, rtol=1e-5)
    assert shown["largest_mm"] == pytest.approx(length, abs=0.02)
    for rows in shown["arrows"].values():
        ends = np.reshape(rows, (-1, 2, 3))
        np.testing.assert_allclose(ends[:, 1] - ends[:, 0], np.tile((2.0, -1.0, 3.6), (len(rows), 1)), atol=0.02)
    assert 300 < len(shown["arrows"]["head"]) < 1500


def test_volumes_are_those_of_the_voxels_and_both_panes_share_one_scale() -> None:
    seen = seen_pair()
    shown = scene(seen)
    rows = {row["name"]: row["ml"] for row in shown["structures"]}
    expected = (seen.labels.array == 4).sum() * 1.2 / 1000
    assert rows["lateral ventricle, left"] == pytest.approx([expected, expected], abs=1e-3)
    points = [decoded(mesh[axis]) for pane in shown["panes"] for mesh in pane["meshes"].values() for axis in "xyz"]
    assert shown["half_mm"] == pytest.approx(max(np.ptp(values) for values in points) / 2, rel=0.02)


def test_what_is_not_there_is_left_out_and_said() -> None:
    labels = heads()
    labels.array[labels.array == 16] = 3
    shown = scene(Seen(case(), load_scheme("synthseg"), labels))
    assert "brainstem" not in shown["panes"][0]["meshes"]
    assert "'sick' has no brainstem; it is left out." in shown["notes"]
    assert shown["arrows"] is None
    assert next(row for row in shown["structures"] if row["name"] == "brainstem")["ml"] == [0.0]
    absent = structures(load_scheme("fetal4"))[1]
    assert set(absent) == {"cerebellum", "brainstem", "ventricles"}


@pytest.mark.parametrize("name", ["kcl8", "feta", "drawem9", "fetal4", "aseg", "synthseg"])
def test_structures_share_no_label_and_cover_the_ventricles(name: str) -> None:
    scheme = load_scheme(name)
    shown, _ = structures(scheme)
    values = [value for part in shown if not part.is_skull for value in part.values]
    assert len(values) == len(set(values))
    assert set(scheme.groups.get("ventricles", ())) <= set(values)
    assert shown[-1].name == SKULL
    assert len({part.color for part in shown}) == len(shown)


def test_the_skull_has_no_inside_surface() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[3:17, 3:17, 3:17] = 1
    labels[8:12, 8:12, 8:12] = 0
    skull = structures(load_scheme("kcl8"))[0][-1]
    assert mask_of(labels, skull).sum() == 14**3


def test_asked_values_come_from_exact_targets_else_from_the_numbers_that_were_set() -> None:
    target = {"measure": "cerebellum_ml", "unit": "mL", "asked": 3.1, "reached": 3.1}
    requested = {"atrial_width_mm": 18.0, "sample": "none", "flag": True}
    assert asked_values({"Requested": requested, "Report": {"targets": [target]}}) == {"cerebellum_ml": 3.1}
    assert asked_values({"Requested": requested, "Report": {}}) == {"atrial_width_mm": 18.0}
    assert asked_values({}) == {}


class References(HTMLParser):
    """Collects what a browser would load because of an attribute, and the scripts that stand in the page."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Case], list[Case]]:
    """A case with parent and displacement, on disk: cases, parents."""
    seen = seen_pair()
    assert seen.parent is not None
    assert seen.displacement is not None
    write_labels(tmp_path / "p_dseg.nii.gz", seen.parent)
    write_labels(tmp_path / "c_dseg.nii.gz", seen.labels)
    write_field(tmp_path / "c_xfm.nii.gz", seen.displacement, seen.labels.affine)
    child = case(
        labels=tmp_path / "c_dseg.nii.gz", displacement=tmp_path / "c_xfm.nii.gz", parent="p",
        severity={"atrial_width_mm": 17.9},
    )  # fmt: skip
    return [child], [case("p", labels=tmp_path / "p_dseg.nii.gz")]


def test_the_page_loads_nothing_and_may_load_nothing(files: tuple[list[Case], list[Case]], tmp_path: Path) -> None:
    megabytes, notes = mesh_view(files[0], tmp_path / "a.html", parents=files[1])
    text = (tmp_path / "a.html").read_text()
    own = text.replace(get_plotlyjs(), "")
    assert len(own) < len(text) - 10**6
    references = References()
    references.feed(own)
    assert references.loaded == ["data:,"]
    assert references.policy.startswith("default-src 'none';")
    assert "http" not in references.policy
    for word in ("http:", "https:", "fetch(", "XMLHttpRequest", "WebSocket", "import(", "import ", "url(", "@import"):
        assert word not in own
    assert megabytes == pytest.approx(len(text.encode()) / 1e6)
    assert len(own) < 3e6
    assert len(notes) == 4
    assert all("third ventricle" in note or "fourth ventricle" in note for note in notes)


def test_same_input_same_bytes_and_no_half_files(files: tuple[list[Case], list[Case]], tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    for name in ("one.html", "two.html"):
        mesh_view(files[0], tmp_path / name, parents=files[1])
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {"one.html", "two.html"}


def test_without_parent_or_displacement_there_is_a_page_and_a_note(
    files: tuple[list[Case], list[Case]], tmp_path: Path
) -> None:
    child = files[0][0].model_copy(update={"displacement": None})
    _, notes = mesh_view([child], tmp_path / "a.html")
    assert any("--parents" in note for note in notes)
    assert any("no displacement file" in note for note in notes)
    shown = scenes_of(tmp_path / "a.html")[0]
    assert len(shown["panes"]) == 1
    assert shown["arrows"] is None


def test_a_displacement_of_another_grid_is_refused(files: tuple[list[Case], list[Case]], tmp_path: Path) -> None:
    write_field(tmp_path / "other.nii.gz", np.zeros((3, 5, 5, 5)), np.eye(4))
    child = files[0][0].model_copy(update={"displacement": tmp_path / "other.nii.gz"})
    with pytest.raises(InputError, match="same grid"):
        mesh_view([child], tmp_path / "a.html", parents=files[1])
    assert not (tmp_path / "a.html").exists()


def test_text_cannot_leave_its_script_element() -> None:
    nasty = {"a": "</script><script>alert(1)</script><!-- & é"}
    text = json_for_html(nasty)
    assert not set("<>&") & set(text)
    assert json.loads(text) == nasty


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_command_line_from_morph_to_page(tmp_path: Path) -> None:
    write_labels(tmp_path / "in" / "head_dseg.nii.gz", brain_phantom(1, (76, 92, 76), 1.6))
    arguments = ("--scheme", "kcl8", "--pathology", "ventriculomegaly", "--set", "ventricle_fold=1.3")
    assert call("morph", "-i", tmp_path / "in", "-o", tmp_path / "out", *arguments).exit_code == 0
    page, parents = tmp_path / "view.html", ("--parents", tmp_path / "in", "--scheme", "kcl8")
    drawn = call("preview", "-i", tmp_path / "out", "-o", page, "--mesh", "--json", *parents)
    assert drawn.exit_code == 0, drawn.output
    assert json.loads(drawn.stdout)["megabytes"] == pytest.approx(page.stat().st_size / 1e6, abs=1e-3)
    shown = scenes_of(page)[0]
    row = next(csv.DictReader((tmp_path / "out" / "cases.csv").open()))
    healthy, morphed = next(part["ml"] for part in shown["structures"] if part["name"] == "ventricles")
    assert morphed / healthy == pytest.approx(1.3, rel=0.01)
    measured = {entry["measure"]: entry for entry in shown["severities"]}
    assert measured["ventricle"]["unit"] == "mL"
    assert measured["ventricle"]["reached"] == pytest.approx(json.loads(row["severity"])["ventricle_ml"])
    assert 0.3 < shown["largest_mm"] < 10
    points = np.stack([decoded(shown["panes"][1]["meshes"]["ventricles"][axis]) for axis in "xyz"], axis=1)
    ends = np.reshape(shown["arrows"]["surfaces"], (-1, 2, 3))
    outward = ((ends[:, 1] - ends[:, 0]) * (ends[:, 1] - points.mean(axis=0))).sum(axis=1)
    assert (outward > 0).mean() > 0.7
    again = call("preview", "-i", tmp_path / "out", "-o", page, "--mesh", *parents)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert call("preview", "-i", tmp_path / "out", "-o", page, "--mesh", "--overwrite", *parents).exit_code == 0


def test_the_ending_of_the_output_must_fit(tmp_path: Path) -> None:
    for ending, mesh in ((".png", ["--mesh"]), (".html", [])):
        refused = call("preview", "-i", tmp_path, "-o", tmp_path / f"a{ending}", "--scheme", "kcl8", *mesh)
        assert refused.exit_code == 2
        assert "expected the name of a new" in refused.stderr
