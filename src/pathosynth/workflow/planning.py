"""From a study to its jobs: data first, then what is made of it, then the segmenters and what judges them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from pathosynth.runs.errors import ConfigError
from pathosynth.segmenters import SEGMENTERS
from pathosynth.workflow.jobs import Job, Jobs, Made, inputs_words
from pathosynth.workflow.steps import Check, GenerateImages, GenerateLabels, Step, settings_words
from pathosynth.workflow.study import REAL, Study


def plan_jobs(study: Study, base: Path, data: Path) -> list[Job]:
    """Every job of a study, each after those it waits for.

    Args:
        study: what is wanted.
        base: folder that paths in the study start from.
        data: folder that data folders start from.

    Raises:
        ConfigError: ingredients are made from each other in a circle, or a folder is missing.
    """
    jobs = Jobs(study, base, data)
    test = _data_jobs(jobs)
    for name in _in_order(study):
        if name in study.models:
            _model_job(jobs, name)
        else:
            _ingredient_jobs(jobs, name)
    if study.arms:
        _arm_jobs(jobs, test)
    return list(jobs.jobs.values())


def _data_jobs(jobs: Jobs) -> Made:
    """Enter what brings the data in; returns the test cases."""
    data, needs = jobs.study.data, list[str]()
    train, test = ([str(jobs.data / folder) for folder in folders] for folders in (data.train, data.test))
    layout = [*settings_words(data.settings), "--format", data.format, "--scheme", data.scheme]
    if data.phantoms:
        words = ["--train", str(data.phantoms.train), "--test", str(data.phantoms.test)]
        words += ["--spacing-mm", f"{data.phantoms.spacing_mm:g}", "--seed", str(jobs.study.seed)]
        jobs.add("phantoms", "phantoms", "data/phantoms", words, [])
        train, test, needs = ["data/phantoms/train"], ["data/phantoms/test"], ["phantoms"]
    for folder in () if data.phantoms else (*train, *test):
        if not Path(folder).exists():
            raise ConfigError(f"data: {folder}: no such file or folder. Check the study's [data], or give --data ROOT.")
    spacing = [] if data.spacing_mm is None else ["--spacing-mm", f"{data.spacing_mm:g}"]
    folders: list[str] = []
    for number, source in enumerate(train, start=1):
        for part in range(1, data.parts + 1):
            folder = f"data/train/{number}-{part}of{data.parts}"
            words = ["-i", source, *layout, *spacing, "--margin-mm", f"{data.margin_mm:g}"]
            words += ["--part", f"{part}/{data.parts}"]
            jobs.add(f"train.{Path(folder).name}", "prepare", folder, words, needs, may=True)
            folders.append(folder)
    jobs.sets[REAL] = jobs.add_table(Made("train", "data/train"), folders, 0.0)
    words = [*inputs_words(test), *layout, "--split", "test"]
    jobs.add("test", "table", "data/test", words, needs)
    return Made("test", "data/test")


def _in_order(study: Study) -> Iterator[str]:
    """Ingredients and models, each after what it is made from.

    Raises:
        ConfigError: some are made from each other.
    """
    waiting = {name: set(item.train) for name, item in study.models.items()}
    for name, item in study.ingredients.items():
        first = item.steps[0]
        models = {step.model for step in item.steps if _has_model(step) and step.model in study.models}
        waiting[name] = models | (set() if isinstance(first, GenerateLabels) else {item.source})
    ready = {REAL}
    while waiting:
        free = [name for name, needed in waiting.items() if needed <= ready]
        if not free:
            raise ConfigError(f"study: {', '.join(waiting)} are made from each other. Change their 'from' or 'train'.")
        yield from free
        ready |= set(free)
        waiting = {name: needed for name, needed in waiting.items() if name not in ready}


def _model_job(jobs: Jobs, name: str) -> None:
    model = jobs.study.models[name]
    tables = [jobs.sets[one] for one in model.train]
    words = [*inputs_words(table.folder for table in tables), *model.words(), *_seed(jobs.study), *_device(jobs.study)]
    jobs.add(f"model.{name}", "train", f"models/{name}", words, [table.job for table in tables])


def _ingredient_jobs(jobs: Jobs, name: str) -> None:
    ingredient = jobs.study.ingredients[name]
    at: Made | None = None if isinstance(ingredient.steps[0], GenerateLabels) else jobs.sets[ingredient.source]
    if ingredient.source == REAL and at:
        at = Made(at.job, at.folder, at)  # real cases are what everything made of them is held against
    for number, step in enumerate(ingredient.steps, start=1):
        at = _step_jobs(
            jobs, Made(f"{name}.{number}-{step.stage}", f"ingredients/{name}/{number}-{step.stage}"), step, at
        )
    if at is None:
        raise ConfigError(f"ingredients.{name}: has no steps.")
    jobs.sets[name] = at


def _step_jobs(jobs: Jobs, made: Made, step: Step, source: Made | None) -> Made:
    """Enter one step of an ingredient, working on what the step before it made."""
    words, needs = [*step.words()], list[str]()
    if source is not None:
        words, needs = [*inputs_words([source.folder]), *words], [source.job]
    parents = source.parents if source else None
    if step.stage == "morph":
        parents = source
    elif _has_model(step) and step.model:
        located, training = jobs.located(step.model)
        words += ["-i" if step.stage == "generate-labels" else "--model", *located]
        needs += training
    if step.stage in ("generate-images", "check") and parents:
        words += ["--parents", parents.folder]
        needs.append(parents.job)
    words += [*_seed(jobs.study), *(_device(jobs.study) if step.stage.startswith("generate") else [])]
    return jobs.add_parts(Made(made.job, made.folder, parents), step.stage, words, needs, step)


def _arm_jobs(jobs: Jobs, test: Made) -> None:
    """Enter a segmenter for every arm and seed, the evaluation of all of them and its report."""
    study, asked = jobs.study, jobs.study.evaluation
    predicted: list[str] = []
    trained: list[str] = []
    for name, arm in study.arms.items():
        for seed in arm.seeds or study.segmenter.seeds:
            made = list(_training_jobs(jobs, name, seed, test))
            predicted += ["--predicted", f"{name}={','.join(one.folder for one in made)}"]
            trained += [one.job for one in made]
    words = ["-i", test.folder, *predicted, "--baseline", asked.baseline or next(iter(study.arms))]
    words += [word for name in asked.structures for word in ("--structure", name)]
    words += [word for text in asked.subgroups for word in ("--subgroup", text)]
    words += [word for group, limit in asked.above.items() for word in ("--above", f"{group}={limit:g}")]
    jobs.add("evaluation", "evaluate", "evaluation", [*words, *_seed(study)], [test.job, *trained])
    if asked.report:
        jobs.add("report", "report", "report", ["evaluation", "-i", "evaluation"], ["evaluation"])


def _training_jobs(jobs: Jobs, name: str, seed: int, test: Made) -> Iterator[Made]:
    """Enter one training of an arm: one segmenter, or one for each fold; yields their predictions."""
    arm, segmenter = jobs.study.arms[name], jobs.study.segmenter
    plan = ["--segmenter", segmenter.kind, *(["--plan", segmenter.plan] if segmenter.plan else [])]
    plan += [*settings_words(segmenter.settings | arm.settings), "--contrast", jobs.study.data.contrast]
    plan += _device(jobs.study)
    for fold in range(1, (arm.folds or 1) + 1):
        tables, tested, suffix = [jobs.sets[one] for one in arm.train], test, ""
        if arm.folds:
            learnt, tested = _fold_jobs(jobs, f"{fold}of{arm.folds}", test)
            tables, suffix = [*tables, learnt], f"-fold-{fold}"
        words = [*(word for table in tables for word in ("--train", table.folder)), *plan]
        needs = [table.job for table in tables]
        if hasattr(SEGMENTERS.get(segmenter.kind), "prepare"):
            ready = Made(f"arm.{name}.data{suffix}", f"arms/{name}/data{suffix}")
            jobs.add(ready.job, "segment", ready.folder, [*words, "--only-prepare"], needs)
            words, needs = [*words, "--prepared", ready.folder], [ready.job, *needs]
        made = Made(f"arm.{name}.seed-{seed}{suffix}", f"arms/{name}/seed-{seed}{suffix}")
        words = ["-i", tested.folder, *words, "--seed", str(seed)]
        jobs.add(made.job, "segment", made.folder, words, [tested.job, *needs])
        yield made


def _fold_jobs(jobs: Jobs, fold: str, test: Made) -> tuple[Made, Made]:
    """Enter the two tables of a fold of the test cases: all but the fold, to learn from, and the fold."""
    number = fold.replace("of", "/")
    learnt = Made(f"fold.{fold}.train", f"data/folds/{fold}/train")
    tested = Made(f"fold.{fold}.test", f"data/folds/{fold}/test")
    for made, option, split in ((learnt, "--without-fold", "train"), (tested, "--fold", "test")):
        jobs.add(made.job, "table", made.folder, ["-i", test.folder, option, number, "--split", split], [test.job])
    return learnt, tested


def _has_model(step: Step) -> TypeGuard[Check | GenerateImages | GenerateLabels]:
    return isinstance(step, Check | GenerateImages | GenerateLabels)


def _seed(study: Study) -> list[str]:
    return ["--seed", str(study.seed)]


def _device(study: Study) -> list[str]:
    return ["--device", study.device]
