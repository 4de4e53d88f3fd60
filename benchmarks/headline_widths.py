"""`synthesize` on every label map of a folder at several atrial widths: what is met, what is refused, what is kept.

Runs the command as a user would and measures its files with scipy alone: width (diameter of the largest sphere, through
voxel centres, that fits in the posterior half of either ventricle), pieces per label against the source without specks
of up to 20 voxels, grid and affine bytes, and the bytes of a second run. Folds are those of the case's report.

    python benchmarks/headline_widths.py LABELS OUT [--widths 12 15 20] [--model gaussian_mixture] [--again 2]
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import scipy.ndimage as ndi

VENTRICLES, FULL = 2, np.ones((3, 3, 3))


def width_mm(labels: np.ndarray, spacing: float) -> float:
    """Twice the largest distance from a ventricle voxel to the nearest one outside, posterior half, wider side."""
    mask = labels == VENTRICLES
    extent = np.flatnonzero(mask.any(axis=(0, 2)))
    distance = ndi.distance_transform_edt(mask, sampling=spacing)
    distance[:, (extent[0] + extent[-1]) // 2 + 1 :] = 0
    return 2 * float(distance.max())


def pieces(labels: np.ndarray, clean: bool) -> dict[int, int]:
    counts = {}
    for value in np.unique(labels[labels > 0]):
        parts, n = ndi.label(labels == value, FULL)
        sizes = np.bincount(parts.ravel())[1:]
        counts[int(value)] = int((sizes > 20).sum()) if clean else n
    return counts


def synthesize(path: Path, out: Path, width: float, model: str) -> subprocess.CompletedProcess:
    command = ["pathosynth", "synthesize", path, "-o", out, "--scheme", "kcl8", "--model", model, "--overwrite"]
    return subprocess.run(
        [*map(str, command), "--set", f"atrial_width_mm={width}", "-q"], capture_output=True, text=True, check=False
    )


def result_of(out: Path) -> Path | None:
    found = [*out.glob("sub-*/anat/*_dseg.nii.gz"), *out.glob("rejected/sub-*/anat/*_dseg.nii.gz")]
    return found[0] if found else None


def measure(source: Path, made: Path, width: float) -> dict[str, object]:
    before, after = nib.load(source), nib.load(made)
    image = nib.load(next(p for p in made.parent.glob("*.nii.gz") if "desc-synth" in p.name))
    old, new = np.asanyarray(before.dataobj), np.asanyarray(after.dataobj)
    allowed, counts = pieces(old, clean=True), pieces(new, clean=False)
    report = json.loads(made.with_name(made.name.replace(".nii.gz", ".json")).read_text())["Report"]["steps"][0]
    return {
        "miss_mm": abs(width_mm(new, float(before.header.get_zooms()[0])) - width),
        "extra_pieces": sum(max(0, n - allowed[value]) for value, n in counts.items()),
        "same_grid": all(
            x.shape == before.shape and x.affine.tobytes() == before.affine.tobytes() for x in (after, image)
        ),
        "smallest_jacobian": report["validity"]["jacobian"]["min"],
        "rejected": "rejected" in made.parts,
    }


def digest(out: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file() and p.name != "run.json"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--widths", type=float, nargs="+", default=[12, 15, 20])
    parser.add_argument("--model", default="gaussian_mixture")
    parser.add_argument("--again", type=int, default=2, help="run every n-th met request twice and compare bytes")
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    for path in sorted(args.labels.glob("*_dseg.nii.gz")):
        for width in args.widths:
            out = args.out / f"{path.name.removesuffix('_dseg.nii.gz')}-{width:g}"
            started = time.perf_counter()
            ran = synthesize(path, out, width, args.model)
            row = {
                "case": path.name.removesuffix("_dseg.nii.gz"),
                "width": width,
                "seconds": time.perf_counter() - started,
                "exit": ran.returncode,
            }
            made = result_of(out)
            if made:
                row |= measure(path, made, width)
                if len(rows) % args.again == 0:
                    first = digest(out)
                    synthesize(path, out, width, args.model)
                    row["same_bytes"] = digest(out) == first
            else:
                row["refused"] = ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "?"
            rows.append(row)
            print(json.dumps(row), flush=True)
    summarise(rows, args.widths)


def summarise(rows: list[dict], widths: list[float]) -> None:
    print("| width, mm | made | refused | rejected | miss, mm | folds | more pieces | other grid | other bytes | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for width in widths:
        here = [r for r in rows if r["width"] == width]
        made = [r for r in here if "miss_mm" in r]
        jacobians = [r["smallest_jacobian"] for r in made]
        worst = max((r["miss_mm"] for r in made), default=float("nan"))
        cells = [
            f"{width:g}",
            len(made),
            len(here) - len(made),
            sum(r["rejected"] for r in made),
            f"{worst:.2f}",
            f"{sum(j <= 0 for j in jacobians)} of {len(jacobians)}",
            sum(r["extra_pieces"] > 0 for r in made),
            sum(not r["same_grid"] for r in made),
            f"{sum(not r.get('same_bytes', True) for r in made)} of {sum('same_bytes' in r for r in made)}",
            f"{np.median([r['seconds'] for r in here]):.1f}",
        ]
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
