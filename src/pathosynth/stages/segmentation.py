"""Which segmenter is meant: one trained here, trained before, or another tool's predictions."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from pathosynth.data.labels import load_scheme
from pathosynth.runs.config import build_config, parse_settings
from pathosynth.runs.errors import ConfigError
from pathosynth.segmenters import SEGMENTERS
from pathosynth.segmenters.job import Prediction
from pathosynth.segmenters.record import FILE_NAME, FOLDER, SegmenterRecord, read_segmenter
from pathosynth.stages.segment_training import Tables

WORK = ".predicting"
"""Subfolder of OUT for images on their way through a segmenter; removed at the end."""


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

    def asked(self, out: Path, people: Mapping[str, str]) -> Prediction:
        """What the segmenter is asked for in OUT, of all cases (to their subjects) together."""
        return Prediction(self.config, load_scheme(self.scheme), out / WORK, self.folder, people)

    def recorded(self, seed: int) -> SegmenterRecord:
        """The record to be written; that of a segmenter trained before is passed on."""
        return self.record or SegmenterRecord(
            kind=self.kind, plan=getattr(self.config, "plan", ""), config=self.config.model_dump(mode="json"),
            scheme=self.scheme, contrast=self.contrast, seed=seed if self.tables else None, versions=_versions(),
            trained_here=self.tables is not None, training=self.tables.rows if self.tables else (),
        )  # fmt: skip


def _learning() -> list[str]:
    return [name for name, module in SEGMENTERS.items() if hasattr(module, "train")]


def _versions() -> dict[str, str]:
    found = {}
    for name in ("pathosynth", "nnunetv2", "torch"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
