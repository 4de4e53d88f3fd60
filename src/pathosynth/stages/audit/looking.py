"""One case of an audit: how like the training cases it is, how well the model knows it, what the model makes of it."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.checks.copies import learn_copies, likeness_of
from pathosynth.data.cases import Case
from pathosynth.data.copy_reference import CopyReference, load_reference, save_reference
from pathosynth.data.intensity import robust_scale
from pathosynth.data.labelled import LabelledBrain
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.data.requests import Request
from pathosynth.data.volume import Volume
from pathosynth.metrics.texture import texture_likeness
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import inputs, outputs
from pathosynth.stages.audit.asked import LEVELS, Audit, Task, loaded
from pathosynth.stages.batch import Result
from pathosynth.stages.generate_images import Rendering, image_of
from pathosynth.stages.label_models import draw
from pathosynth.stages.models import Found, load_generator
from pathosynth.stages.naming import child_name

MADE = "generated"
"""Subfolder of OUT for what the audit lets the model make."""


def prepare(waiting: Sequence[Task], *, audit: Audit, out: Path) -> None:
    """Fingerprints of the training cases, anew and not as the model folder has them.

    Raises:
        InputError: a training case cannot be recognised.
    """
    if (out / "copies.safetensors").is_file():
        return
    scheme = inputs.one_scheme(audit.own)
    brains = [_pair(case, scheme, audit.contrast) for case in audit.own]
    save_reference(out, learn_copies(brains, scheme, [one.image for one in brains] if audit.contrast else None))


def look(task: Task, *, audit: Audit, out: Path) -> Result:
    """Look at one case; what is measured goes into the run record."""
    if task.row is None:
        return _drawn(task, audit, out)
    case, scheme = task.row, inputs.one_scheme([task.row])
    brain = _pair(case, scheme, audit.contrast)
    facts: dict[str, Any] = {"role": task.role, "name": case.case, "subject": case.subject, "row": _shown(case)}
    if task.role == "generated":
        return Result("done", facts=facts | _likeness(case, brain, scheme, audit, out))
    facts |= _losses(case, brain, scheme, audit)
    if task.role == "held-out":
        facts["likeness"] = _alike(brain, scheme, out, image=bool(audit.contrast))
    if audit.contrast and not audit.generated:
        facts |= _rendered(case, brain, scheme, audit, out)
    return Result("done", facts=outputs.finite(facts))


def _likeness(case: Case, brain: Pair, scheme: LabelScheme, audit: Audit, out: Path) -> dict[str, Any]:
    """Of a case the user gave: what it was made from is not held against it, its texture is."""
    parents = {one.case: one for one in (*audit.training, *audit.held_out)}
    parent = parents.get(case.parent)
    if parent is None:
        return {"likeness": _alike(brain, scheme, out, image=bool(audit.contrast) and brain.image.size > 0)}
    facts: dict[str, Any] = {"parent": case.parent}
    if audit.contrast and case.origin == "generated":
        true = _pair(parent, scheme, audit.contrast)
        if true.labels.shape == brain.labels.shape and np.array_equal(true.labels, brain.labels):
            learnt = any(one.case == parent.case for one in audit.training)
            facts |= {"texture": texture_likeness(brain.image, true.image, brain.labels), "texture_of": parent.case}
            facts["texture_role"] = "training" if learnt else "held-out"
    return facts


def _rendered(case: Case, brain: Pair, scheme: LabelScheme, audit: Audit, out: Path) -> dict[str, Any]:
    """What the model renders from the labels of a real case, and how much of its image comes back."""
    rendering = Rendering(audit.found, {}, audit.device)
    request = Request(brain.labels, scheme, brain.spacing_mm)
    image = image_of(request, rendering, case_seed(audit.seed, case.case, "audit"))
    facts: dict[str, Any] = {"texture": texture_likeness(image, brain.image, brain.labels), "texture_of": case.case}
    if audit.control is not None:
        other = image_of(request, Rendering(audit.control, {}, audit.device), case_seed(audit.seed, case.case, "audit"))
        facts["texture_control"] = texture_likeness(other, brain.image, brain.labels)
    original = inputs.read_brain(case, scheme)
    row = case.model_copy(update={"case": child_name(case.case, "Audit", 1), "origin": "generated",
                                  "parent": case.case, "images": {}, "displacement": None})  # fmt: skip
    product = outputs.Product(
        row=row, scheme=scheme, original=original.original, labels=original.labels,
        image=original.labels.with_array(image), contrast=audit.contrast,
        sidecar={"Synthetic": True}, image_sidecar={"Synthetic": True, "Model": audit.found.identity},
    )  # fmt: skip
    written = outputs.write_case(out / MADE, product)
    return facts | {"made": _within(written["row"])}


def _drawn(task: Task, audit: Audit, out: Path) -> Result:
    """A label map drawn from the model, without any request."""
    if task.order is None:
        raise ValueError(f"{task.case}: expected a case or an order")
    labelling = audit.labelling()
    made = draw(labelling, task.order.asked, task.order.seed(1)).labels
    scheme = load_scheme(labelling.scheme)
    row = Case(case=task.order.case, subject=task.order.case, origin="generated", scheme=labelling.scheme)
    sidecar = {"Synthetic": True, "Model": audit.found.identity}
    written = outputs.write_case(out / MADE, outputs.Product(row, scheme, made, made, sidecar=sidecar))
    brain = Pair(row.case, row.subject, made.array, np.zeros(0, np.float32), made.spacing_mm)
    facts = {"role": "generated", "name": row.case, "subject": row.subject, "made": _within(written["row"])}
    return Result("done", facts=outputs.finite(facts | {"likeness": _alike(brain, scheme, out, image=False)}))


def _losses(case: Case, brain: Pair, scheme: LabelScheme, audit: Audit) -> dict[str, Any]:
    """Denoising losses of the model, and of the control where there is one; nothing where a model cannot tell."""
    found = {"losses": _losses_of(audit.found, case, brain, scheme, audit)}
    if audit.control is not None:
        found["control_losses"] = _losses_of(audit.control, case, brain, scheme, audit)
    return {name: losses for name, losses in found.items() if losses}


def _losses_of(found: Found, case: Case, brain: Pair, scheme: LabelScheme, audit: Audit) -> list[float]:
    module = load_generator(found.generator)
    if not hasattr(module, "denoising_losses") or found.folder is None:
        return []
    model = loaded(found.generator, found.folder, audit.device)
    example: Any = brain
    if audit.makes_labels:
        example = LabelledBrain(case.case, case.subject, brain.labels, brain.spacing_mm, case.age_weeks, case.age_years)
    losses: list[float] = module.denoising_losses(model, example, scheme, LEVELS, audit.seed)
    return losses


def _alike(brain: Pair, scheme: LabelScheme, out: Path, *, image: bool) -> list[dict[str, Any]]:
    known = _known(out)
    return [] if known is None else likeness_of(brain.labels, brain.image if image else None, scheme, known)


@lru_cache(maxsize=2)
def _known(out: Path) -> CopyReference | None:
    return load_reference(out)


def _pair(case: Case, scheme: LabelScheme, contrast: str) -> Pair:
    """Labels and scaled image of a case; an empty image where there is none of the contrast."""
    brain = inputs.read_brain(case, scheme, contrast)
    empty = np.zeros(0, np.float32)
    image = empty if brain.image is None else robust_scale(brain.image.array, brain.labels.array > 0)[0]
    return Pair(case.case, case.subject, brain.labels.array, image, brain.labels.spacing_mm, contrast)


def _shown(case: Case) -> dict[str, Any]:
    """Where the files of a case are, for the page."""
    images = {contrast: str(path) for contrast, path in case.images.items()}
    return {"labels": str(case.labels), "images": images, "scheme": case.scheme}


def _within(row: dict[str, Any]) -> dict[str, Any]:
    return {"labels": f"{MADE}/{row['labels']}", "scheme": row["scheme"],
            "images": {contrast: f"{MADE}/{path}" for contrast, path in row["images"].items()}}  # fmt: skip


def volume_of(shown: dict[str, Any], out: Path, contrast: str) -> tuple[Volume, Volume | None, LabelScheme]:
    """Labels, image and legend of a case the audit looked at, in RAS orientation.

    Raises:
        InputError: a file is gone or damaged.
    """
    images = {name: out / path for name, path in shown["images"].items()}
    case = Case(case="shown", subject="shown", scheme=shown["scheme"], labels=out / shown["labels"], images=images)
    scheme = load_scheme(case.scheme)
    brain = inputs.read_brain(case, scheme, contrast)
    return brain.labels, brain.image, scheme
