"""Repositories as the Hub keeps them, in memory: every commit is a whole table of files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any


class Refused(Exception):
    """status, X-Error-Code (or null), message"""


def git_hash(kind: str, data: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data).hexdigest()


@dataclass(frozen=True)
class File:
    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n"
        return git_hash("blob", pointer.encode() if self.lfs else self.data)

    def info(self, path: str) -> dict[str, Any]:
        size = len(self.data)
        lfs = {"lfs": {"oid": self.sha256, "sha256": self.sha256, "size": size, "pointerSize": 130}} if self.lfs else {}
        return {"type": "file", "path": path, "oid": self.oid, "size": size, **lfs}


@dataclass
class Repo:
    kind: str
    id: str
    private: bool
    sdk: str | None
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # branch or tag → commit
    titles: dict[str, str] = field(default_factory=dict)  # of commits

    def commit(self, branch: str, files: dict[str, File], title: str = "Upload with huggingface_hub") -> str:
        seed = f"{self.kind}/{self.id}/{len(self.commits)}" + "".join(f"\n{p} {files[p].oid}" for p in sorted(files))
        oid = git_hash("commit", seed.encode())
        self.commits[oid] = files
        self.refs[branch] = oid
        self.titles[oid] = title
        return oid

    def at(self, revision: str) -> tuple[str, dict[str, File]]:
        oid = self.refs.get(revision, revision)
        if oid not in self.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return oid, self.commits[oid]

    def files(self) -> dict[str, bytes]:
        """What stands on the main branch."""
        return {path: file.data for path, file in self.at("main")[1].items()}
