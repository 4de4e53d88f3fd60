"""Study files of the reader study: which images are shown, what is asked, and in what order readers see them."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from pathosynth.runs.config import Config, build_config, read_toml

WASHOUT_DAYS = 28.0
"""Between two blocks, unless the study says otherwise: four weeks, as reader studies commonly wait."""

MAX_TEXT = 4000
"""Characters of a comment."""

RESERVED = ("participant_id", "case", "subject", "arm", "image_origin")
"""Columns of the results beside the questions."""

Word = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A name that is safe in tables, file names and addresses."""
Key = Annotated[str, pydantic.Field(pattern=r"^[!-~]?$")]
"""The key on the keyboard, one printable character; empty for none."""
Count = Annotated[int, pydantic.Field(ge=1)]


class Option(Config):
    """One possible answer."""

    value: Word
    """What the tables say."""
    label: str = pydantic.Field(min_length=1, max_length=200)
    """What the reader sees."""
    key: Key = ""


class Question(Config):
    """What is asked about every image."""

    id: Word
    kind: Literal["scale", "choice", "ticks", "text"]
    """Ordered grades, one of several, any of several, or free text."""
    prompt: str = pydantic.Field(min_length=1, max_length=500)
    required: bool = False
    """Whether an image can be left without an answer; ticks and texts may always be left empty."""
    options: tuple[Option, ...] = ()

    @pydantic.model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.id in RESERVED:
            raise ValueError(f"question '{self.id}': this name is a column of the results")
        values = [option.value for option in self.options]
        if (self.kind == "text") != (not values):
            raise ValueError(f"question '{self.id}': expected options, unless its kind is text")
        if len(set(values)) != len(values):
            raise ValueError(f"question '{self.id}': found an option twice")
        if self.required and self.kind in ("ticks", "text"):
            raise ValueError(f"question '{self.id}': only a scale or a choice can be required")
        return self

    def fault(self, value: Any) -> str:
        """What is wrong with an answer, in a few words; an empty text when nothing is."""
        allowed = [option.value for option in self.options]
        if self.kind == "text":
            return _text_fault(value)
        if self.kind != "ticks":
            return "" if isinstance(value, str) and value in allowed else f"expected one of {', '.join(allowed)}"
        known = isinstance(value, list) and all(isinstance(item, str) and item in allowed for item in value)
        return "" if known and len(set(value)) == len(value) else f"expected a list from {', '.join(allowed)}"


def _text_fault(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return f"expected a text of up to {MAX_TEXT} characters"
    odd = any((ord(sign) < 32 and sign not in "\n\t") or 0xD800 <= ord(sign) < 0xE000 for sign in value)
    return "expected a text without control characters" if odd else ""


class Window(Config):
    """A setting of brightness and contrast."""

    name: str = pydantic.Field(min_length=1, max_length=60)
    key: Key = ""
    low: float = pydantic.Field(ge=0, le=1)
    """Shown black, as a fraction of the stored range."""
    high: float = pydantic.Field(ge=0, le=1)
    """Shown white."""

    @pydantic.model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"window '{self.name}': expected low below high")
        return self


class Arm(Config):
    """One kind of image that is compared."""

    source: str
    """A cases.csv, a folder that has one, or a folder of images; relative to the study file."""
    contrast: str
    """Column of the table, and ending of the file names in a folder, e.g. T2w."""
    origin: Literal["real", "synthetic"]
    cases: int | None = pydantic.Field(None, ge=1)
    """How many are drawn, by the seed; all of them where it is left out."""


class Grid(Config):
    """The one form that every image is brought to."""

    shape: tuple[Count, Count, Count] | None = None
    """Voxels; by default what holds every head."""
    spacing_mm: float | None = pydantic.Field(None, gt=0, le=10)
    """Voxel edge; by default the images' own where all agree, else the largest."""
    margin_voxels: int = pydantic.Field(2, ge=0, le=64)
    """Space around the largest head, where `shape` is left out."""
    levels: int = pydantic.Field(256, ge=16, le=32768)
    """Grey levels; up to 256 are stored in one byte a voxel, more in two."""


class Repeats(Config):
    """Images shown a second time without a word, for the reader's agreement with himself."""

    share: float = pydantic.Field(0.1, ge=0, le=0.5)
    """Of the images of a block."""
    distance: int = pydantic.Field(10, ge=1)
    """Fewest other images between the two showings."""


class Training(Config):
    """A first block to learn the task; its answers are kept apart."""

    cases: Count
    """Images, about equally many of every arm; none of them is shown again."""
    feedback: bool = True
    """Tell after every image whether it was real."""


