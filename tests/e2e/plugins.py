"""Owns putting a plugin of a test where Python finds it."""

from __future__ import annotations

from pathlib import Path


def install(site: Path, name: str, module: str) -> None:
    """Put a plugin where Python finds it, as an installer would."""
    site.mkdir(exist_ok=True)
    (site / f"{name.replace('-', '_')}.py").write_text(module, encoding="utf-8")
    metadata = site / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[quarterdeck]\n{name} = {name.replace('-', '_')}\n")
