"""Shipped label schemes: complete, consistent, tellable apart, and remapped without moving the brain's outline."""

import re
from pathlib import Path

import numpy as np
import pytest
from skimage import color as skcolor

from pathosynth.data.color_tables import color_table
from pathosynth.data.labels import LabelScheme, check_values, load_scheme, remap_labels, scheme_names
from pathosynth.runs.errors import ConfigError, InputError

SCHEMES = [load_scheme(name) for name in scheme_names()]
PAIRS = [(scheme, target) for scheme in SCHEMES for target in scheme.to]

# Machado et al. 2009, complete deuteranopia and protanopia, on linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)


def test_the_promised_schemes_ship() -> None:
    promised = {"feta": 7, "kcl8": 8, "drawem9": 9, "fetal4": 3, "synthseg": 32, "synthsegfull": 53, "neuromorph": 144}
    assert {*promised, "aseg"} <= set(scheme_names())
    assert {scheme.name: len(scheme.labels) for scheme in SCHEMES if scheme.name in promised} == promised


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_head_is_csf_plus_tissue(scheme: LabelScheme) -> None:
    """Inside the skull there is tissue, CSF, ventricle and choroid plexus; tissue holds no CSF; groups lie inside.

    A scheme that names what lies beyond the skull names all of it.
    """
    inside = set(scheme.group("intracranial"))
    tissue = set(scheme.group("tissue"))
    whole = ("intracranial", "tissue", "extracranial")
    parts = {name: set(scheme.group(name)) for name in scheme.groups if name not in whole}
    plexus = parts.get("choroid_plexus", set())
    for name, members in parts.items():
        assert members <= inside, name
        if name.endswith(("ventricle", "ventricles", "csf", "horn", "horns")):
            assert not members & tissue, name
            assert all(scheme[value].tissue == "csf" for value in members - plexus), name
    fluid = {value for value in inside if scheme[value].tissue == "csf"}
    assert inside == tissue | fluid | plexus
    assert not tissue & (fluid | plexus)
    if scheme.has("extracranial"):
        assert set(scheme.group("extracranial")) == set(scheme.values) - inside


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s.has("lateral_ventricles")], ids=lambda scheme: scheme.name)
def test_ventricles_are_the_sum_of_their_parts(scheme: LabelScheme) -> None:
    left, right = set(scheme.group("left_lateral_ventricle")), set(scheme.group("right_lateral_ventricle"))
    assert left | right == set(scheme.group("lateral_ventricles"))
    assert {scheme[value].partner for value in left} == right
    assert all(scheme[value].name.startswith("left_") for value in left)
    middle = set(scheme.group("third_ventricle")) | set(scheme.group("fourth_ventricle"))
    fifth = {label.value for label in scheme.labels if label.name == "fifth_ventricle"}
    assert left | right | middle | fifth == set(scheme.group("ventricles"))


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s.has("lateral_ventricles")], ids=lambda scheme: scheme.name)
def test_inferior_horns_are_parts_of_their_lateral_ventricle(scheme: LabelScheme) -> None:
    horns = {side: set(scheme.group(f"{side}_inferior_horn")) for side in ("left", "right")}
    assert horns["left"] | horns["right"] == set(scheme.group("inferior_horns"))
    assert {scheme[value].partner for value in horns["left"]} == horns["right"]
    for side, members in horns.items():
        assert members < set(scheme.group(f"{side}_lateral_ventricle"))
        assert all("inferior" in scheme[value].name for value in members)


