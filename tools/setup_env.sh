# Sourced, not run. `ensure_environment ROOT` makes the virtual environment of the checkout at ROOT, or brings it up to
# date, and sets PYTHON to its interpreter.
#   SSL3D_PYTHON  interpreter to make it with   (default: the first of python3, python3.13 .. python3.10 that fits)
#   SSL3D_VENV    where it is                   (default: ROOT/.venv)

newest_python=13 # the pinned numpy and scipy have wheels for 3.10 to this one

_fits() {
    "$1" -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $newest_python))" >/dev/null 2>&1
}

_find_python() {
    local candidate
    if [[ -n "${SSL3D_PYTHON:-}" ]]; then
        if ! _fits "$SSL3D_PYTHON"; then
            echo "error: SSL3D_PYTHON=$SSL3D_PYTHON is not Python 3.10 to 3.$newest_python: $("$SSL3D_PYTHON" --version 2>&1)" >&2
            return 1
        fi
        echo "$SSL3D_PYTHON"
        return 0
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if _fits "$candidate"; then
            echo "$candidate"
            return 0
        fi
    done
    echo "error: Python 3.10 to 3.$newest_python is needed, and python3 is: $(python3 --version 2>&1)." >&2
    echo "       Install one and name it: SSL3D_PYTHON=/path/to/python3.11" >&2
    return 1
}

_make_environment() {
    local venv="$1" python
    python="$(_find_python)" || return 1
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        echo "error: $python cannot make virtual environments: its modules venv and ensurepip are missing." >&2
        echo "       On Debian and Ubuntu: apt install python3-venv" >&2
        return 1
    fi
    echo "environment: making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
}

_torch_index() { # sets torch_index to pip's arguments for torch
    torch_index=()
    if [[ "$(uname -s)" == Linux ]] && ! command -v nvidia-smi >/dev/null 2>&1; then
        # Several gigabytes smaller than the default build. Where this index cannot be reached, pip goes on without it.
        torch_index=(--extra-index-url https://download.pytorch.org/whl/cpu --retries 1)
    fi
}

_install() {
    local root="$1"
    _torch_index
    echo "environment: installing torch (large)"
    # Without dependencies, so that the extra index is asked for torch alone; the next step adds them.
    "$PYTHON" -m pip install -qq --disable-pip-version-check ${torch_index[@]+"${torch_index[@]}"} --no-deps \
        --constraint "$root/constraints.txt" torch || return 1
    echo "environment: installing ssl3d and what its tests need (some minutes)"
    (cd "$root" && "$PYTHON" -m pip install -qq --disable-pip-version-check \
        --constraint constraints.txt --editable '.[test]')
}

_stamp() { # ROOT FILE...: of what the environment of PYTHON depends on
    "$PYTHON" - "$@" <<'PY'
import hashlib, pathlib, sys

root = pathlib.Path(sys.argv[1])
parts = [(root / name).read_bytes() for name in sys.argv[2:]]
parts += [sys.version.encode(), str(root).encode()]  # an editable installation points at the checkout
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
PY
}

_ensure() { # ROOT VENV INSTALLER FILE...: the environment at VENV, installed anew where one of the files has changed
    local root="$1" venv="$2" installer="$3" stamp
    shift 3
    [[ "$venv" == /* ]] || venv="$PWD/$venv" # callers change the folder afterwards
    PYTHON="$venv/bin/python"
    if [[ ! -x "$PYTHON" ]] || ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
        _make_environment "$venv" || return 1
    fi
    stamp="$(_stamp "$root" "$@")" || return 1
    if [[ "$(cat "$venv/ssl3d.stamp" 2>/dev/null)" == "$stamp" ]]; then
        echo "environment: $venv is up to date"
        return 0
    fi
    "$installer" "$root" || return 1
    echo "$stamp" >"$venv/ssl3d.stamp"
}

ensure_environment() {
    _ensure "$1" "${SSL3D_VENV:-$1/.venv}" _install setup.cfg constraints.txt
}
