#!/usr/bin/env bash
# A login host: munged, so that sbatch and squeue work; then the command that is given, if one is.
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/munge.sh"
if (($#)); then exec "$@"; fi
