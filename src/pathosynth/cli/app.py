"""The typer application and the decorator that gives every command its common options and its error handling."""

import functools
import inspect
import json
import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand

from pathosynth import __version__
from pathosynth.runs.errors import PathosynthError, unexpected

app = typer.Typer(
    name="pathosynth",
    help="Labelled pathological brain MRI: reshape labels, render images, reject the bad ones.",
    epilog="Exit codes: 0 done; 1 some cases failed (run.json names them); 2 wrong use or bad input.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Options of every command: how it speaks, and plugins from outside."""

    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say what is being done.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False
    use: Annotated[
        list[Path],
        typer.Option(
            "--use", metavar="FILE.py", help="Add a pathology, generator, check, segmenter, format or metric."
        ),
    ] = ()  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class Talk(Speech):
    """Options of every command that prints a result; one whose result is a JSON file takes `Speech` alone."""

    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False


@dataclass(frozen=True, kw_only=True)
class Work(Talk):
    """Options of every command that makes files."""

    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write; the same command again resumes it.")]
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")] = 0
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="Where models compute.")] = (
        "auto"
    )
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Worker processes; memory grows with each.")] = 1
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print settings, memory and tasks; write nothing.")] = False
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run made in OUT.")] = False


@dataclass(frozen=True, kw_only=True)
class Cases(Work):
    """Options of every command that works case by case."""

    part: Annotated[
        str,
        typer.Option("--part", metavar="K/N", help="Do only the K-th of N parts, each into a folder of its own."),
    ] = ""


class OnceCommand(TyperCommand):
    """A command that refuses an option given twice, of which typer would take the last and drop the first unsaid."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look for options given more often than they may be, then parse as typer does."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in dict.fromkeys(given):
            takes_one = option.nargs == 1 and not getattr(option, "multiple", False)
            if takes_one and not getattr(option, "is_flag", False) and given.count(option) > 1:
                ctx.fail(f"{option.opts[-1]} was given {given.count(option)} times. It takes one value.")
        return super().parse_args(ctx, args)


CommandT = TypeVar("CommandT", bound=Callable[..., None])


Panel = Literal["First steps", "Stages", "Look"]


def command(name: str, panel: Panel, group: typer.Typer = app, hidden: bool = False) -> Callable[[CommandT], CommandT]:
    """Register a command whose first parameter is a `Speech`, `Talk` or `Work`, whose fields become its options.

    Args:
        name: what the user types.
        panel: heading it stands under in the help.
        group: what it is a command of.
        hidden: whether the help leaves it out, because programs call it.
    """

    def register(function: CommandT) -> CommandT:
        first, *own = inspect.signature(function, eval_str=True).parameters.values()
        shared = _parameters(first.annotation)

        @functools.wraps(function)
        def run(**values: Any) -> None:
            common = first.annotation(**{key: values.pop(key) for key in shared})
            _start(common)
            with_exit_code(functools.partial(_run, function, common, values), common.debug)

        run.__signature__ = inspect.Signature([*own, *shared.values()])  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in (*own, *shared.values())}
        group.command(name, cls=OnceCommand, rich_help_panel=panel, hidden=hidden)(run)
        return function

    return register


def _run(function: Callable[..., None], common: Speech, values: dict[str, Any]) -> None:
    if common.use:
        from pathosynth.stages.plugins import use_plugins

        use_plugins(common.use)
    function(common, **values)


def _parameters(common: type[Speech]) -> dict[str, inspect.Parameter]:
    hints = get_type_hints(common, include_extras=True)
    required = {item.name: item.default for item in inspect.signature(common).parameters.values()}
    return {
        item.name: inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=list(default) if isinstance(default := required[item.name], tuple) else default,
            annotation=hints[item.name],
        )
        for item in fields(common)
    }


def with_exit_code(body: Callable[[], None], debug: bool) -> None:
    """Run a command; what goes wrong becomes one message on standard error and an exit code.

    Raises:
        typer.Exit: with the code of the error; 2 for one nobody foresaw.
    """
    try:
        body()
    except PathosynthError as error:
        _explain(str(error), debug)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        _explain("Interrupted. The same command goes on with what is left.", debug)
        raise typer.Exit(INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:
        _explain(unexpected(error), debug)
        raise typer.Exit(PathosynthError.exit_code) from None


def _explain(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc(file=sys.stderr)
    typer.echo(f"pathosynth: {message}", err=True)


def _start(common: Speech) -> None:
    level = logging.DEBUG if common.debug else logging.INFO if common.verbose else logging.WARNING
    logging.basicConfig(
        level=logging.ERROR if common.quiet else level, format="%(levelname)s %(name)s: %(message)s", force=True
    )
    logging.captureWarnings(True)


def show(content: Any, common: Talk, text: str) -> None:
    """Print a result: JSON when asked for, else `text` unless quiet."""
    if common.as_json:
        typer.echo(json.dumps(content, indent=2, default=str))
    elif not common.quiet:
        typer.echo(text)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pathosynth {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Labelled pathological brain MRI: reshape labels, render images, reject the bad ones.

    Research use only; not a medical device.
    """
