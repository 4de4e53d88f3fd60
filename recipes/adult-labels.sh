#!/usr/bin/env bash
# How the shipped model `adult-labels` was made.
#
#   recipes/adult-labels.sh SYNTHSEG_LABEL_MAPS OUT
#
# SYNTHSEG_LABEL_MAPS: folder with the 20 whole-head label maps SynthSeg is trained on (scheme synthsegfull, Apache-2.0,
# https://github.com/BBillot/SynthSeg). Twenty heads have ordinary ventricles, so each is also shown with ventricles of other
# volumes, from 8 to 150 mL. Everything resumes: the same command goes on where it stopped. About two hours on one core.
set -euo pipefail
heads=$1 out=$2
pathosynth prepare -i "$heads" --scheme synthsegfull --to-scheme synthseg -o "$out/heads"
pathosynth morph -i "$out/heads" -o "$out/morphs" --recipe adult-wide --seed 1 || [ $? -eq 1 ] # 1: some cases refused
pathosynth train -i "$out/heads" -i "$out/morphs" --generator latent_diffusion --preset small \
  --set augmentation.copies=3 -o "$out/adult-labels"
# Half precision on disk: the same maps but for single voxels, at half the size.
python - "$out/adult-labels/model.safetensors" <<'PYTHON'
import sys
from safetensors.torch import load_file, save_file
save_file({name: value.half() for name, value in load_file(sys.argv[1]).items()}, sys.argv[1])
PYTHON
