"""Is this case a copy of a training case?

The label map and the image are compared with every training case by fixed embeddings (`checks.fingerprints`) that see
folds and not size, shape or ventricles; nearer than different people are to each other is a copy. Meant for label maps
made by a generator: one morphed from a known parent resembles it on purpose, as do images rendered from it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np

from pathosynth.checks import fingerprints, likeness
from pathosynth.checks.fingerprints import Frame
from pathosynth.data.copy_reference import CopyReference, KnownCases
from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.data.labels import LabelScheme
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError

_NOT_JUDGED = (-1.0, 1.0)
_JUDGED = {"folds-labels-v1": "labels", "folds-image-v1": "image"}
_PLAIN = {"folds-labels-v1": "plain-labels-v1", "folds-image-v1": "plain-image-v1"}


class Config(BaseConfig):
    """What counts as a copy. Limits are learnt from how alike different training subjects are."""

    rule: Literal["95", "99.5"] = "99.5"
    """Percentile of the similarity between different subjects above which a case is a copy; 95 also turns down up
    to one novel case in twenty."""
    parts: tuple[Literal["labels", "image"], ...] = ("labels", "image")
    """What is compared, where both the case and the model have it."""


class LabelledCase(Protocol):
    """A training case: what `learn_copies` needs to know of it."""

    @property
    def case(self) -> str: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def labels(self) -> np.ndarray: ...  # noqa: D102


def learn_copies(
    cases: Sequence[LabelledCase], scheme: LabelScheme, images: Sequence[np.ndarray] | None = None
) -> CopyReference:
    """Fingerprints of training cases and the limits between people, for `save_reference`.

    Morphs need not be given, as their parents are found in their place; those that are given, and repeated scans, must
    carry one subject, or the limits rise to the similarity of a person with itself. Below
    `likeness.FEWEST_SUBJECTS` subjects there are no limits, and `check` judges nothing; see `likeness.limit` for what a
    limit from few subjects means.

    Args:
        cases: names, subjects and (I, J, K) labels of `scheme` in RAS orientation; grids may differ.
        scheme: legend of the labels.
        images: (I, J, K) of every case, on the grid of its labels; None where only labels were learnt from.

    Raises:
        InputError: no case, another number of images, or a case without a cerebrum or folds.
    """
    if not cases or (images is not None and len(images) != len(cases)):
        count = "no" if images is None else str(len(images))
        raise InputError(f"Copies: expected at least one training case, found {len(cases)} with {count} images.")
    vectors: dict[str, list[np.ndarray]] = {}
    for index, case in enumerate(cases):
        frame = fingerprints.frame_of(case.labels, scheme)
        if frame is None:
            raise InputError(f"Copies: {case.case} has no cerebrum to take a fingerprint of. Check its label map.")
        for kind, vector in _all_kinds(frame, None if images is None else images[index]):
            if not _usable(vector):
                raise InputError(f"Copies: {case.case} has nothing to recognise it by ({kind}). Check its voxels.")
            vectors.setdefault(kind, []).append(vector)
    names, subjects = tuple(case.case for case in cases), tuple(case.subject for case in cases)
    return {kind: _known(names, subjects, np.stack(rows), kind) for kind, rows in vectors.items()}


def check(case: CheckInput, config: Config) -> Finding:
    """Similarity to the nearest training case, -1 to 1: of labels or image, whichever is further over its limit."""
    reason = case.unusable(image=case.image is not None, labels=True)
    if reason or case.labels is None:
        return rejected("copies", _NOT_JUDGED[1], reason)
    if case.training_cases is None:
        return _unjudged("no fingerprints of training cases are known")
    if case.source_labels is not None:
        return _unjudged("made from the labels of a known case, which it resembles on purpose")
    frame = fingerprints.frame_of(case.labels, case.scheme)
    if frame is None:
        return rejected("copies", _NOT_JUDGED[1], "the label map shows no cerebrum")
    vectors = dict(_all_kinds(frame, case.image))
    empty = [kind for kind, vector in vectors.items() if not _usable(vector)]
    if empty:
        return rejected("copies", _NOT_JUDGED[1], f"there is nothing to recognise a brain by ({', '.join(empty)})")
    findings = [
        _compare(vectors, case.training_cases, kind, config)
        for kind, part in _JUDGED.items()
        if part in config.parts and kind in vectors and kind in case.training_cases
    ]
    if not findings:
        return _unjudged("the training cases are known by other embeddings or another part")
    worst = max(findings, key=lambda finding: (finding.judged, finding.value - finding.limit))
    return replace(worst, detail="; ".join(finding.detail for finding in findings))


def likeness_of(
    labels: np.ndarray, image: np.ndarray | None, scheme: LabelScheme, known: CopyReference
) -> list[dict[str, Any]]:
    """Likeness to the nearest training case, for an audit, which tells it for copies and novel cases alike.

    Args:
        labels: (I, J, K) of `scheme`.
        image: same grid; None where there is none.
        scheme: legend.
        known: the training cases.

    Returns:
        For every judged part (labels, image) a row with `part`, `similarity`, `case`, `subject`, `mirror` and the
        limits `suspect` (95 %) and `copy` (99.5 %), NaN where the training people were too few for one. Nothing where
        there is no cerebrum or nothing to recognise one by.
    """
    frame = fingerprints.frame_of(labels, scheme)
    rows = []
    for kind, vector in _all_kinds(frame, image) if frame is not None else ():
        if kind in _JUDGED and kind in known and _usable(vector):
            near, among = likeness.nearest(vector, known[kind], kind), known[kind]
            subject = among.subjects[among.cases.index(near.case)]
            row = {"part": _JUDGED[kind], "similarity": near.similarity, "case": near.case, "subject": subject}
            rows.append(row | {"mirror": near.mirror, "suspect": among.suspect, "copy": among.copy})
    return rows


def _all_kinds(frame: Frame, image: np.ndarray | None) -> Iterator[tuple[str, np.ndarray]]:
    """Every embedding that can be computed, by name."""
    yield "folds-labels-v1", fingerprints.label_folds(frame)
    yield "plain-labels-v1", fingerprints.label_plain(frame)
    if image is not None:
        ranks = fingerprints.image_ranks(frame, image)
        yield "folds-image-v1", fingerprints.image_folds(frame, ranks)
        yield "plain-image-v1", fingerprints.image_plain(frame, ranks)


def _usable(vector: np.ndarray) -> bool:
    """Finite and not constant beyond rounding."""
    return bool(np.isfinite(vector).all() and np.ptp(vector) > 1e-4)


def _known(names: tuple[str, ...], subjects: tuple[str, ...], vectors: np.ndarray, kind: str) -> KnownCases:
    """Stored fingerprints with their limits, measured on them as stored."""
    stored = likeness.store(vectors)
    alike = likeness.alike_between_subjects(stored, subjects, kind)
    return KnownCases(names, subjects, stored, alike, likeness.limit(alike, 95.0), likeness.limit(alike, 99.5))


def _compare(vectors: dict[str, np.ndarray], reference: CopyReference, kind: str, config: Config) -> Finding:
    """The finding of one part; not judged where the subjects were too few for a limit."""
    part, known = _JUDGED[kind], reference[kind]
    near = likeness.nearest(vectors[kind], known, kind)
    bound = known.copy if config.rule == "99.5" else known.suspect
    told = f"{part}: {near.similarity:.2f} like training case {near.case}{' mirrored' if near.mirror else ''}"
    plain = _PLAIN[kind]
    if plain in reference:
        other = likeness.nearest(vectors[plain], reference[plain], plain)
        told += f" (plain correlation {other.similarity:.2f} with {other.case})"
    if np.isnan(bound):
        few = f"not judged: {len(set(known.subjects))} training subjects are too few for a limit"
        return Finding("copies", *_NOT_JUDGED, True, f"{told}, {few}", judged=False)
    detail = f"{told}, different subjects reach {bound:.2f}"
    return Finding("copies", near.similarity, bound, near.similarity <= bound, detail)


def _unjudged(reason: str) -> Finding:
    return Finding("copies", *_NOT_JUDGED, True, f"not judged: {reason}", judged=False)
