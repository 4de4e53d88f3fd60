#!/usr/bin/env bash
# How the shipped model `fetal-t2w` was made.
#
#   recipes/fetal-t2w.sh SPINA_BIFIDA_ATLAS OUT
#
# SPINA_BIFIDA_ATLAS: folder with sub-*_dseg.nii.gz (scheme kcl8) and sub-*_T2w.nii.gz of the CC0 atlas
# https://doi.org/10.12688/openreseurope.13914. Six brains are few, so each is also shown with its ventricles shrunk and grown,
# its own image carried along by the deformation. Everything resumes: the same command goes on where it stopped.
set -euo pipefail
atlas=$1 out=$2
pathosynth prepare -i "$atlas" --scheme kcl8 -o "$out/prepared"
morph() { # NAME SETTING...
  local name=$1; shift
  pathosynth morph -i "$out/prepared" -o "$out/$name" "$@" || [ $? -eq 1 ] # 1: some cases refused, the others are used
  pathosynth generate-images -i "$out/$name" --parents "$out/prepared" --model carried -o "$out/$name-images"
}
morph shrunk-much --set ventricle_fold=0.45
morph shrunk --set ventricle_fold=0.7
morph grown --set ventricle_fold=1.3 --set skull_share=1.0
pathosynth train -i "$out/prepared" -i "$out/shrunk-much-images" -i "$out/shrunk-images" -i "$out/grown-images" \
  --preset fast --set training.gamma=0.05 --max-steps "${STEPS:-3000}" --seed 1 -o "$out/fetal-t2w"
