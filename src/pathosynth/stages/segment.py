"""Cases -> segmenter, and images -> predicted labels: applies what is in ``segmenters/``."""

import functools
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case, read_cases
from pathosynth.data.grid import to_ras
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import read_image, read_labels, write_image
from pathosynth.data.volume import Volume
from pathosynth.formats import bids
from pathosynth.formats.nnunet import canonical_image
from pathosynth.runs.config import build_config, parse_settings
from pathosynth.runs.errors import ConfigError, InputError, PathosynthError
from pathosynth.runs.record import RunRecord
from pathosynth.segmenters import SEGMENTERS
from pathosynth.segmenters.job import Machine, Notice, Prediction
from pathosynth.segmenters.record import FILE_NAME, FOLDER, SegmenterRecord, read_segmenter, write_segmenter
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import OneCase, Options, Plan, Result
from pathosynth.stages.segment_training import Tables

WORK = ".predicting"
"""Subfolder of OUT for images on their way through a segmenter; removed at the end."""

MEMORY_GIB = 3.0
"""nnU-Net's small plan on 18 fetal brains: its largest process took 1.7 GiB, and one worker stands beside it."""

Watch = Callable[[], AbstractContextManager[Notice]]
"""Opens the display of a training."""


@dataclass(frozen=True)
class Segmentation:
    """A segmenter, trained here, trained before, or elsewhere.

    Attributes:
        kind: key of `SEGMENTERS`.
        config: its settings.
        scheme: label scheme of what it predicts, a name or a path.
        contrast: image it reads; empty where predictions were made elsewhere.
        folder: the segmenter folder; None where there is none.
        tables: what it is trained on; None where it is not trained here.
        record: of a segmenter trained before.
        prepared: segmenter folder with training data made ready by an earlier call; None where there is none.
        only_prepare: stop when the training data are ready.
    """

    kind: str
    config: Any
    scheme: str
    contrast: str = ""
    folder: Path | None = None
    tables: Tables | None = None
    record: SegmenterRecord | None = None
    prepared: Path | None = None
    only_prepare: bool = False

    @classmethod
    def trained(cls, kind: str, plan: str, settings: Sequence[str], tables: Tables, out: Path) -> "Segmentation":
        """One to be trained on `tables`, in OUT/segmenter.

        Raises:
            ConfigError: no such segmenter or plan, a setting is wrong, or it does not learn.
        """
        module = SEGMENTERS.get(kind)
        if module is None or not hasattr(module, "train"):
            raise ConfigError(
                f"--segmenter {kind}: expected one that learns ({', '.join(_learning())}), or no --train."
            )
        config = module.config_from_plan(plan, parse_settings(list(settings)))
        return cls(kind, config, tables.cases[0].scheme, tables.contrast, out / FOLDER, tables)

    def after(self, prepared: Path) -> "Segmentation":
        """The same with training data that an earlier call made ready in `prepared`.

        Raises:
            ModelError: there are none.
            ConfigError: they are of other cases or settings.
        """
        free = {*SEGMENTERS[self.kind].CHANGEABLE, "keep_data"}
        found, own = (
            (one.kind, one.scheme, one.contrast, one.training, {k: v for k, v in one.config.items() if k not in free})
            for one in (read_segmenter(prepared), self.recorded(0))
        )
        if found != own:
            raise ConfigError(
                f"--prepared {prepared}: its training data are of other cases or settings than those given now. "
                "Prepare them again, or leave the option out."
            )
        folder = prepared if (prepared / FILE_NAME).is_file() else prepared / FOLDER
        return replace(self, prepared=folder.absolute())

    def only_prepared(self) -> "Segmentation":
        """The same, but nothing is trained after its data are ready.

        Raises:
            ConfigError: it has nothing to prepare.
        """
        if not hasattr(SEGMENTERS[self.kind], "prepare"):
            raise ConfigError(f"--only-prepare: segmenter '{self.kind}' has nothing to prepare. Leave the option out.")
        return replace(self, only_prepare=True)

    @classmethod
    def stored(cls, folder: Path, settings: Sequence[str]) -> "Segmentation":
        """One that was trained before; `settings` may change how it predicts.

        Raises:
            ModelError: the folder holds none.
            ConfigError: a setting is wrong, or one of training.
        """
        record = read_segmenter(folder)
        if record.kind not in _learning():
            raise ConfigError(
                f"--model {folder}: expected a segmenter that learns ({', '.join(_learning())}), found one of kind "
                f"'{record.kind}'. Give its file with --use."
            )
        module, changes = SEGMENTERS[record.kind], parse_settings(list(settings))
        fixed = sorted(set(changes) - module.CHANGEABLE)
        if fixed:
            raise ConfigError(
                f"--model {folder}: {', '.join(fixed)} cannot be set after the training, only "
                f"{', '.join(sorted(module.CHANGEABLE))}. Leave it out, or train anew."
            )
        config = build_config(module.Config, {**record.config, **changes}, f"--model {folder}")
        own = folder if (folder / FILE_NAME).is_file() else folder / FOLDER
        return cls(record.kind, config, record.scheme, record.contrast, own.absolute(), None, record)

    @classmethod
    def elsewhere(cls, kind: str, settings: Sequence[str]) -> "Segmentation":
        """Predictions other tools made.

        Raises:
            ConfigError: a setting is wrong, or the segmenter must be trained.
            InputError: there is no such folder.
        """
        module = SEGMENTERS.get(kind)
        if module is None or not hasattr(module, "check"):
            raise ConfigError(f"--segmenter {kind}: expected --train CASES, or --model FOLDER of one trained before.")
        config = build_config(module.Config, parse_settings(list(settings)), f"--segmenter {kind}")
        return cls(kind, config, module.check(config))

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        sources = self.tables.sources if self.tables else ()
        settings = self.config.identity() if hasattr(self.config, "identity") else self.config.model_dump(mode="json")
        return {
            "segmenter": FOLDER if self.tables or self.folder is None else str(self.folder),
            "kind": self.kind, "settings": settings, "scheme": self.scheme, "contrast": self.contrast,
            "training_tables": [str(path) for path in sources],
            "training_cases": len(self.tables.cases) if self.tables else None, "only_prepare": self.only_prepare,
        }  # fmt: skip

    def asked(self, out: Path) -> Prediction:
        """What the segmenter is asked for in OUT."""
        return Prediction(self.config, load_scheme(self.scheme), out / WORK, self.folder)

    def recorded(self, seed: int) -> SegmenterRecord:
        """The record to be written; that of a segmenter trained before is passed on."""
        return self.record or SegmenterRecord(
            kind=self.kind, plan=getattr(self.config, "plan", ""), config=self.config.model_dump(mode="json"),
            scheme=self.scheme, contrast=self.contrast, seed=seed if self.tables else None, versions=_versions(),
            trained_here=self.tables is not None, training=self.tables.rows if self.tables else (),
        )  # fmt: skip


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
    images = [case.model_copy(update={"labels": None, "displacement": None}) for case in cases]
    trains = f"a segmenter trained on {len(tables.cases)} cases" if tables else f"segmenter '{segmentation.kind}'"
    return Plan(
        command="segment",
        config=segmentation.described(),
        inputs=inputs.files_of([*(tables.cases if tables else ()), *images]),
        tasks=[OneCase(case) for case in cases],
        work=functools.partial(collect, segmentation=segmentation, out=options.out),
        finish=functools.partial(_finish, order=[case.case for case in cases]),
        memory_gib=MEMORY_GIB,
        makes=f"{len(cases)} predicted label maps with {trains}"
        + (f"; {tables.left_out} training cases of split 'test' are left out" if tables and tables.left_out else ""),
        device=machine.device,
        prepare=functools.partial(_prepare, segmentation=segmentation, options=options, machine=machine, watch=watch),
    )