def test_numbers_are_those_of_the_published_tables() -> None:
    """FreeSurferColorLUT, FeTA, Draw-EM: typed here from the sources, not from our files."""
    published = {
        "aseg": {4: "left_lateral_ventricle", 43: "right_lateral_ventricle", 14: "third_ventricle",
                 15: "fourth_ventricle", 16: "brainstem", 17: "left_hippocampus", 54: "right_amygdala",
                 24: "external_csf", 49: "right_thalamus", 31: "left_choroid_plexus", 72: "fifth_ventricle",
                 85: "optic_chiasm", 253: "corpus_callosum_central"},
        "feta": {1: "external_csf", 2: "cortical_grey_matter", 3: "white_matter", 4: "ventricular_csf", 5: "cerebellum",
                 6: "deep_grey_matter", 7: "brainstem"},
        "synthsegfull": {25: "left_white_matter_lesion", 137: "left_inferior_choroid_plexus", 506: "eyeballs",
                         163: "right_choroid_plexus", 515: "cortical_bone", 512: "spinal_cord", 5:
                         "left_inferior_lateral_ventricle", 58: "right_accumbens"},
        "neuromorph": {51: "right_lateral_ventricle", 50: "left_inferior_lateral_ventricle", 4: "third_ventricle",
                       11: "fourth_ventricle", 39: "left_cerebellum_cortex", 207: "left_transverse_temporal_gyrus",
                       100: "right_anterior_cingulate_gyrus", 72: "vermis_lobules_6_7", 46: "external_csf"},
        "drawem9": {1: "external_csf", 4: "intracranial_background", 5: "ventricular_csf", 9: "hippocampus_amygdala"},
    }  # fmt: skip
    for name, labels in published.items():
        for value, label in labels.items():
            assert load_scheme(name)[value].name == label
    assert load_scheme("aseg").group("ventricles") == (4, 5, 14, 15, 43, 44, 72)


@pytest.mark.parametrize(("scheme", "target"), PAIRS, ids=lambda value: getattr(value, "name", value))
def test_remapping_is_complete_and_keeps_tissue_classes(scheme: LabelScheme, target: str) -> None:
    other, table = load_scheme(target), scheme.to[target]
    assert set(table) == set(scheme.values)
    assert set(table.values()) <= {0, *other.values}
    values = np.array([0, *scheme.values])
    mapped = remap_labels(values, table, others="error")
    np.testing.assert_array_equal(other.mask(mapped, "intracranial"), scheme.mask(values, "intracranial"))
    for group in ("ventricles", "external_csf", "cerebellum", "brainstem", "lateral_ventricles"):
        if scheme.has(group) and other.has(group):
            inside = scheme.mask(values, group)
            assert other.mask(mapped, group)[inside].all(), group
    sided = [v for v in scheme.values if scheme[v].partner and any(other[t].partner for t in other.values)]
    for value in sided:
        assert other[table[value]].partner in (table[scheme[value].partner], None), value


