#!/usr/bin/env bash
# The whole check: environment, lint, types, default tests, packed tests where there are any. Run from anywhere; needs Python and pip only.
# Real data are looked for in SSL3D_DATA, by default in shared/data beside the checkout. Where it is set, a test that was
# skipped for want of real data fails the run.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$root/tools/setup_env.sh"
ensure_environment "$root"

# Two test processes with one thread each: with two threads each on two cores they run many times slower.
export OMP_NUM_THREADS=1
if [[ -z "${SSL3D_DATA:-}" && -d "$root/../shared/data" ]]; then
    SSL3D_DATA="$root/../shared/data"
fi
if [[ -n "${SSL3D_DATA:-}" ]]; then
    SSL3D_DATA="$(cd "$SSL3D_DATA" && pwd)" # tests run in folders of their own
    export SSL3D_DATA
fi
cd "$root"
echo "real data: ${SSL3D_DATA:-SSL3D_DATA is not set, tests that need them are skipped}"

echo "== lint"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
echo "== types"
"$PYTHON" -m mypy

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
status=0

echo "== tests"
"$PYTHON" -m pytest -n 2 --dist worksteal -rs -m "not packed and not monailabel" --junitxml "$scratch/default.xml" || status=$?

if grep -rqs --include='*.py' "pytest.mark.packed" tests; then
    echo "== packed bundles in a fresh environment"
    if "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir --retries 1 \
        --timeout 20 --dest "$scratch" packaging >/dev/null 2>&1; then
        "$PYTHON" -m pytest -rs -m packed --junitxml "$scratch/packed.xml" || status=$?
    else
        echo "not run: the package registry cannot be reached"
    fi
fi

"$PYTHON" - "$scratch" "${SSL3D_DATA:-}" <<'PY' || status=1
import pathlib
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

scratch, data = sys.argv[1:]
reasons, unseen = Counter(), []
for report in sorted(pathlib.Path(scratch).glob("*.xml")):
    for case in ElementTree.parse(report).iter("testcase"):
        for skipped in case.iter("skipped"):
            # a module skipped as a whole has its reason in the text alone
            reason = skipped.get("message", "")
            reason = skipped.text if reason in ("", "collection skipped") else reason
            reasons[reason] += 1
            if "real data absent" in reason.lower():
                unseen.append(f"{case.get('classname')}::{case.get('name')}")
print("== skipped tests by reason")
for reason, count in reasons.most_common():
    print(f"{count:5d}  {reason}")
if not reasons:
    print("    0")
if data and unseen:
    print(f"FAILED: SSL3D_DATA is set ({data}), yet {len(unseen)} tests did not find their real data there:")
    print("\n".join(f"  {name}" for name in unseen))
    sys.exit(1)
PY

if [[ $status -eq 0 ]]; then
    echo "all checks passed (${SECONDS} s)"
else
    echo "FAILED (${SECONDS} s)"
fi
exit "$status"
