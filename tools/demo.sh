#!/usr/bin/env bash
# From a fresh clone to a picture: train the hippocampus segmentation bundle on synthetic anatomy, then make the report.
# It shows that the parts work together. It does not show how good a method is.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$root/tools/setup_env.sh"
ensure_environment "$root"
output="$root/demo_output"

echo "== ssl3d demo (mechanics only: synthetic images, a few minutes of training)"
started=$SECONDS
cd "$root/bundles/hippocampus_mri_segmentation"
"$PYTHON" -m monai.bundle run --config_file configs/train.json --epochs 6 --epoch_length 25 --output_dir "$output"
echo "trained in $((SECONDS - started)) s"

started=$SECONDS
picture="$("$(dirname "$PYTHON")/ssl3d" report "$output/demo" | tail -n 1)"
echo "reported in $((SECONDS - started)) s, all in $SECONDS s"
echo "$picture"
