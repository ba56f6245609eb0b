#!/bin/sh
# Runs all that is worth running on a CUDA GPU for some minutes; docs/lab/gpu.md says how to use it.
#
#     sh benchmarks/gpu.sh --minutes 9
#
# The same line goes on where the last one stopped. Packages that are missing on the machine are
# installed from the wheels in results/gpu/wheels, if there are any.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if ls results/gpu/wheels/*.whl >/dev/null 2>&1; then
    site=${TMPDIR:-/tmp}/cycleisp_site
    "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$site" results/gpu/wheels/*.whl
    export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONUNBUFFERED=1
exec "$python" -m benchmarks.gpu.session "$@"
