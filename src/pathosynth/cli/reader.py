"""The commands of blinded reader studies."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pathosynth.cli.app import Talk, app, command, show

reader_app = typer.Typer(
    name="reader",
    help="Blinded reader study: who can tell real images from synthetic ones, and do they agree.",
    no_args_is_help=True,
)
app.add_typer(reader_app, rich_help_panel="Stages")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `reader init` made.")]
TruthFile = Annotated[
    Path | None, typer.Option("--truth", help="File of the truth, where it does not lie in truth/ of the folder.")
]
Database = Annotated[
    str, typer.Option("--database", metavar="URL", help="postgresql+psycopg://…; by default SQLite in the folder.")
]


@command("init", "Stages", reader_app)
def init(
    common: Talk,
    *,
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="What is shown, asked, and to how many readers.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make; must not exist yet.")],
    truth: TruthFile = None,
) -> None:
    """Make a study: images in one form under random names, orders for all readers, and the protocol's hash."""
    from pathosynth.reader.begin import begin_study
    from pathosynth.reader.study import load_study

    def progress(done: int, total: int) -> None:
        if not common.quiet and (done % 50 == 0 or done == total):
            typer.echo(f"reader init {done}/{total} images", err=True)

    begun = begin_study(load_study(study), output, truth=truth, progress=progress)
    facts = {
        "output": str(output), "images": begun.images, "readers": len(begun.plan.readers),
        "slots": sum(len(block.slots) for block in begun.plan.readers[0]),
        "shape": begun.form.shape, "spacing_mm": begun.form.spacing_mm, "protocol_sha256": begun.protocol_sha256,
    }  # fmt: skip
    show(facts, common, f"{output}: {begun.images} images for {facts['readers']} readers, "
         f"protocol {begun.protocol_sha256}")  # fmt: skip


@command("serve", "Stages", reader_app)
def serve(
    common: Talk,
    *,
    folder: Folder,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8765,
    database: Database = "",
    allow_host: Annotated[
        list[str], typer.Option("--allow-host", help="Name by which browsers reach this machine; may be repeated.")
    ] = [],  # noqa: B006, typer needs the plain default
    https: Annotated[bool, typer.Option("--https", help="A proxy in front speaks https with the browsers.")] = False,
    idle_hours: Annotated[
        float, typer.Option("--idle-hours", min=0.1, max=2160, help="Hours without a request that end a log-in.")
    ] = 12.0,
) -> None:
    """Serve a study to its readers, by default to this machine only."""
    from datetime import timedelta

    from pathosynth.reader.serve import serve as serve_study

    idle = timedelta(hours=idle_hours)
    serve_study(folder, host=host, port=port, database=database, allowed=allow_host, https=https, idle=idle,
                told=lambda line: None if common.quiet else typer.echo(line, err=True))  # fmt: skip


@command("invite", "Stages", reader_app)
def invite(
    common: Talk,
    *,
    folder: Folder,
    name: Annotated[str, typer.Option("--name", help="Reader, as the results shall call him, e.g. R1.")],
    role: Annotated[
        str, typer.Option("--role", metavar="reader|admin", help="Admins see how far all readers are.")
    ] = "reader",
    url: Annotated[str, typer.Option("--url", help="Where browsers reach the server.")] = "http://127.0.0.1:8765",
) -> None:
    """Print a link that logs somebody in once; invite the same name again for another one."""
    from pathosynth.reader.folder import open_study
    from pathosynth.reader.invites import invite as make_invite
    from pathosynth.runs.errors import ConfigError

    roles: dict[str, Literal["reader", "admin"]] = {"reader": "reader", "admin": "admin"}
    if role not in roles:
        raise ConfigError(f"--role {role}: expected reader or admin.")
    token = make_invite(open_study(folder), name, roles[role])
    link = f"{url.rstrip('/')}/login#{token}"
    show({"name": name, "role": role, "token": token, "link": link}, common, link)


@command("revoke", "Stages", reader_app)
def revoke(
    common: Talk,
    *,
    folder: Folder,
    name: Annotated[str, typer.Option("--name", help="Whose links and log-ins are to end, as invited, e.g. R1.")],
) -> None:
    """Take somebody's invitations back and end his log-ins at once; his answers stay, and the server may be running."""
    from pathosynth.reader.folder import open_study
    from pathosynth.reader.invites import revoke as take_back

    ended = take_back(open_study(folder), name)
    show({"name": name, "revoked": ended}, common,
         f"{name}: links taken back: {ended}; to let {name} go on, invite {name} again")  # fmt: skip


@command("status", "Stages", reader_app)
def status(common: Talk, *, folder: Folder, database: Database = "") -> None:
    """Show how far readers are, and check that no answer was changed since it was given."""
    from pathosynth.reader.folder import open_study
    from pathosynth.reader.results import read_answers, reader_progress

    opened = open_study(folder)
    answers = read_answers(opened, database)
    rows = reader_progress(opened, answers)
    lines = [f"{row['name']:<12} {row['done']:>5}/{row['total']} {row['last'] or ''}" for row in rows]
    lines.append(f"{len(answers.rows)} rows, none changed; they are summed up by {answers.head_sha256}")
    facts = {"readers": rows, "rows": len(answers.rows), "head_sha256": answers.head_sha256}
    show(facts, common, "\n".join(lines))


@command("export", "Stages", reader_app)
def export(
    common: Talk,
    *,
    folder: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write; an older export is replaced.")],
    truth: TruthFile = None,
    database: Database = "",
) -> None:
    """Write all answers, with what each image is: long CSV for `reader analyse`, JSON with every row, BIDS table."""
    from pathosynth.reader.export import export as write
    from pathosynth.reader.folder import open_study, open_truth

    opened = open_study(folder)
    facts = write(opened, open_truth(opened, truth), database, output)
    show({"output": str(output), **facts}, common, f"{output}: {facts['ratings']} ratings of {facts['rows']} rows, "
         f"summed up by {facts['head_sha256']}")  # fmt: skip


@command("backup", "Stages", reader_app)
def backup(
    common: Talk,
    *,
    folder: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", help="SQLite file to write; must not exist yet.")],
) -> None:
    """Copy the SQLite file of a study; the server may be running."""
    from pathosynth.reader.folder import open_study
    from pathosynth.reader.results import backup as copy

    copy(open_study(folder), output)
    show({"output": str(output)}, common, f"{output}: copied")


@command("audit-blinding", "Stages", reader_app)
def audit_blinding(
    common: Talk,
    *,
    folder: Folder,
    truth: TruthFile = None,
    readers: Annotated[int, typer.Option("--readers", min=1, help="How many planned readers the audit reads as.")] = 4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of folds, forests and intervals.")] = 0,
) -> None:
    """Learn to tell real from synthetic by all that a browser receives but the voxels: AUC 0.5 is a blind study."""
    from dataclasses import asdict

    from pathosynth.reader.audit import audit, told
    from pathosynth.reader.folder import open_study, open_truth

    opened = open_study(folder)
    found = audit(opened, open_truth(opened, truth), readers, seed)
    show(asdict(found), common, told(found))