def collect(task: OneCase, *, segmentation: Segmentation, out: Path) -> Result:
    """Bring one prediction onto the case's own grid and write it."""
    case, scheme = task.row, load_scheme(segmentation.scheme)
    grid = _grid_of(case, segmentation.contrast)
    like = to_ras(grid)
    labels = SEGMENTERS[segmentation.kind].labels_of(case, like, segmentation.asked(out))
    row = case.model_copy(update={"labels": None, "images": {}, "displacement": None, "scheme": segmentation.scheme})
    sidecar = {"Segmenter": segmentation.kind, "Contrast": segmentation.contrast, "LabelScheme": scheme.name}
    product = outputs.Product(row=row, scheme=scheme, original=grid, labels=labels, sidecar=sidecar)
    return Result("done", facts=outputs.write_case(out, product))


def _prepare(
    waiting: Sequence[OneCase], *, segmentation: Segmentation, options: Options, machine: Machine, watch: Watch
) -> None:
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
        _predict(waiting, segmentation, segmentation.asked(options.out), machine)


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


def _learning() -> list[str]:
    return [name for name, module in SEGMENTERS.items() if hasattr(module, "train")]


def _versions() -> dict[str, str]:
    found = {}
    for name in ("pathosynth", "nnunetv2", "torch"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
