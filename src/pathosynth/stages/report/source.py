"""What a figure is made from: folders, each under the name the figure calls it by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pathosynth.data.cases import Case
from pathosynth.runs.errors import ConfigError
from pathosynth.stages import inputs


@dataclass(frozen=True)
class Source:
    """One ``-i``: a name and where it leads."""

    name: str
    path: Path


def parse_sources(texts: Sequence[str]) -> tuple[Source, ...]:
    """Read ``NAME=FOLDER`` or ``FOLDER``, which is then called by its own name.

    Raises:
        ConfigError: there is none, or two have the same name.
    """
    sources = tuple(_source(text) for text in texts)
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not sources:
        found = f"two called {', '.join(twice)}" if twice else "none"
        raise ConfigError(f"-i: expected folders with different names, found {found}. Give -i NAME=FOLDER.")
    return sources


def only(sources: Sequence[Source], figure: str) -> Source:
    """The one source of a figure that takes one.

    Raises:
        ConfigError: there are several.
    """
    if len(sources) != 1:
        raise ConfigError(f"report {figure}: expected one -i, found {len(sources)}. Draw one figure for each.")
    return sources[0]


def cases_of(source: Source, scheme: str) -> list[Case]:
    """The cases of one source, all in one scheme.

    Raises:
        InputError: there are none.
        ConfigError: their scheme is not known, or they use several.
    """
    cases = inputs.read_input(source.path, scheme)
    inputs.one_scheme(cases)
    return cases


def _source(text: str) -> Source:
    name, equals, folder = text.partition("=")
    if equals and not Path(text).exists():
        if not name.strip() or not folder:
            raise ConfigError(f"-i {text}: expected NAME=FOLDER or FOLDER.")
        return Source(name.strip(), Path(folder))
    path = Path(text)
    return Source(path.resolve().name, path)
