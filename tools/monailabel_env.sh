#!/usr/bin/env bash
# The environment of the MONAI Label server, apart from the one of the tests: MONAI Label 0.8.5 needs numpy 1 and other
# packages that ours must not have. Run it to make the environment, or bring it up to date; sourced by other scripts,
# `ensure_monailabel ROOT` does that and sets PYTHON to its interpreter.
#   SSL3D_PYTHON      interpreter to make it with   (default: the first of python3, python3.11, python3.10 that fits)
#   SSL3D_LABEL_VENV  where it is                   (default: ROOT/.venv-monailabel)
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

_install_monailabel() {
    local root="$1" packages shim="torchvision_shim"
    _torch_index
    echo "environment: installing torch (large)"
    "$PYTHON" -m pip install -qq --disable-pip-version-check ${torch_index[@]+"${torch_index[@]}"} --no-deps \
        torch==2.13.0 torchvision==0.28.0 || return 1
    echo "environment: installing MONAI Label and what it needs (3 GB, some minutes)"
    (cd "$root" && "$PYTHON" -m pip install -qq --disable-pip-version-check \
        --requirement tools/monailabel_requirements.txt --editable .) || return 1
    "$PYTHON" -m pip install -qq --disable-pip-version-check --no-deps monailabel==0.8.5 || return 1
    packages="$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || return 1
    rm -f "$packages/$shim.pth"
    if ! "$PYTHON" -c 'import torchvision' >/dev/null 2>&1; then
        cp "$root/tools/$shim.py" "$packages/$shim.py"
        echo "import $shim" >"$packages/$shim.pth"
    fi
    "$PYTHON" -W ignore -c 'import monailabel.interfaces.app, ssl3d' || return 1
}

ensure_monailabel() {
    local newest_python=11 # from 3.12 on there is no distutils, which MONAI Label imports
    _ensure "$1" "${SSL3D_LABEL_VENV:-$1/.venv-monailabel}" _install_monailabel \
        setup.cfg tools/monailabel_requirements.txt tools/monailabel_env.sh
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
    set -euo pipefail
    ensure_monailabel "$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
    echo "activate it: source $(dirname "$PYTHON")/activate"
fi
