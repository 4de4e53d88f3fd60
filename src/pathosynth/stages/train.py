"""Cases -> model folder: trains a generator of images or labels, step by step, and goes on where it was stopped."""

import csv
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case
from pathosynth.data.copy_reference import save_reference
from pathosynth.data.intensity import robust_scale
from pathosynth.data.labelled import LabelledBrain
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.measurements import AGES, check_names
from pathosynth.data.pairs import Pair
from pathosynth.data.yardstick import save_yardstick
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.runs.config import parse_settings
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.files import json_text, write_text
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs
from pathosynth.stages.batch import Options
from pathosynth.stages.models import BANDS_FILE, load_generator

log = logging.getLogger(__name__)

LOG_FILE = "train.csv"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Training:
    """What is trained, and how long this call may take.

    Attributes:
        generator: key of `IMAGE_GENERATORS` or `LABEL_GENERATORS`.
        preset: key of the generator's presets; empty for its first.
        changes: settings that differ from the preset, nested.
        minutes: after this time a checkpoint is written and the call returns; None for no limit.
        resume: whether a checkpoint in the folder may be gone on from.
        checkpoint_every: steps between checkpoints.
        max_steps: length of the training; None for what preset and changes say.
    """

    generator: str
    preset: str
    changes: dict[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    resume: bool = True
    checkpoint_every: int = 250
    max_steps: int | None = None

    @classmethod
    def of(
        cls,
        generator: str,
        preset: str,
        settings: Sequence[str],
        *,
        max_steps: int | None,
        minutes: float | None,
        resume: str,
    ) -> "Training":
        """Build from the command line's words.

        Raises:
            ConfigError: a setting is malformed, or the number of steps is given twice.
        """
        if resume not in ("auto", "never"):
            raise ConfigError(f"--resume {resume}: expected auto or never.")
        changes = parse_settings(list(settings))
        if max_steps is not None and "steps" in changes.get("training", {}):
            raise ConfigError("--max-steps and --set training.steps say the same thing. Give one of them.")
        return cls(generator, preset, changes, minutes, resume == "auto", max_steps=max_steps)

    def config(self) -> Any:
        """The generator's resolved settings.

        Raises:
            ConfigError: the generator does not learn, or a setting is wrong.
        """
        module = load_generator(self.generator)
        if not hasattr(module, "train"):
            raise ConfigError(f"--generator {self.generator}: this generator needs no training; use it with --model.")
        changes = dict(self.changes)
        if self.max_steps is not None:
            if "training" not in module.Config.model_fields:
                raise ConfigError(
                    f"--max-steps: {self.generator} trains several networks, one after the other. Give the steps of "
                    "each, e.g. --set autoencoder.steps=2000 --set diffusion.steps=3000."
                )
            changes["training"] = {**changes.get("training", {}), "steps": self.max_steps}
        return module.config_from_preset(self.preset or next(iter(module.presets())), changes)


def checked_config(cases: Sequence[Case], training: Training) -> Any:
    """The resolved settings, held against the cases' legend.

    Raises:
        ConfigError: a setting is wrong, or a condition cannot be measured in the scheme.
    """
    config = training.config()
    conditions = [name for name in getattr(config, "conditions", ()) if name not in AGES]
    if conditions:
        wanted = getattr(getattr(config, "grid", None), "scheme", "")
        check_names(conditions, load_scheme(wanted) if wanted else inputs.one_scheme(cases))
    return config


StepNotice = Callable[[int, int, float], None]
"""Called after every step with its number, the total and the loss."""


def train(cases: Sequence[Case], training: Training, options: Options, notice: StepNotice) -> bool:
    """Train until the last step; returns whether that was reached.

    SIGTERM, SIGUSR1 and SIGUSR2, and the end of `training.minutes`, write a checkpoint and return false; the same call
    then goes on from there.

    Raises:
        ConfigError: see `checked_config`.
        InputError: no case has labels and, for an image generator, an image of the contrast.
        ModelError: the folder holds a checkpoint of another run.
        TrainingError: the loss is no longer finite.
    """
    from pathosynth.diffusion import distributed  # brings torch in

    config = checked_config(cases, training)
    examples, scheme, used = _read(cases, training, config)
    if options.overwrite:
        shutil.rmtree(options.out / CHECKPOINTS, ignore_errors=True)
    elif not training.resume and (options.out / CHECKPOINTS).is_dir():
        raise ConfigError(
            f"{options.out}: holds checkpoints, and --resume is never. Choose another --output or --overwrite."
        )
    rank = distributed.setup(None if options.device == "auto" else options.device)
    described = {"generator": training.generator, "config": config.model_dump(mode="json")}
    record = RunRecord.begin(
        options.out, "train", described, options.seed, inputs.files_of(used),
        device=str(rank.device), overwrite=options.overwrite,
    ) if rank.is_writer else None  # fmt: skip
    clock = time.monotonic()
    with distributed.stop_signals() as flag:
        agreed = distributed.StopFlag()  # a signal may come any time; all processes leave after the same step

        def stop() -> bool:
            late = training.minutes is not None and time.monotonic() - clock > training.minutes * 60
            mine = flag.name or ("time limit" if late else "")
            if distributed.stop_agreed(distributed.StopFlag(mine), rank):
                agreed.name = mine or "another process"
            return bool(agreed.name)

        steps = load_generator(training.generator).train(
            examples, scheme, config, options.out, seed=options.seed, rank=rank,
            checkpoint_every=training.checkpoint_every, stop=stop,
        )  # fmt: skip
        reached = _follow(steps, config.total_steps, options.out if rank.is_writer else None, agreed, notice)
    distributed.teardown()
    if record is not None and reached:
        _write_yardsticks(options.out, examples, used, scheme, config)
        record.complete(subjects=sorted({case.subject for case in used}))
    return reached


def _read(cases: Sequence[Case], training: Training, config: Any) -> tuple[list[Any], LabelScheme, list[Case]]:
    """What the generator learns from, its legend, and the cases it comes from."""
    if training.generator in LABEL_GENERATORS:
        used = [case for case in cases if case.labels is not None]
        scheme = inputs.one_scheme(used or cases)
        return [read_labelled(case, scheme) for case in used], scheme, used
    contrasts = getattr(config, "contrasts", ()) or (config.contrast,)
    used = [case for case in cases if case.labels is not None and set(contrasts) & set(case.images)]
    scheme = inputs.one_scheme(used or cases)
    return [read_pair(case, scheme, one) for one in contrasts for case in used if one in case.images], scheme, used


def read_pair(case: Case, scheme: LabelScheme, contrast: str) -> Pair:
    """Labels and robustly scaled image of one case in RAS orientation.

    Raises:
        InputError: a file is damaged, or there is nothing to scale by.
    """
    brain = inputs.read_brain(case, scheme, contrast)
    if brain.image is None:
        raise InputError(f"Case '{case.case}' has no {contrast} image. Add it to the case table.")
    scaled = robust_scale(brain.image.array, brain.labels.array > 0)[0]
    return Pair(case.case, case.subject, brain.labels.array, scaled, brain.labels.spacing_mm, contrast)


def read_labelled(case: Case, scheme: LabelScheme) -> LabelledBrain:
    """Labels of one case in RAS orientation, with the ages the case table states.

    Raises:
        InputError: the file is damaged.
    """
    labels = inputs.read_brain(case, scheme).labels
    return LabelledBrain(case.case, case.subject, labels.array, labels.spacing_mm, case.age_weeks, case.age_years)


def _follow(steps: Any, total: int, out: Path | None, agreed: Any, notice: StepNotice) -> bool:
    """Go through the steps, log each, leave after the one at which a stop was asked for."""
    done = 0
    for result in steps:
        done = result.step
        if out is not None:
            _log(out / LOG_FILE, result)
            notice(done, total, result.loss)
        if agreed.name and done < total:
            log.warning("stopped after step %d (%s); the same command goes on", done, agreed.name)
            return False
    return True


def _log(path: Path, result: Any) -> None:
    """One line per step; after a resume, steps since the last checkpoint appear twice and the later line counts."""
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if new:
            writer.writerow(("step", "loss", "grad_norm", "learning_rate", "seconds"))
        writer.writerow((result.step, result.loss, result.grad_norm, result.learning_rate, round(result.seconds, 4)))


def _write_yardsticks(
    out: Path, examples: Sequence[Any], used: Sequence[Case], scheme: LabelScheme, config: Any
) -> None:
    """What checks of this model's output compare with: intensities, quality, and what its training cases look like."""
    pairs = [one for one in examples if isinstance(one, Pair) and one.contrast == config.contrast]
    made = {case.case for case in used if case.origin != "real"}
    if pairs:
        _write_bands(out, pairs, scheme)
        _write_quality(out, [pair for pair in pairs if pair.case not in made], scheme)
    _write_fingerprints(out, pairs or examples, {case.case for case in used if case.origin == "morphed"}, scheme)


def _write_bands(out: Path, pairs: Sequence[Pair], scheme: LabelScheme) -> None:
    """Measure the intensity bands that checks compare with."""
    from pathosynth.checks.intensity import learn_bands

    write_text(out / BANDS_FILE, json_text({name: list(band) for name, band in learn_bands(pairs, scheme).items()}))


def _write_quality(out: Path, pairs: Sequence[Pair], scheme: LabelScheme) -> None:
    """Measure the quality of the real training images; without it only the place of labels on images is judged."""
    from pathosynth.checks.learning import learn, measured

    try:
        rows = [measured(one.subject, one.labels, one.image, scheme, one.spacing_mm) for one in pairs]
        save_yardstick(out, learn(rows))
    except InputError as error:
        log.warning("quality and unusual images will not be judged: %s", error)


def _write_fingerprints(out: Path, examples: Sequence[Any], morphed: set[str], scheme: LabelScheme) -> None:
    """Keep what copies of training cases are recognised by; without it the check of copies judges nothing.

    Args:
        out: model folder.
        examples: label maps, or pairs with images.
        morphed: names of cases whose parents are found in their place, where those are among the examples.
        scheme: legend.
    """
    from pathosynth.checks.copies import learn_copies

    own = [one for one in examples if one.case not in morphed] or examples
    images = [one.image for one in own] if isinstance(own[0], Pair) else None
    try:
        save_reference(out, learn_copies(own, scheme, images))
    except InputError as error:
        log.warning("copies of training cases will not be recognised: %s", error)
