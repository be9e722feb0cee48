"""Writes every dashboard; a test sees to it that this was not forgotten."""

from __future__ import annotations

from grafana.generate.files import FOLDER, written

if __name__ == "__main__":
    for name, text in written().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(FOLDER / name)
