#!/usr/bin/env bash
# The broker, as an ordinary user, for all hosts; it stops in good order when it is told to end.
set -euo pipefail
exec nunatak broker serve
