"""Study files and the jobs they become: nothing is read before it is made, nothing changes what is already done."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from pathosynth.cli import app
from pathosynth.cli.understood import check_jobs
from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError
from pathosynth.segmenters import SEGMENTERS
from pathosynth.workflow.jobs import Job
from pathosynth.workflow.planning import plan_jobs
from pathosynth.workflow.steps import settings_words
from pathosynth.workflow.study import load_study, study_names

READING = ("-i", "--train", "--parents", "--model", "--predicted", "--prepared")

MINIMAL = """
[data]
scheme = "kcl8"
contrast = "T2w"
phantoms = { train = 2, test = 1 }

[ingredients.sick]
steps = [{ stage = "morph", recipe = "fetal-mixed", parts = 3 }]
[ingredients.seen]
from = "sick"
steps = [{ stage = "generate-images", model = "carried" }, { stage = "check" }]

[arms]
real = ["real"]
both = ["real", "seen"]

[segmenter]
seeds = [1, 2]
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Empty files with the names of the data that the shipped studies read."""
    for folder, names in {
        "fetal_healthy": ("a_dseg", "a_T2w", "b_dseg", "b_T2w"),
        "fetal_spinabifida_dev": ("c_dseg", "c_T2w"),
        "adult_t1w_small": ("d_desc-h8_dseg", "d_T1w", "e_desc-h8_dseg", "e_T1w"),
        "adult_t1w_enlarged_dev": ("f_desc-h8_dseg", "f_T1w"),
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.nii.gz").touch()
    (tmp_path / "fetal_spinabifida_dev" / "participants.tsv").write_text("participant_id\tga_weeks\nc\t23\n")
    return tmp_path


def planned(text: str, folder: Path) -> list[Job]:
    (folder / "study.toml").write_text(text)
    study, base = load_study(str(folder / "study.toml"))
    return plan_jobs(study, base, folder)


def test_an_arm_may_have_seeds_of_its_own(tmp_path: Path) -> None:
    text = MINIMAL.replace('both = ["real", "seen"]', 'both = ["real", "seen"]\nceiling = { folds = 2, seeds = [7] }')
    jobs = planned(text, tmp_path)
    trained = [job.name for job in jobs if job.name.startswith("arm.ceiling")]
    assert [name for name in trained if "data" not in name] == [
        "arm.ceiling.seed-7-fold-1",
        "arm.ceiling.seed-7-fold-2",
    ]
    evaluation = next(job for job in jobs if job.name == "evaluation")
    assert [word for word in evaluation.command if word.startswith(("real=", "ceiling="))] == [
        "real=arms/real/seed-1",
        "real=arms/real/seed-2",
        "ceiling=arms/ceiling/seed-7-fold-1,arms/ceiling/seed-7-fold-2",
    ]


@pytest.mark.parametrize("name", study_names())
def test_no_job_reads_what_it_does_not_wait_for(name: str, data: Path) -> None:
    study, base = load_study(name)
    jobs = plan_jobs(study, base, data)
    maker = {job.output: job.name for job in jobs}
    assert len(maker) == len(jobs), "two jobs write one folder"
    waited: dict[str, set[str]] = {}
    for job in jobs:
        assert set(job.needs) <= set(waited), "a job stands before one it waits for"
        waited[job.name] = set(job.needs).union(*(waited[need] for need in job.needs))
        words = list(job.command)
        given = [words[k + 1] for k, word in enumerate(words) if word in READING]
        read = [one for text in given for one in text.partition("=")[2].split(",") or [text]]
        for folder in [
            text for text in [*given, *read] if text.startswith(("data/", "ingredients/", "models/", "arms/"))
        ]:
            made = [name for output, name in maker.items() if Path(folder).is_relative_to(output)]
            assert made, f"{job.name} reads {folder}, which no job makes"
            assert set(made) <= waited[job.name], f"{job.name} reads {folder} and does not wait for {made}"
    left = {job.name for job in jobs} - set().union(*(job.needs for job in jobs))
    assert left == {"report"}, "something is made for nothing"


@pytest.mark.parametrize("name", study_names())
def test_commands_of_shipped_studies_are_understood(name: str, data: Path) -> None:
    study, base = load_study(name)
    jobs = plan_jobs(study, base, data)
    looked = [job for job in jobs if job.stage != "train"]  # its settings bring torch in
    check_jobs(tuple(looked), [f"models/{model}" for model in study.models])


def test_every_arm_is_trained_with_every_seed_on_its_tables(tmp_path: Path) -> None:
    jobs = {job.name: job for job in planned(MINIMAL, tmp_path)}
    both = " ".join(jobs["arm.both.seed-2"].command)
    assert "--train data/train/all --train ingredients/seen/2-check/all" in both
    assert "--seed 2" in both
    assert "--prepared arms/both/data" in both
    assert jobs["arm.both.data"].command[:2] == ("segment", "--train")
    assert "--seed" not in jobs["arm.both.data"].command, "what is prepared serves every seed"
    assert [name for name in jobs if name.startswith("arm.")] == [
        f"arm.{arm}.{one}" for arm in ("real", "both") for one in ("data", "seed-1", "seed-2")
    ]
    carried = jobs["seen.1-generate-images.1of1"]
    assert "--parents data/train/all" in " ".join(carried.command), "what is carried comes from the healthy parents"
    assert {"sick.1-morph.all", "train.all"} <= set(carried.needs)


def test_folds_cover_the_test_cases_once(tmp_path: Path) -> None:
    jobs = {
        job.name: job
        for job in planned(MINIMAL.replace("[segmenter]", "ceiling = { folds = 3 }\n[segmenter]"), tmp_path)
    }
    for fold in "123":
        arm = " ".join(jobs[f"arm.ceiling.seed-1-fold-{fold}"].command)
        assert f"-i data/folds/{fold}of3/test --train data/folds/{fold}of3/train" in arm
        assert f"--fold {fold}/3 --split test" in " ".join(jobs[f"fold.{fold}of3.test"].command)
        assert f"--without-fold {fold}/3 --split train" in " ".join(jobs[f"fold.{fold}of3.train"].command)
    judged = " ".join(jobs["evaluation"].command)
    assert "ceiling=arms/ceiling/seed-1-fold-1,arms/ceiling/seed-1-fold-2,arms/ceiling/seed-1-fold-3" in judged


def test_what_a_job_may_take_comes_from_the_nearest_table(tmp_path: Path) -> None:
    more = "\n[resources.default]\nmemory_gib = 2\n[resources.segment]\nthreads = 8\ngres = 'gpu:1'\n"
    jobs = {job.name: job for job in planned(MINIMAL + more, tmp_path)}
    arm, morph = jobs["arm.real.seed-1"], jobs["sick.1-morph.2of3"]
    assert (arm.resources.threads, arm.resources.memory_gib, arm.resources.gres) == (8, 4, "gpu:1")
    assert (morph.resources.threads, morph.resources.memory_gib) == (1, 2)
    assert arm.how == ("--set", "threads=8")
    plain = {job.name: job for job in planned(MINIMAL, tmp_path)}
    assert arm.digest == plain["arm.real.seed-1"].digest, "more cores would throw away what is done"


def test_settings_become_words_that_are_read_back_as_they_were() -> None:
    from pathosynth.runs.config import parse_settings

    settings = {"a": 1, "b": {"c": 0.5, "d": [1, 2]}, "e": True, "f": "uniform:1:2", "g": 1e-5, "h": "kcl8"}
    words = list(settings_words(settings))
    assert words[::2] == ["--set"] * 7
    assert parse_settings(words[1::2]) == settings


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('contrast = "T2w"', 'contrast = "T2w"\ncolour = 3', "data.colour"),
        ('["real", "seen"]', '["real", "sen"]', "arms.both: sen is not among real, sick, seen"),
        ('from = "sick"', 'from = "seen"', "seen are made from each other"),
        ("phantoms = { train = 2, test = 1 }", 'train = ["x"]', "folders to train and to test on, or phantoms"),
        ("phantoms = { train = 2, test = 1 }", 'train = ["x"]\ntest = ["y"]', "no such file or folder"),
        ('stage = "check"', 'stage = "chek"', "chek"),
        ("[ingredients.sick]", "[ingredients.real]\nsteps = [{ stage = 'check' }]\n[ingredients.sick]", "are taken"),
        ('recipe = "fetal-mixed"', 'recipe = "fetal-mixed", pathologies = ["dilation"]', "a recipe or pathologies"),
        ('real = ["real"]', "real = []", "ingredients to train on, or folds"),
        ("[arms]", "[models.seen]\ngenerator = 'pixel_diffusion'\n[arms]", "seen names an ingredient and a model"),
        ("seeds = [1, 2]", "seeds = [1, 2, 1]", "expected seeds that differ"),
        ('real = ["real"]', 'real = { train = ["real"], seeds = [0, 0] }', "expected seeds that differ"),
    ],
)
def test_mistakes_are_named(old: str, new: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"study\.toml|study:|data:") as caught:
        planned(MINIMAL.replace(old, new), tmp_path)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("fetal-mixed", "fetal-mixd", "job sick.1-morph.1of3"),
        ('model = "carried"', 'model = "caried"', "job seen.1-generate-images.1of1"),
        ('{ stage = "check" }', '{ stage = "check", checks = ["geometri"] }', "job seen.2-check.1of1"),
        ("seeds = [1, 2]", "settings = { epoch = 3 }", "job arm.real.data"),
        ('recipe = "fetal-mixed"', 'recipe = "paper1"', "dilation"),
        ('[{ stage = "gen', '[{ stage = "prepare", spacing_mm = 2 }, { stage = "gen', "prepare brings cases to"),
        ('from = "sick"\n', "", "no image can be carried along: prepare brings"),
        ("[segmenter]", "[evaluation]\nstructures = ['ventricle']\n[segmenter]", "no group 'ventricle'"),
        ("[segmenter]", "[evaluation]\nabove = { ventrikel = 20 }\n[segmenter]", "no group 'ventrikel'"),
        ("[segmenter]", "[evaluation]\nsubgroups = ['age_weeks=30,20']\n[segmenter]", "ascending edges"),
    ],
)
def test_a_command_that_would_fail_is_found_before_anything_runs(
    old: str, new: str, named: str, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(MINIMAL.replace(old, new))
    result = CliRunner().invoke(app, ["study", "run", str(tmp_path / "study.toml"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert named in result.stderr
    assert "would fail" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_subgroup_that_the_cases_do_not_know_is_found_before_anything_runs(data: Path) -> None:
    study, base = load_study("fetal-ablation")
    (data / "fetal_spinabifida_dev" / "participants.tsv").unlink()
    jobs = [job for job in plan_jobs(study, base, data) if job.stage in ("table", "evaluate")]
    with pytest.raises(ConfigError, match=r"job evaluation.*--subgroup age_weeks"):
        check_jobs(tuple(jobs), [])


def test_files_beside_the_study_are_found_from_its_folder_and_count_by_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("of = 'one'")
    (tmp_path / "like.csv").write_text("of one")
    text = MINIMAL.replace('"kcl8"', '"mine.toml"').replace('recipe = "fetal-mixed"', 'recipe = "mine.toml"')
    text = text.replace('model = "carried"', 'model = "carried", settings = { table = "like.csv" }')
    before = {job.name: job for job in planned(text, tmp_path)}
    assert str(tmp_path / "mine.toml") in before["test"].command
    assert str(tmp_path / "mine.toml") in before["sick.1-morph.1of3"].command
    assert f"table={tmp_path / 'like.csv'}" in before["seen.1-generate-images.1of1"].command
    (tmp_path / "mine.toml").write_text("of = 'two'")
    after = {job.name: job for job in planned(text, tmp_path)}
    changed = {name for name, job in after.items() if job.digest != before[name].digest}
    assert {"test", "sick.1-morph.1of3"} <= changed
    assert not {"seen.1-generate-images.1of1", "evaluation"} & changed, "these read it through others"


def test_only_a_segmenter_that_takes_threads_is_told_its_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {job.name: job.how for job in planned(MINIMAL, tmp_path)}
    assert told["arm.real.seed-1"] == ("--set", "threads=1")
    chosen = {job.name: job.how for job in planned(f"{MINIMAL}settings = {{ threads = 2 }}\n", tmp_path)}
    assert chosen["arm.real.seed-1"] == (), "the study's own number would be given twice"
    monkeypatch.setitem(SEGMENTERS, "plain", SimpleNamespace(Config=Config))
    plain = {job.name: job.how for job in planned(f'{MINIMAL}kind = "plain"\n', tmp_path)}
    assert plain["arm.real.seed-1"] == ()


def test_dry_run_lists_every_command_and_writes_nothing(tmp_path: Path) -> None:
    call = ["study", "run", "phantom", "-o", str(tmp_path / "out"), "--dry-run"]
    text = CliRunner().invoke(app, call)
    assert text.exit_code == 0, text.stderr
    listed = json.loads(CliRunner().invoke(app, [*call, "--json"]).stdout)
    assert all(f"pathosynth {' '.join([*job['command'], *job['how']])}" in text.stdout for job in listed)
    assert f"{len(listed)} jobs" in text.stdout
    assert not (tmp_path / "out").exists()


def test_shipped_studies_are_listed() -> None:
    found = {
        row["name"]: row["about"] for row in json.loads(CliRunner().invoke(app, ["study", "list", "--json"]).stdout)
    }
    assert {"phantom", "fetal-ventriculomegaly", "adult-ventricles"} <= set(found)
    assert all(found.values())
