#!/usr/bin/env bash
# From a fresh clone to a table: makes synthetic scans, pre-trains GVSL and MAE on them without labels, fine-tunes a
# segmentation on four labelled ones from scratch and from either, and registers one scan onto another.
# It shows that the parts work together. It does not show how good a method is.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$root/tools/setup_env.sh"
ensure_environment "$root"
output="$root/demo_output"
rm -rf "$output"
mkdir -p "$output"
export OMP_NUM_THREADS=1 # two processes at a time, one core each

started=$SECONDS
step() { echo "== $1 ($((SECONDS - started)) s so far)"; }
echo "ssl3d demo (mechanics only: synthetic), three to five minutes on two cores"

step "synthetic scans"
"$PYTHON" -W ignore -m ssl3d.cli synthesize hippocampus_mri "$output/scans" --subjects 32

step "pre-training without labels: GVSL and MAE, side by side; logs in $output"
pretrain() { # METHOD
    cd "$root/bundles/$1_pretraining"
    "$PYTHON" -W ignore -m monai.bundle run --config_file configs/train.json --dataset_dir "$output/scans" \
        --epochs 4 --epoch_length 60 --val_interval 2 --output_dir "$output/$1" >"$output/$1.log" 2>&1 ||
        { tail -n 5 "$output/$1.log" >&2 && return 1; }
}
pretrain mae &
other=$!
pretrain gvsl
wait "$other"

step "fine-tuning on four labelled scans: from scratch, MAE, GVSL"
cd "$root"
"$PYTHON" -W ignore -m ssl3d.cli study bundles/hippocampus_mri_segmentation "$output/scans" "$output/study" \
    --labels 4 --seeds 0 --pretrained "none,$output/mae/demo/model.pt,$output/gvsl/demo/model.pt" \
    --section test --epochs 8

step "registration of one scan onto another"
cd "$root/bundles/gvsl_pretraining"
"$PYTHON" -W ignore -m monai.bundle run --config_file configs/inference.json --dataset_dir "$output/scans" --pairs 1 \
    --weights "$output/gvsl/demo/model.pt" --output_dir "$output/registration" >"$output/registration.log" 2>&1 ||
    { tail -n 5 "$output/registration.log" >&2 && exit 1; }

step "done"
echo "pictures (mechanics only: synthetic):"
find "$output" -name "*.png" -not -path "*/study/*/*"
echo "the table on real MR, with more seeds: $root/bundles/hippocampus_mri_segmentation/docs/README.md"
