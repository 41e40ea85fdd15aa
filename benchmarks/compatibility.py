"""With which versions of transformers does the code that travels with a model work? The cards say so.

    python benchmarks/compatibility.py runs/vae_rt_imdb/vae

Installs each version with its own dependencies into a folder of its own, loads the model there as a stranger would,
generates, and writes `hub_cards/compatibility.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from textvae.hub_cards.staging import MODEL_FILES, stage
from textvae.training.common.files import write_json

ROOT = Path(__file__).parent.parent
VERSIONS = ("5.5.4", "5.10.4", "5.16.1", "5.20.2", "5.23.0", "5.24.0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a text VAE, as train-vae saves it")
    model = parser.parse_args().folder
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        repo = stage("model", "model", Path(scratch) / "model", [(model, MODEL_FILES, "")], lambda revision: "")
        for version in VERSIONS:
            found[version] = works(version, repo.folder, Path(scratch))
            print(version, "works" if found[version] else "does not work", flush=True)
    lowest = max((place for place, version in enumerate(VERSIONS) if not found[version]), default=-1) + 1
    write_json(
        ROOT / "hub_cards" / "compatibility.json",
        {"transformers": found, "lowest": VERSIONS[lowest], "highest": VERSIONS[-1], "python": sys.version.split()[0]},
    )


def works(version: str, model: Path, scratch: Path) -> bool:
    packages = scratch / version
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages), f"transformers=={version}"]
    subprocess.run(install, check=True)
    task = json.dumps([["text_vae", version, {"folder": str(model)}]])
    variables = {"PYTHONPATH": str(packages), "HF_HOME": str(scratch / f"home-{version}"), "HF_HUB_OFFLINE": "1"}
    program = [sys.executable, str(ROOT / "hub_cards" / "try_out.py")]
    done = subprocess.run(program, input=task, env=os.environ | variables, cwd=scratch, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    main()
