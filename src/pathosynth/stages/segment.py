"""Cases -> segmenter, and images -> predicted labels: applies what is in ``segmenters/``."""

import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from pathosynth.data.cases import Case, read_cases
from pathosynth.data.grid import to_ras
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import read_image, read_labels, write_image
from pathosynth.data.volume import Volume
from pathosynth.formats import bids
from pathosynth.formats.nnunet import canonical_image
from pathosynth.runs.errors import InputError, PathosynthError
from pathosynth.runs.record import RunRecord
from pathosynth.segmenters import SEGMENTERS
from pathosynth.segmenters.job import Machine, Notice, Prediction
from pathosynth.segmenters.record import FOLDER, write_segmenter
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import OneCase, Options, Plan, Result
from pathosynth.stages.segmentation import WORK, Segmentation

MEMORY_GIB = 3.0
"""nnU-Net's small plan on 18 fetal brains: its largest process took 1.7 GiB, and one worker stands beside it."""

Watch = Callable[[], AbstractContextManager[Notice]]
"""Opens the display of a training."""


def read_test(path: Path, scheme: str) -> list[Case]:
    """Cases to be segmented, with or without labels.

    Raises:
        InputError: there is nothing usable at `path`.
    """
    table = path / inputs.TABLE if path.is_dir() else path
    return read_cases(table) if table.is_file() and table.suffix == ".csv" else inputs.read_input(path, scheme)


def plan(cases: Sequence[Case], segmentation: Segmentation, options: Options, watch: Watch) -> Plan:
    """Train where that is asked for, then every case becomes one task.

    Args:
        cases: to be segmented; none only trains.
        segmentation: what segments.
        options: how to run; its seed is that of the training.
        watch: opens the display of the training.

    Raises:
        InputError: two cases would get one BIDS name, or subjects do not suffice for the folds.
        ConfigError: the device is not there.
    """
    labels = [bids.subject_label(case.case).lower() for case in cases]
    if len(set(labels)) != len(labels):
        raise InputError("segment: two cases differ only in marks like - and _, which BIDS drops. Rename one.")
    tables = segmentation.tables
    if tables:
        tables.data(segmentation.described()["settings"], options.seed)
    machine = Machine(_device(segmentation, options.device), options.jobs)
    people = {case.case: case.subject for case in cases}
    images = [case.model_copy(update={"labels": None, "displacement": None}) for case in cases]
    trains = f"a segmenter trained on {len(tables.cases)} cases" if tables else f"segmenter '{segmentation.kind}'"
    return Plan(
        command="segment",
        config=segmentation.described(),
        inputs=inputs.files_of([*(tables.cases if tables else ()), *images]),
        tasks=[OneCase(case) for case in cases],
        work=functools.partial(collect, segmentation=segmentation, out=options.out, people=people),
        finish=functools.partial(_finish, order=[case.case for case in cases]),
        memory_gib=MEMORY_GIB,
        makes=f"{len(cases)} predicted label maps with {trains}"
        + (f"; {tables.left_out} training cases of split 'test' are left out" if tables and tables.left_out else ""),
        device=machine.device,
        prepare=functools.partial(
            _prepare, segmentation=segmentation, options=options, machine=machine, watch=watch, people=people
        ),
    )


def collect(task: OneCase, *, segmentation: Segmentation, out: Path, people: Mapping[str, str]) -> Result:
    """Bring one prediction onto the case's own grid and write it; `people` are all cases with their subjects."""
    case, scheme = task.row, load_scheme(segmentation.scheme)
    grid = _grid_of(case, segmentation.contrast)
    like = to_ras(grid)
    labels = SEGMENTERS[segmentation.kind].labels_of(case, like, segmentation.asked(out, people))
    row = case.model_copy(update={"labels": None, "images": {}, "displacement": None, "scheme": segmentation.scheme})
    sidecar = {"Segmenter": segmentation.kind, "Contrast": segmentation.contrast, "LabelScheme": scheme.name}
    product = outputs.Product(row=row, scheme=scheme, original=grid, labels=labels, sidecar=sidecar)
    return Result("done", facts=outputs.write_case(out, product))


def _prepare(
    waiting: Sequence[OneCase], *, segmentation: Segmentation, options: Options, machine: Machine, watch: Watch,
    people: Mapping[str, str],
) -> None:  # fmt: skip
    """Train to the end, write the segmenter's record, predict what waits."""
    kept = options.out / FOLDER
    if segmentation.tables is not None:
        if options.overwrite:
            shutil.rmtree(kept, ignore_errors=True)
        data = segmentation.tables.data(segmentation.described()["settings"], options.seed)
        module, config = SEGMENTERS[segmentation.kind], segmentation.config
        if segmentation.only_prepare:
            module.prepare(data, config, kept, machine=machine)
        else:
            ready = {} if segmentation.prepared is None else {"prepared": segmentation.prepared}
            with watch() as notice:
                module.train(data, config, kept, seed=options.seed, machine=machine, notice=notice, **ready)
    write_segmenter(kept, segmentation.recorded(options.seed))
    if segmentation.folder is not None and waiting:
        _predict(waiting, segmentation, segmentation.asked(options.out, people), machine)


def _predict(waiting: Sequence[OneCase], segmentation: Segmentation, asked: Prediction, machine: Machine) -> None:
    """Predict all that wait in one go; an image that cannot be read is left to `collect`, which says why."""
    module, written = SEGMENTERS[segmentation.kind], 0
    for task in waiting:
        with suppress(PathosynthError):
            image = canonical_image(_grid_of(task.row, segmentation.contrast))
            write_image(module.image_path(asked.work, task.case), image)
            written += 1
    if written:
        module.predict(asked, machine)


def _grid_of(case: Case, contrast: str) -> Volume:
    """The image a segmenter reads; for predictions made elsewhere the labels' grid, or any image's.

    Raises:
        InputError: the case has no such file, or it is damaged.
    """
    if contrast:
        if contrast not in case.images:
            raise InputError(f"Case '{case.case}' has no {contrast} image, which the segmenter reads. Add it.")
        return read_image(case.images[contrast])
    if case.labels is not None:
        return read_labels(case.labels, None)
    if not case.images:
        raise InputError(f"Case '{case.case}' has neither labels nor an image, so its grid is not known. Add one.")
    return read_image(next(iter(case.images.values())))


def _finish(out: Path, record: RunRecord, *, order: Sequence[str]) -> None:
    shutil.rmtree(out / WORK, ignore_errors=True)
    if order:
        bids.write_tables(out, outputs.kept(out, record, order), name="Predicted brain labels", command="segment")


def _device(segmentation: Segmentation, device: str) -> str:
    """Resolve ``--device``; torch is asked only where it must be."""
    if device == "cpu" or segmentation.folder is None:
        return "cpu"
    from pathosynth.diffusion.distributed import setup  # brings torch in

    return str(setup(None if device == "auto" else device).device)
