"""What every knob of the flow pathologies does to the shape of a brain: one setting at a time from a base.

    python benchmarks/ablation_knobs.py MAP_dseg.nii.gz ... --ages 26 32 [--scheme kcl8] [--only chiari2 ...]
        [--json OUT.json] [--merge SHARD.json ...] [--page docs/knobs.md] [--pictures MAP_dseg.nii.gz]

Numbers are measured on the maps; with --page they replace the tables of that page, between the comments that name
them, and leave its sentences alone. Pictures are drawn of another map, whose pictures may be shown. A number that
differs from the base's by more than 1 % and by more than the voxels' noise (`ablation_measures.MEASURES`) is bold; one
that should not have moved and did not is "=", and one that should not have and did carries a dagger.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ablation_measures import MEASURES, differs, motion, shape
from ablation_pictures import draw_all
from ablation_settings import ABLATIONS, ALWAYS, COLUMNS, Ablation, Knob, Settings
from head import Head, read_head
from pathosynth.data.labels import load_scheme
from pathosynth.morphing import Morphed
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.errors import PathosynthError


@dataclass(frozen=True)
class Record:
    """One setting on one map.

    Attributes:
        case: name of the map.
        pathology: name.
        knob: which knob was turned; "" for the base, "source" for the untouched map.
        setting: what was changed, as it is written in the tables.
        values: measures by key; empty if it was refused.
        refused: why.
    """

    case: str
    pathology: str
    knob: str
    setting: str
    values: dict[str, float] = field(default_factory=dict)
    refused: str = ""


def morph(head: Head, pathology: str, settings: Settings, age_weeks: float) -> tuple[Morphed, float]:
    """The morphed map and its CPU seconds.

    Args:
        head: what is morphed.
        pathology: its name.
        settings: of its Config, and `seed`.
        age_weeks: for what depends on it; `settings` may say another.
    """
    module = PATHOLOGIES[pathology]
    given = {key: value for key, value in settings.items() if key != "seed"}
    if "age_weeks" in module.Config.model_fields:
        given.setdefault("age_weeks", age_weeks)
    config, rng = module.Config.model_validate(given), np.random.default_rng(settings.get("seed", 0))
    begun = time.process_time()
    morphed = module.morph(head.labels, head.scheme, head.spacing_mm, config, rng)
    return morphed, time.process_time() - begun


def ablate(case: str, head: Head, pathology: str, ablation: Ablation, age_weeks: float) -> Iterator[Record]:
    """The source, the base and every setting of every knob.

    The base is made twice: the first time warms up the compiler, and the second must give the same map.
    """
    first, _ = morph(head, pathology, ablation.base, age_weeks)
    base_map = Head(first.labels, head.scheme, head.spacing_mm)
    yield Record(case, pathology, "source", "source", shape(head, head, base_map))

    def record(knob: str, setting: str, settings: Settings) -> Record:
        try:
            morphed, seconds = morph(head, pathology, settings, age_weeks)
        except PathosynthError as error:
            return Record(case, pathology, knob, setting, refused=str(error))
        if not knob and not np.array_equal(morphed.labels, first.labels):
            raise SystemExit(f"{case}, {pathology}: the same settings gave two maps. Differences would mean nothing.")
        made = Head(morphed.labels, head.scheme, head.spacing_mm)
        values = shape(made, head, base_map) | motion(morphed, made) | {"cpu_s": seconds}
        return Record(case, pathology, knob, setting, values)

    yield record("", written(ablation.base, {}), ablation.base)
    for knob in ablation.knobs:
        for change in knob.values:
            settings = {key: value for key, value in {**ablation.base, **change}.items() if value is not None}
            yield record(knob.name, written(change, ablation.base), settings)


def written(change: Settings, base: Settings) -> str:
    """Settings as text, e.g. ``head_share 0, ell_mm 4``; of a table of folds what differs from the base's."""
    words = []
    for key, value in change.items():
        if isinstance(value, dict):
            known = base.get(key, {})
            words += [f"{key} {name} {fold:g}" for name, fold in value.items() if known.get(name) != fold]
        elif value is not None:
            words.append(f"{key} {value:g}" if isinstance(value, float | int) else f"{key} {value}")
    return ", ".join(words) or "defaults"


