"""The plan of a study: for every reader the blocks, and in each the images in order, under names that tell nothing."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pydantic

from pathosynth.reader.orders import balanced_orders, dealt, drawn_evenly
from pathosynth.reader.study import Repeats, Study
from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError
from pathosynth.runs.seeds import numpy_generator

_ID_BYTES = 12


@dataclass(frozen=True)
class Shown:
    """What the plan has to know of an image.

    Attributes:
        file: name it is served from; tells nothing.
        arm: kind of image.
        subject: person it stems from.
        origin: real or synthetic.
    """

    file: str
    arm: str
    subject: str
    origin: str


class Slot(Config):
    """One showing of one image to one reader."""

    slot: str
    """Random name, in addresses."""
    volume: str
    """Random name of the image in this slot, so that a repeat cannot be recognised."""
    file: str
    """Image file in the served folder."""
    feedback: str | None = None
    """Told after the answers, in training only."""


class Block(Config):
    """One sitting."""

    name: str
    kind: Literal["training", "reading"]
    slots: tuple[Slot, ...]


class Plan(Config):
    """Blocks of every reader, in the order of their invitation."""

    readers: tuple[tuple[Block, ...], ...] = pydantic.Field(min_length=1)


@dataclass(frozen=True)
class Place:
    """Where a slot stands in its reader's plan.

    Attributes:
        reader: place of the reader in the plan.
        position: of the slot among all of the reader's, from 0.
        first: position of the first slot of its block.
        block: its block.
        slot: itself.
        after: the slot before this block's first one, where a washout lies between; else none.
    """

    reader: int
    position: int
    first: int
    block: Block
    slot: Slot
    after: str | None


def places_of(plan: Plan) -> list[list[Place]]:
    """The slots of every reader in order."""
    readers = []
    for reader, blocks in enumerate(plan.readers):
        places: list[Place] = []
        for number, block in enumerate(blocks):
            first = len(places)
            waits = number > 0 and blocks[number - 1].kind == "reading"
            after = places[-1].slot.slot if waits else None
            places += [Place(reader, first + n, first, block, slot, after) for n, slot in enumerate(block.slots)]
        readers.append(places)
    return readers


def opaque() -> str:
    """A name nobody can guess and that tells nothing."""
    return secrets.token_hex(_ID_BYTES)


def make_plan(study: Study, cases: Sequence[Shown]) -> Plan:
    """Who sees what, in which order; the seed decides all but the opaque names.

    Raises:
        ConfigError: there are too few cases or readers for what the study asks.
    """
    training, cases = _training(study, cases)
    sequences = _crossing(study, cases) if study.allocation.kind == "crossing" else _rotating(study, cases)
    readers = []
    for reader, blocks in enumerate(sequences):
        rng = numpy_generator(study.seed, "reader", reader)
        made = [Block(name="training", kind="training", slots=_taught(study, training, rng))] if training else []
        for number, block in enumerate(blocks, start=1):
            order = with_repeats(block, [case.arm for case in block], study.repeats, rng)
            slots = tuple(Slot(slot=opaque(), volume=opaque(), file=case.file) for case in order)
            made.append(Block(name=f"block {number}", kind="reading", slots=slots))
        readers.append(tuple(made))
    return Plan(readers=tuple(readers))


def with_repeats(
    block: Sequence[Shown], arms: Sequence[str], repeats: Repeats, rng: np.random.Generator
) -> list[Shown]:
    """A block with some of its images a second time, at least `distance` others later.

    Raises:
        ConfigError: the block is too short for that.
    """
    number = round(repeats.share * len(block)) or int(repeats.share > 0)
    early = list(range(max(len(block) - repeats.distance, 0)))
    if number > len(early):
        raise ConfigError(
            f"[repeats]: a block of {len(block)} images cannot repeat {number} of them {repeats.distance} apart. "
            "Lower distance or share, or make fewer blocks."
        )
    order = list(block)
    first = sorted(early[index] for index in drawn_evenly([arms[place] for place in early], number, rng))
    for case in [block[place] for place in first]:
        nearest = order.index(case) + repeats.distance + 1
        order.insert(int(rng.integers(nearest, len(order) + 1)), case)
    return order


def _training(study: Study, cases: Sequence[Shown]) -> tuple[list[Shown], list[Shown]]:
    """The images to train with, and the others."""
    number = study.training.cases if study.training else 0
    if number >= len(cases):
        raise ConfigError(f"[training] cases = {number}: found {len(cases)} cases in all. Leave some to be read.")
    chosen = drawn_evenly([case.arm for case in cases], number, numpy_generator(study.seed, "training"))
    return [cases[index] for index in chosen], [case for index, case in enumerate(cases) if index not in set(chosen)]


def _taught(study: Study, training: Sequence[Shown], rng: np.random.Generator) -> tuple[Slot, ...]:
    tell = study.training is not None and study.training.feedback
    order = [training[int(index)] for index in rng.permutation(len(training))]
    return tuple(
        Slot(slot=opaque(), volume=opaque(), file=case.file,
             feedback=f"This image is {case.origin}." if tell else None) for case in order
    )  # fmt: skip


def _crossing(study: Study, cases: Sequence[Shown]) -> list[list[list[Shown]]]:
    """Everybody sees all: the order of blocks, and of the images in every block, balanced over readers."""
    parts = dealt([(case.arm, case.subject) for case in cases], study.blocks, numpy_generator(study.seed, "blocks"))
    _refuse_empty(study, parts)
    within = [balanced_orders(len(part), study.readers, numpy_generator(study.seed, "within", number))
              for number, part in enumerate(parts)]  # fmt: skip
    across = balanced_orders(study.blocks, study.readers, numpy_generator(study.seed, "across"))
    return [
        [[cases[parts[block][place]] for place in within[block][reader]] for block in across[reader]]
        for reader in range(study.readers)
    ]


def _rotating(study: Study, cases: Sequence[Shown]) -> list[list[list[Shown]]]:
    """Everybody sees the anchors; the others go round, so that readers have equally many of every arm within 1."""
    rule = study.allocation
    if rule.readers_per_case > study.readers or rule.anchors > len(cases):
        raise ConfigError(
            f"[allocation]: expected at most {study.readers} readers per case and {len(cases)} anchors, found "
            f"{rule.readers_per_case} and {rule.anchors}. Lower them, or plan for more readers or cases."
        )
    rng = numpy_generator(study.seed, "rotation")
    anchors = drawn_evenly([case.arm for case in cases], rule.anchors, rng)
    own = [[cases[index] for index in anchors] for _ in range(study.readers)]
    left = [int(index) for index in rng.permutation(len(cases)) if int(index) not in set(anchors)]
    turn = 0
    for index in sorted(left, key=lambda index: cases[index].arm):
        for _ in range(rule.readers_per_case):
            own[turn % study.readers].append(cases[index])
            turn += 1
    made = []
    for reader, mine in enumerate(own):
        draw = numpy_generator(study.seed, "own order", reader)
        parts = dealt([(case.arm, case.subject) for case in mine], study.blocks, draw)
        _refuse_empty(study, parts)
        made.append([[mine[part[int(place)]] for place in draw.permutation(len(part))] for part in parts])
    return made


def _refuse_empty(study: Study, parts: Sequence[Sequence[int]]) -> None:
    if not all(parts):
        raise ConfigError(f"blocks = {study.blocks}: found too few cases to fill them. Lower it or add cases.")
