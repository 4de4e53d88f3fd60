"""Labels -> images: renders every label map with what is in ``image_generators/``."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.data.cases import Case
from pathosynth.data.grid import crop, crop_box, uncrop
from pathosynth.data.intensity import robust_scale
from pathosynth.data.labels import LabelScheme
from pathosynth.data.nifti import read_field
from pathosynth.data.requests import Request
from pathosynth.data.volume import Volume
from pathosynth.runs.config import parse_settings
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.record import RunRecord
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import inputs, outputs
from pathosynth.stages.audits import audited
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.models import DEFAULT_MODEL, Found, device_for, find_model, folders_of, load_generator, render
from pathosynth.stages.naming import child_name, claim
from pathosynth.stages.provenance import people
from pathosynth.stages.seed_choice import Choosing, Chosen, write_seeds

BYTES_PER_VOXEL = 260
"""Peak of rendering per voxel of the label map: pixel_diffusion took 0.84 GiB for 4.0 million voxels at 0.8 mm."""

MARGIN_MM = 6.0
"""Rim around the brain that is rendered with it."""


@dataclass(frozen=True)
class Rendering:
    """A model, the settings of a generator without weights, and where it computes."""

    found: Found
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    @classmethod
    def of(cls, model: str, settings: Sequence[str], device: str, contrast: str = "") -> "Rendering":
        """Build from ``--model``, ``--set``, ``--device`` and ``--contrast``.

        Raises:
            ModelError: there is no such model.
            ConfigError: a setting is malformed, or the model does not make that contrast.
        """
        found, values = find_model(model or DEFAULT_MODEL), parse_settings(list(settings))
        if found.folder is None:
            own = getattr(load_generator(found.generator), "MAKES", contrast)
            if contrast and contrast != own and "contrast" not in values:
                raise ConfigError(
                    f"--contrast {contrast}: {found.name} makes images that look like {own} unless told. Give --set "
                    "contrast=random, or a table that measure_contrast made."
                )
            found = replace(found, card={"config": {"contrast": contrast}}) if contrast else found
        elif "contrast" in values:
            raise ConfigError(f"--set contrast={values['contrast']}: a trained model is given --contrast instead.")
        elif contrast and contrast not in found.contrasts:
            known = ", ".join(found.contrasts)
            raise ConfigError(f"--contrast {contrast}: {found.name} makes {known}. Choose one of them.")
        elif contrast and contrast != found.contrast:
            values["contrast"] = contrast
        return cls(found, values, device_for(found, device))

    @property
    def contrast(self) -> str:
        """Image column of the case table that is filled, e.g. T2w."""
        chosen = self.settings.get("contrast") if self.found.folder else None
        return str(chosen or self.found.contrast)

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        return {
            "model": self.found.identity,
            "generator": self.found.generator,
            "generator_settings": dict(self.settings),
        }


@dataclass(frozen=True)
class Rendered:
    """One image to be made: of which case, with which parent, under which name, with which seed."""

    case: str
    labelled: Case
    parent: Case | None
    seed: int

    @property
    def source(self) -> str:
        """Name of the case with the labels."""
        return self.labelled.case


def plan(
    cases: Sequence[Case],
    parents: Sequence[Case],
    rendering: Rendering,
    per_case: int,
    options: Options,
    choosing: Choosing | None = None,
) -> Plan:
    """Every image of every case becomes one task.

    Args:
        cases: label maps to be rendered.
        parents: cases whose images may be carried along; empty where the generator needs none.
        rendering: model and settings.
        per_case: images per label map.
        options: how to run.
        choosing: how many seeds each image is chosen from; None renders one.

    Raises:
        InputError: two images would get the same name.
    """
    tasks = renderings(cases, parents, per_case, options.seed)
    return Plan(
        command="generate-images",
        config={**rendering.described(), "per_case": per_case, **(choosing.described() if choosing else {})},
        inputs=inputs.files_of([*cases, *parents]),
        tasks=tasks,
        work=functools.partial(render_case, rendering=rendering, out=options.out, choosing=choosing),
        finish=functools.partial(_finish, order=[task.case for task in tasks], choosing=choosing),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL),
        makes=f"{len(tasks)} {rendering.contrast} images with {rendering.found.identity}"
        + (f", each the best of {choosing.number} seeds" if choosing else ""),
        device=rendering.device,
        facts=folders_of(rendering.found),
    )


def renderings(cases: Sequence[Case], parents: Sequence[Case], per_case: int, run_seed: int) -> list[Rendered]:
    """Names and seeds of the images: a morphed case keeps its name, a real one gets a synthetic name of its own.

    Raises:
        InputError: two images would get the same name.
    """
    by_name, made = {case.case: case for case in parents}, dict[str, Rendered]()
    taken: dict[str, str] = {}
    for case in cases:
        for number in range(1, per_case + 1):
            keeps = case.origin != "real" and per_case == 1
            name = child_name(case.case) if keeps else child_name(case.case, "Generated", number)
            claim(taken, name, case.case)
            made[name] = Rendered(name, case, by_name.get(case.parent), case_seed(run_seed, name, "image"))
    return list(made.values())


def image_of(request: Request, rendering: Rendering, seed: int) -> np.ndarray:
    """Render around the brain only and put the result back, so that empty space costs neither time nor memory.

    Returns:
        (I, J, K) float32 on the request's grid, 0 outside the labels.

    Raises:
        InputError: the labels do not suit the model, or the image has a value that is not finite.
    """
    box = crop_box(request.labels > 0, round(MARGIN_MM / min(request.spacing_mm)))
    inner = Request(
        labels=crop(request.labels, box, 0),
        scheme=request.scheme,
        spacing_mm=request.spacing_mm,
        parent_image=None if request.parent_image is None else crop(request.parent_image, box, 0),
        displacement=None if request.displacement is None else crop(request.displacement, box, 0),
    )
    image = render(rendering.found, inner, seed, rendering.device, rendering.settings)
    if not np.isfinite(image).all():
        raise InputError(f"{rendering.found.identity} made an image with NaN or infinite voxels. Try another seed.")
    return uncrop(image.astype(np.float32), box, request.labels.shape, 0)


def scaled_parent(image: Volume | None, labels: Volume) -> np.ndarray | None:
    """The parent's image in the models' intensity unit: 0.5th and 99.5th percentile inside the labels are 0 and 1."""
    return None if image is None else robust_scale(image.array, labels.array > 0)[0]


def provenance(rendering: Rendering, scheme: LabelScheme, seed: int) -> dict[str, Any]:
    """Sidecar of a generated image."""
    return {
        "Synthetic": True,
        "SkullStripped": True,
        "Model": rendering.found.identity,
        "ModelSubjects": people(rendering.found),
        "ModelAudit": audited(rendering.found).status,
        "Generator": rendering.found.generator,
        "GeneratorSettings": dict(rendering.settings),
        "LabelScheme": scheme.name,
        "Seed": seed,
        "IntensityRule": f"int16; {outputs.INTENSITY_SCALE} is the 99.5th percentile of a real brain, 0 its 0.5th",
    }


def render_case(task: Rendered, *, rendering: Rendering, out: Path, choosing: Choosing | None = None) -> Result:
    """Read, render and write one case; where seeds are chosen from, the one with the highest score."""
    scheme, case = inputs.one_scheme([task.labelled]), task.labelled
    brain = inputs.read_brain(case, scheme)
    displacement = read_field(case.displacement)[0] if case.displacement else None
    carries = task.parent if case.displacement else None  # what was brought to another grid since has no displacement
    parent = inputs.read_brain(carries, scheme, rendering.contrast) if carries else None
    request = Request(
        labels=brain.labels.array,
        scheme=scheme,
        spacing_mm=brain.labels.spacing_mm,
        parent_image=scaled_parent(parent.image, parent.labels) if parent else None,
        displacement=displacement,
    )
    draws = choosing.draws(task.case, task.seed) if choosing else [task.seed]
    images = (image_of(request, rendering, seed) for seed in draws)
    chosen = choosing.choose(draws, images, brain.labels, scheme) if choosing else Chosen(task.seed, next(images))
    image = brain.labels.with_array(chosen.image)
    origin = "generated" if case.origin == "real" else case.origin
    parent_name = case.case if case.origin == "real" else case.parent
    row = case.model_copy(
        update={"case": task.case, "origin": origin, "parent": parent_name, "seed": chosen.seed, "images": {}}
    )
    product = outputs.Product(
        row=row,
        scheme=scheme,
        original=brain.original,
        labels=brain.labels,
        image=image,
        contrast=rendering.contrast,
        sidecar={"Parent": parent_name, "ParentSubject": case.subject},
        image_sidecar=provenance(rendering, scheme, chosen.seed) | chosen.sidecar(),
    )
    return Result("done", facts=outputs.write_case(out, product) | ({"seeds": chosen.log} if chosen.log else {}))


def _finish(out: Path, record: RunRecord, *, order: Sequence[str], choosing: Choosing | None) -> None:
    """Write the tables, and every seed with its score where there was a choice."""
    outputs.finish(out, record, order=order)
    if choosing is not None:
        write_seeds(out, record, order, choosing)