def table(records: Sequence[Record], ablation: Ablation) -> str:
    """Rows are settings, columns measures; one map and one pathology."""
    columns, knobs = ablation.columns(), {knob.name: knob for knob in ablation.knobs}
    bases = {"": next(r for r in records if r.knob == "")} | {r.setting: r for r in records}
    titles = [COLUMNS[name][0] for name in columns]
    lines = ["| setting | " + " | ".join(titles) + " |", "| --- " + "| ---: " * len(columns) + "|"]
    for record in records:
        title = {"": f"**base**: {record.setting}", "source": "*source*"}.get(record.knob, record.setting)
        knob = knobs.get(record.knob)
        cells = [_cell(record, bases[knob.against if knob else ""], name, knob) for name in columns]
        lines.append(f"| {title}{', refused' if record.refused else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(record: Record, base: Record, column: str, knob: Knob | None) -> str:
    """Values of one column; empty where the knob neither should move nor must keep them."""
    keys = COLUMNS[column][1]
    if not all(key in record.values for key in keys) or (knob and column not in knob.shown):
        return ""
    judged = bool(knob and base.values) and column not in ALWAYS
    moved = [judged and differs(key, record.values[key], base.values[key]) for key in keys]
    kept = knob is not None and column in knob.keeps
    if kept and not any(moved):
        return "="
    texts = [f"{record.values[key]:.{MEASURES[key].digits}f}" for key in keys]
    return " / ".join(f"**{t}**" if m else t for t, m in zip(texts, moved, strict=True)) + ("†" if kept else "")


def refusals(records: Sequence[Record]) -> str:
    """Refused settings and why: the first sentence, without the budget and its advice."""
    lines = [f"- {r.case}, {r.setting}: {r.refused.partition('. ')[0]}." for r in records if r.refused]
    return "\n".join(["Refused:", "", *lines]) if lines else "Refused: none."


def section(records: Sequence[Record], pathology: str) -> str:
    """Tables of one pathology: the first map's in sight, the others' folded away, then what was refused."""
    mine = [r for r in records if r.pathology == pathology]
    cases = list(dict.fromkeys(r.case for r in mine))
    parts = []
    for place, case in enumerate(cases):
        text = table([r for r in mine if r.case == case], ABLATIONS[pathology])
        folded = f"<details><summary>The same on {case}</summary>\n\n{text}\n\n</details>"
        parts.append(folded if place else f"On {case}:\n\n{text}")
    return "\n\n".join([*parts, refusals(mine)])


def into_page(page: str, sections: dict[str, str]) -> str:
    """The page with its tables replaced, between ``<!-- table: NAME -->`` and ``<!-- end -->``.

    Raises:
        SystemExit: a table has no place in the page.
    """
    for name, text in sections.items():
        place = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(page):
            raise SystemExit(
                f"the page has no place for a table of {name}: expected <!-- table: {name} --> … <!-- end -->"
            )
        page = place.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("maps", type=Path, nargs="*")
    parser.add_argument("--ages", type=float, nargs="*", default=[], help="gestational age of each map in weeks")
    parser.add_argument("--scheme", default="kcl8")
    parser.add_argument("--only", nargs="*", default=[*ABLATIONS], choices=[*ABLATIONS], metavar="PATHOLOGY")
    parser.add_argument("--json", type=Path, help="write every record here, after each pathology")
    parser.add_argument("--merge", type=Path, nargs="*", default=[], help="records of earlier runs, for the tables")
    parser.add_argument("--page", type=Path, help="replace the tables of this page; without it they are printed")
    parser.add_argument("--pictures", type=Path, help="label map whose pictures may be shown, of 30 weeks")
    parser.add_argument("--images", type=Path, default=Path("docs/images"), help="folder for the pictures")
    options = parser.parse_args()
    if len(options.ages) != len(options.maps):
        parser.error(f"expected one age for each of {len(options.maps)} maps, found {len(options.ages)}")
    scheme, records = load_scheme(options.scheme), _load(options.merge)
    for path, age in zip(options.maps, options.ages, strict=True):
        head, case = read_head(path, scheme), path.name.split("_")[0].removeprefix("sub-")
        for pathology in options.only:
            try:
                records += list(ablate(case, head, pathology, ABLATIONS[pathology], age))
            except PathosynthError as error:  # of the base; the other pathologies still have something to say
                print(f"{case} {pathology}: the base is refused: {error}", flush=True)
            print(f"{case} {pathology}: {sum(r.pathology == pathology for r in records)} rows", flush=True)
            if options.json:
                options.json.write_text(json.dumps([asdict(r) for r in records], indent=1) + "\n", encoding="utf-8")
    sections = {name: section(records, name) for name in options.only if any(r.pathology == name for r in records)}
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(into_page(page, sections), encoding="utf-8")
    else:
        print("\n\n".join(sections.values()))
    if options.pictures:
        draw_all(read_head(options.pictures, scheme), options.images, options.only)


def _load(paths: Sequence[Path]) -> list[Record]:
    return [Record(**entry) for path in paths for entry in json.loads(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    main()
