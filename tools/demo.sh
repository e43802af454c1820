#!/usr/bin/env bash
# From a fresh clone to a picture: trains the hippocampus segmentation bundle on synthetic anatomy that it makes itself.
# It shows that the parts work together. It does not show how good a method is.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$root/tools/setup_env.sh"
ensure_environment "$root"
output="$root/demo_output"

echo "== ssl3d demo (mechanics only: synthetic), two to four minutes on two cores"
started=$SECONDS
cd "$root/bundles/hippocampus_mri_segmentation"
settings=(--epochs 8 --epoch_length 40 --val_interval 2 --output_dir "$output")
"$PYTHON" -W ignore -m monai.bundle run --config_file configs/train.json "${settings[@]}"
echo "trained in $((SECONDS - started)) s"

started=$SECONDS
"$PYTHON" -W ignore -m monai.bundle run --config_file "['configs/train.json','configs/evaluate.json']" \
    --model_dir "$output/demo" --output_dir "$output/demo"
echo "evaluated in $((SECONDS - started)) s; a score for each case: $output/demo/test/val_mean_dice_raw.csv"
echo "all in $SECONDS s; the picture (mechanics only: synthetic):"
echo "$output/demo/preview.png"
