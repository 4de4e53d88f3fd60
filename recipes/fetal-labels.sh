#!/usr/bin/env bash
# How the shipped model `fetal-labels` was made.
#
#   recipes/fetal-labels.sh SPINA_BIFIDA_ATLAS OUT
#
# SPINA_BIFIDA_ATLAS: folder with sub-*_dseg.nii.gz (scheme kcl8) and participants.tsv with ga_weeks, of the CC0 atlas
# https://doi.org/10.12688/openreseurope.13914. Six brains with enlarged ventricles are few, so each is also shown with
# ventricles of a third to three times their volume. About an hour and a half on one core.
set -euo pipefail
atlas=$1 out=$2
pathosynth morph -i "$atlas" --scheme kcl8 -o "$out/morphs" --recipe fetal-wide --seed 1 || [ $? -eq 1 ]
pathosynth train -i "$atlas" -i "$out/morphs" --scheme kcl8 --generator latent_diffusion --preset small \
  --set conditions='["ventricle_ratio","ventricle_ml","intracranial_ml","cerebellum_ml","age_weeks"]' \
  --set grid.shape='[96,112,96]' --set grid.spacing_mm='[1.0,1.0,1.0]' --set augmentation.copies=3 \
  --set autoencoder.steps=1500 --set diffusion.steps=2000 -o "$out/fetal-labels"
python - "$out/fetal-labels/model.safetensors" <<'PYTHON'
import sys
from safetensors.torch import load_file, save_file
save_file({name: value.half() for name, value in load_file(sys.argv[1]).items()}, sys.argv[1])
PYTHON
