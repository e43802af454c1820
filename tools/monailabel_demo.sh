#!/usr/bin/env bash
# MONAI Label with our segmentation bundles: starts its server on loopback and does with it what a viewer does, from the
# first answer to a training on corrected labels (tools/monailabel_client.py). With --serve the server stays up until
# Ctrl-C instead, for 3D Slicer. The scans are hippocampi of the Medical Segmentation Decathlon where SSL3D_DATA has
# them, and synthetic ones for all else.
#   SSL3D_LABEL_PORT    of the server                              (default: 8000)
#   SSL3D_LABEL_OUTPUT  made anew: app, studies, answers, log      (default: ROOT/monailabel_demo)
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
port="${SSL3D_LABEL_PORT:-8000}"
output="${SSL3D_LABEL_OUTPUT:-$root/monailabel_demo}"
trained=hippocampus_mri_segmentation

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
if in_use; then
    echo "error: port $port is in use. Stop the server there, or choose another port: SSL3D_LABEL_PORT=8001 $0" >&2
    exit 1
fi
source "$root/tools/monailabel_env.sh"
ensure_monailabel "$root"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" PYTHONPATH="$root/shared${PYTHONPATH:+:$PYTHONPATH}"
rm -rf "$output"
mkdir -p "$output"
cd "$output"

echo "== app, bundles, scans"
"$PYTHON" -W ignore -m monailabel.main apps --download --name monaibundle --output apps >/dev/null
mkdir -p apps/monaibundle/model
models=()
for bundle in "$root"/bundles/*_segmentation; do
    name="$(basename "$bundle")"
    models+=("$name")
    cp -R "$bundle" apps/monaibundle/model/
    # A packed bundle has its backbone already.
    if [[ ! -e "apps/monaibundle/model/$name/models/backbone.pth" ]]; then
        cp "$root/bundles/gvsl_pretraining/models/model.pt" "apps/monaibundle/model/$name/models/backbone.pth"
        cp "$root/bundles/gvsl_pretraining/models/model.json" "apps/monaibundle/model/$name/models/backbone.json"
    fi
done
"$PYTHON" -W ignore "$root/tools/monailabel_scans.py" "$output" "${SSL3D_DATA:-}" "${models[@]}"

serve() {
    exec "$PYTHON" -W ignore -m monailabel.main start_server --app apps/monaibundle --studies studies \
        --host 127.0.0.1 --port "$port" --conf models "$(IFS=, && echo "${models[*]}")" \
        --conf zoo_source local --conf sam2 false
}
if [[ "${1:-}" == --serve ]]; then
    echo "== MONAI Label on http://127.0.0.1:$port, Ctrl-C stops it; studies and labels: $output/studies"
    serve
fi

echo "== server on http://127.0.0.1:$port, log: $output/server.log"
serve >server.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
until in_use; do
    if ! kill -0 "$server" 2>/dev/null; then
        echo "error: the server did not start; the end of its log:" >&2
        tail -n 15 server.log >&2
        exit 1
    fi
    sleep 0.5
done

echo "== what a viewer does"
"$PYTHON" -W ignore "$root/tools/monailabel_client.py" "http://127.0.0.1:$port" studies truth answers --train "$trained"