def test_chained_remapping_equals_the_direct_one() -> None:
    """All reach feta over kcl8 as they do directly; aseg reaches kcl8 over synthseg, oddities aside."""
    for name in ("drawem9", "aseg", "synthseg", "synthsegfull", "neuromorph"):
        scheme, kcl8 = load_scheme(name), load_scheme("kcl8")
        over = {value: kcl8.to["feta"].get(step, 0) for value, step in scheme.to["kcl8"].items()}
        assert over == scheme.to["feta"]
    for name in ("synthsegfull", "neuromorph"):
        scheme, aseg = load_scheme(name), load_scheme("aseg")
        for target in ("synthseg", "kcl8"):
            over = {value: aseg.to[target].get(step, 0) for value, step in scheme.to["aseg"].items()}
            sides = {value for value in over if over[value] != scheme.to[target][value]}
            assert sides == ({57} if (name, target) == ("synthsegfull", "synthseg") else set())
    aseg, synthseg = load_scheme("aseg"), load_scheme("synthseg")
    over = {value: synthseg.to["kcl8"][step] for value, step in aseg.to["synthseg"].items()}
    assert {value for value in over if over[value] != aseg.to["kcl8"][value]} == {85, 251, 252, 253, 254, 255}


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_colours_and_abbreviations_are_unique(scheme: LabelScheme) -> None:
    assert len({label.color for label in scheme.labels}) == len(scheme.labels)
    assert len({label.abbreviation for label in scheme.labels}) == len(scheme.labels)


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if len(s.labels) < 10], ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("vision", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["full", "deuteranopia", "protanopia"])
def test_colours_can_be_told_apart(scheme: LabelScheme, vision: np.ndarray) -> None:
    rgb = np.array([[int(label.color[at : at + 2], 16) for at in (1, 3, 5)] for label in scheme.labels]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ vision.T, 0, 1)
    lab = skcolor.xyz2lab((seen @ skcolor.colorconv.xyz_from_rgb.T)[None])[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e3 * np.eye(len(lab))
    assert distance.min() > 10, [scheme.labels[i].name for i in np.unravel_index(distance.argmin(), distance.shape)]


def test_legends_hold_every_label() -> None:
    for scheme in SCHEMES:
        itksnap = re.findall(r'^(\d+) (\d+) (\d+) (\d+) \d \d \d "(.+)"$', color_table(scheme, "itksnap"), re.MULTILINE)
        assert [(int(v), name) for v, *_, name in itksnap[1:]] == [(label.value, label.name) for label in scheme.labels]
        assert [f"#{int(r):02x}{int(g):02x}{int(b):02x}" for _, r, g, b, _ in itksnap[1:]] == [
            label.color for label in scheme.labels
        ]
        freesurfer = re.findall(r"^(\d+) (\w+) (\d+) (\d+) (\d+) 0$", color_table(scheme, "freesurfer"), re.MULTILINE)
        assert len(freesurfer) == len(scheme.labels) + 1
        rows = [line.split("\t") for line in color_table(scheme, "bids").splitlines()]
        assert rows[0] == ["index", "name", "abbreviation", "color", "mapping"]
        assert rows[1][0] == "0"
        assert len(rows) == len(scheme.labels) + 2
        assert all(len(row) == 5 for row in rows)


def test_remap_policies() -> None:
    labels = np.array([[0, 1], [300, 7]], dtype=np.uint16)
    np.testing.assert_array_equal(remap_labels(labels, {1: 5, 300: 2, 7: 0}, others="error"), [[0, 5], [2, 0]])
    np.testing.assert_array_equal(remap_labels(labels, {1: 5}, others="zero"), [[0, 5], [0, 0]])
    kept = remap_labels(labels, {1: 5}, others="keep")
    np.testing.assert_array_equal(kept, [[0, 5], [300, 7]])
    assert kept.dtype == np.uint16
    assert remap_labels(labels, {1: 255, 300: 1, 7: 1}, others="error").dtype == np.uint8
    with pytest.raises(InputError, match=r"\[7, 300\]"):
        remap_labels(labels, {1: 5}, others="error")


def test_labels_outside_the_skull_are_taken_out_by_a_remapping_to_zero() -> None:
    full = load_scheme("synthsegfull")
    values = np.array([[0, *full.values]])
    mapped = remap_labels(values, full.to["synthseg"], others="error")
    np.testing.assert_array_equal(mapped == 0, ~full.mask(values, "intracranial"))
    check_values(mapped, load_scheme("synthseg"))


def test_unknown_values_are_counted_and_named() -> None:
    labels = np.array([0, 1, 9, 9, 77])
    with pytest.raises(InputError, match=r"here: .*'kcl8': 9 \(2 voxels\), 77 \(1 voxels\)"):
        check_values(labels, load_scheme("kcl8"), "here")
    with pytest.raises(InputError, match="no group 'lateral_ventricles'"):
        load_scheme("kcl8").group("lateral_ventricles")


def test_indices_are_dense_and_in_order() -> None:
    aseg = load_scheme("aseg")
    values = np.array([0, *aseg.values])
    np.testing.assert_array_equal(aseg.indices(values), np.arange(46))


def row(value: int, name: str, more: str = "") -> str:
    return f'{{ value = {value}, name = "{name}", abbreviation = "A", color = "#000000", tissue = "csf"{more} }}'


BROKEN = {
    "one-sided partner": (f"labels = [{row(1, 'a', ', partner = 2')}, {row(2, 'b')}]\n[groups]\n", "partner"),
    "value twice": (f"labels = [{row(1, 'a')}, {row(1, 'b')}]\n[groups]\n", "unique"),
    "background": (f"labels = [{row(0, 'a')}]\n[groups]\n", "0 is kept for background"),
    "group of nothing": (f"labels = [{row(1, 'a')}]\n[groups]\ng = [2]\n", "empty"),
    "remap with a hole": (f"labels = [{row(1, 'a')}]\n[groups]\n[to.feta]\n", "every value"),
    "not toml": ("labels = [", "not a valid"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_scheme_files_are_refused(name: str, tmp_path: Path) -> None:
    text, fragment = BROKEN[name]
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\ndescription = ""\nsource = ""\n{text}')
    with pytest.raises(ConfigError, match=fragment):
        load_scheme(str(path))


def test_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="aseg, drawem9, feta"):
        load_scheme("freesurfer")


def test_partner_indices_exchange_sides_and_keep_the_rest() -> None:
    scheme = load_scheme("synthseg")
    partners = scheme.partner_indices()
    assert np.array_equal(partners[partners], np.arange(len(scheme.values) + 1))
    assert partners[0] == 0
    third = 1 + scheme.values.index(14)
    assert partners[third] == third
    assert scheme.values[partners[1 + scheme.values.index(4)] - 1] == 43
