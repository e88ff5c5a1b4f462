#!/usr/bin/env bash
# Copies the repository (mounted read-only at /repository) to where the services run it from, installs it, and writes the sample jobfiles.
set -euo pipefail
mkdir -p /srv/nunatak/src
tar -C /repository --exclude=./.venv --exclude=./.git --exclude=./demo --exclude=./build -cf - . | tar -C /srv/nunatak/src -xf -
cd /srv/nunatak/src
make install
.venv/bin/python -I -m nunatak.samples /srv/nunatak/samples --count 40
