#!/bin/sh
# Makes .venv with the JAX that tests/jax needs. On Debian: apt-get install python3-venv first.
set -eu
cd "$(dirname "$0")/../.."
python3 -m venv .venv
.venv/bin/pip install --quiet --requirement tests/jax/requirements.txt
