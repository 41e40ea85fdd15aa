"""What may not stand in a tracked file: paths of one machine, registries' hosts, secrets, large files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIMIT = 2_000_000  # bytes; weights and data do not belong in the repository
FORBIDDEN = {
    "path of one machine": r"(?<![\w.~/])/(?:work|root|home|Users|tmp|opt|mnt|scratch)/\w",
    "registry host": r"(?:pypi|pythonhosted|npmjs)\.(?:org|com)|download\.pytorch\.org",
    "token": r"\b(?:hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{30,}|npm_[A-Za-z0-9]{36}"
    r"|pypi-AgE\w{20,}|AKIA[0-9A-Z]{16})\b",
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Tracked files and new ones that would be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_nothing_forbidden_stands_in_the_repository(files, kind):
    assert ROOT / "setup.cfg" in files
    pattern = re.compile(FORBIDDEN[kind])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in files
        if b"\0" not in (content := path.read_bytes())
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1)
        for match in pattern.finditer(line)
    ]
    assert not found


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("path of one machine", "open('/" + "home/someone/data.csv')"),
        ("registry host", "https://registry.npmjs" + ".org/x"),
        ("token", "token = hf_" + 34 * "a"),
        ("private key", "-----BEGIN RSA PRIVATE" + " KEY-----"),
    ],
)
def test_the_patterns_find_what_they_look_for(kind, line):
    assert re.search(FORBIDDEN[kind], line)


def test_no_large_file(files):
    assert not [path for path in files if path.stat().st_size > LIMIT]
