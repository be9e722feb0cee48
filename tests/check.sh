#!/usr/bin/env bash
# Everything that must hold before a change lands: form, types, walls, promises.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m ruff format --check .
python -m ruff check .
python -m mypy
lint-imports --no-cache
python -m pytest "$@"
