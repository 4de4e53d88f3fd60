"""The commands of a reader study."""

import typer

from pathosynth.cli.app import app

reader_app = typer.Typer(
    name="reader",
    help="A blinded study with several readers: can they tell, how good do they find it, do they agree?",
    no_args_is_help=True,
)
app.add_typer(reader_app, rich_help_panel="Stages")