class Allocation(Config):
    """Which reader sees which images."""

    kind: Literal["crossing", "anchor_and_rotate"] = "crossing"
    """Everybody sees all, or everybody sees the anchors and each of the others goes to a few readers."""
    anchors: int = pydantic.Field(0, ge=0)
    """Images that everybody sees, about equally many of every arm."""
    readers_per_case: Count = 1
    """Readers of every other image."""

    @pydantic.model_validator(mode="after")
    def _only_when_rotated(self) -> Self:
        if self.kind == "crossing" and (self.anchors or self.readers_per_case > 1):
            raise ValueError("anchors and readers_per_case belong to kind = 'anchor_and_rotate'")
        return self


def _graded(name: str, prompt: str, labels: tuple[str, ...]) -> Question:
    options = tuple(Option(value=str(n), label=label, key=str(n)) for n, label in enumerate(labels))
    return Question(id=name, kind="scale", prompt=prompt, required=True, options=options)


DEFAULT_QUESTIONS = (
    _graded("quality", "Image quality", ("unusable", "poor", "good", "excellent")),
    _graded("diagnostic", "Diagnostic value", ("none", "limited", "sufficient", "full")),
    Question(
        id="origin", kind="choice", prompt="Real or synthetic?", required=True,
        options=(Option(value="real-sure", label="real, sure", key="q"),
                 Option(value="real-unsure", label="real, unsure", key="w"),
                 Option(value="synthetic-unsure", label="synthetic, unsure", key="e"),
                 Option(value="synthetic-sure", label="synthetic, sure", key="r")),
    ),
    Question(
        id="artefacts", kind="ticks", prompt="Artefacts",
        options=(Option(value="motion", label="motion", key="a"), Option(value="steps", label="slice steps", key="s"),
                 Option(value="noise", label="noise", key="d"), Option(value="blur", label="blur", key="f"),
                 Option(value="anatomy", label="impossible anatomy", key="g")),
    ),
    Question(id="comment", kind="text", prompt="Comment"),
)  # fmt: skip
DEFAULT_WINDOWS = (
    Window(name="full", key="z", low=0, high=1),
    Window(name="soft tissue", key="x", low=0.1, high=0.8),
    Window(name="bright", key="c", low=0, high=0.5),
)


class Study(Config):
    """A reader study."""

    title: str = pydantic.Field(min_length=1, max_length=200)
    instructions: str = pydantic.Field("", max_length=20_000)
    """What readers are told, plain text."""
    analysis: str = pydantic.Field("", max_length=20_000)
    """How the answers will be analysed; part of the protocol's hash, not shown."""
    seed: int = pydantic.Field(0, ge=0)
    readers: int = pydantic.Field(ge=1, le=1000)
    """Readers that orders are planned for."""
    convention: Literal["radiological", "neurological"] = "radiological"
    """Whether the patient's left is on the right of the screen, or on the left."""
    arms: Annotated[dict[Word, Arm], pydantic.Field(min_length=1)]
    questions: tuple[Question, ...] = pydantic.Field(DEFAULT_QUESTIONS, min_length=1)
    windows: tuple[Window, ...] = pydantic.Field(DEFAULT_WINDOWS, min_length=1)
    grid: Grid = Grid()
    repeats: Repeats = Repeats()
    training: Training | None = None
    allocation: Allocation = Allocation()
    blocks: int = pydantic.Field(1, ge=1, le=20)
    """Sittings that the images are divided over; every reader has them in another order."""
    washout_days: float | None = pydantic.Field(None, ge=0, le=3650)
    """Days between the end of a block and the next one; by default 28."""

    @pydantic.model_validator(mode="after")
    def _names_and_keys_once(self) -> Self:
        names = [question.id for question in self.questions]
        keys = [option.key for question in self.questions if question.kind != "scale" for option in question.options]
        keys = [key for key in (*keys, *(window.key for window in self.windows)) if key]
        if len(set(names)) != len(names) or len(set(keys)) != len(keys):
            raise ValueError("expected every question, and every key but those of scales, once")
        return self

    @property
    def washout(self) -> float:
        """Days between two blocks, resolved."""
        return WASHOUT_DAYS if self.washout_days is None else self.washout_days


def load_study(path: Path) -> Study:
    """Read a study file; paths of sources become absolute.

    Raises:
        ConfigError: the file is missing, not TOML, or a setting is unknown or wrong.
    """
    study = build_config(Study, read_toml(path), str(path))
    base = path.absolute().parent
    arms = {name: arm.model_copy(update={"source": str(base / arm.source)}) for name, arm in study.arms.items()}
    return study.model_copy(update={"arms": arms})
