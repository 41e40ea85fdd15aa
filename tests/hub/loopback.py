"""A Hugging Face Hub on the loopback interface: repositories, commits, LFS and collections, in memory.

    with LoopbackHub() as hub:
        textvae(["publish", ...], cwd, **hub.environment)

Every commit is a whole table of files, so any revision can be read. Without the token a private repository answers as
if it were not there, and nothing can be written. `fault` makes requests fail.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from repositories import File, Refused, Repo, git_hash

LFS_SUFFIXES = (".safetensors", ".parquet")
TOKEN = "hf_" + "loopback" * 4
DATE = "2026-01-01T00:00:00.000Z"

Fault = int | str | None  # a status to answer with, "hang", "drop" (unheard), "drop answer" (done, but unanswered)


API = r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
PLACE = r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)"
ROUTES = {
    "whoami": r"GET /api/whoami-v2",
    "validate": r"POST /api/validate-yaml",
    "create": r"POST /api/repos/create",
    "settings": rf"PUT {API}/settings",
    "info": rf"GET {API}(?:/revision/(?P<revision>.+))?",
    "tree": rf"GET {API}/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?",
    "paths": rf"POST {API}/paths-info/(?P<revision>[^/]+)",
    "refs": rf"GET {API}/refs",
    "commits": rf"GET {API}/commits/(?P<revision>[^/]+)",
    "tag": rf"POST {API}/tag/(?P<revision>[^/]+)",
    "preupload": rf"POST {API}/preupload/(?P<revision>[^/]+)",
    "commit": rf"POST {API}/commit/(?P<revision>[^/]+)",
    "batch": rf"POST {PLACE}\.git/info/lfs/objects/batch",
    "store": r"PUT /lfs/(?P<sha256>[0-9a-f]{64})",
    "resolve": rf"GET {PLACE}/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
    "collection": r"POST /api/collections",
    "renewed": r"PATCH /api/collections/(?P<slug>[^/]+/[^/]+)",
    "collected": r"GET /api/collections/(?P<slug>[^/]+/[^/]+)",
    "items": r"POST /api/collections/(?P<slug>[^/]+/[^/]+)/items",
}


class LoopbackHub:
    """Serves while its `with` block runs; `repos` and `collections` are what has been published."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []  # names of ROUTES, in the order they were asked
        self.fault: Callable[[str], Fault] = lambda route: None
        self._lfs: dict[str, bytes] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        handler = type("Bound", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.environment = {
            "HF_ENDPOINT": self.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
        }  # fmt: skip

    def __enter__(self) -> LoopbackHub:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def repo(self, name: str, kind: str = "models") -> Repo:
        return self.repos[kind, name]

    def add(self, name: str, files: dict[str, bytes], kind: str = "models") -> Repo:
        """A public repository that is simply there."""
        repo = self.repos[kind, name] = Repo(kind, name, private=False, sdk=None)
        repo.commit("main", {path: File(data, path.endswith(LFS_SUFFIXES)) for path, data in files.items()})
        return repo

    def answer(self, method: str, target: str, body: bytes, known: bool) -> tuple[int, dict[str, str], bytes]:
        split = urlsplit(target)
        line = f"{'GET' if method == 'HEAD' else method} {split.path.rstrip('/')}"
        matches = ((name, re.fullmatch(pattern, line)) for name, pattern in ROUTES.items())
        route, match = next(((name, match) for name, match in matches if match), (None, None))
        if match is None:
            return _json({"error": f"no such route: {line}"}, 404)
        self.requests.append(route)
        fault = self.fault(route)
        if isinstance(fault, int):
            return _json({"error": "made to fail"}, fault)
        if fault == "hang":
            self._closing.wait(20)
        if fault in ("hang", "drop"):
            raise ConnectionAbortedError
        arguments = {key: unquote(value) if value else value for key, value in match.groupdict().items()}
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        try:
            with self._lock:
                if not known and not line.startswith("GET") and route not in ("validate", "store"):
                    raise Refused(401, None, "Invalid username or password.")
                if "name" in arguments:
                    kind = arguments.pop("kind") or "models"
                    arguments = {"repo": self._find(kind, arguments.pop("name"), known), **arguments}
                found = getattr(self, f"_{route}")(**arguments, body=body, query=query)
        except Refused as refused:
            status, code, message = refused.args
            headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
            return _json({"error": message}, status, headers)
        if fault == "drop answer":
            raise ConnectionAbortedError
        return found if isinstance(found, tuple) else _json(found)

    def _find(self, kind: str, name: str, known: bool) -> Repo:
        repo = self.repos.get((kind, name))
        if repo is None or (repo.private and not known):
            raise Refused(404 if known else 401, "RepoNotFound", "Repository not found")
        return repo

    def _whoami(self, body: bytes, query: dict[str, str]) -> Any:
        access = {"accessToken": {"displayName": "test", "role": "write"}}
        return {"type": "user", "name": "someone", "orgs": [{"type": "org", "name": "org"}], "auth": access}

    def _validate(self, body: bytes, query: dict[str, str]) -> Any:
        return {"errors": [], "warnings": []}

    def _create(self, body: bytes, query: dict[str, str]) -> Any:
        wanted = json.loads(body)
        kind = f"{wanted.get('type') or 'model'}s"
        name = f"{wanted.get('organization') or 'someone'}/{wanted['name']}"
        place = {"url": f"{self.url}/{'' if kind == 'models' else kind + '/'}{name}"}
        if (kind, name) in self.repos:
            return _json({"error": "You already created this repo", **place}, 409)
        repo = self.repos[kind, name] = Repo(kind, name, wanted.get("visibility") == "private", wanted.get("sdk"))
        repo.commit("main", {})
        return place

    def _settings(self, repo: Repo, body: bytes, query: dict[str, str]) -> Any:
        repo.private = json.loads(body)["visibility"] == "private"
        return {}

    def _info(self, repo: Repo, revision: str | None, body: bytes, query: dict[str, str]) -> Any:
        oid, files = repo.at(revision or "main")
        siblings = [{"rfilename": path, "blobId": file.oid, **file.info(path)} for path, file in sorted(files.items())]
        return {
            "_id": git_hash("repo", repo.id.encode())[:24], "id": repo.id, "author": repo.id.split("/")[0], "sha": oid,
            "private": repo.private, "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [],
            "createdAt": DATE, "lastModified": DATE, "siblings": siblings, "sdk": repo.sdk,
        }  # fmt: skip

    def _tree(self, repo: Repo, revision: str, path: str | None, body: bytes, query: dict[str, str]) -> Any:
        files, start = repo.at(revision)[1], f"{path.rstrip('/')}/" if path else ""
        inside = {p.removeprefix(start): (p, file) for p, file in files.items() if p.startswith(start)}
        if path and not inside:
            raise Refused(404, "EntryNotFound", f"{path} does not exist on {revision}")
        deep = query.get("recursive", "").lower() in ("1", "true")
        folders = {start + rest.partition("/")[0] for rest in inside if "/" in rest}
        found = [{"type": "directory", "path": p, "oid": git_hash("tree", p.encode())} for p in sorted(folders)]
        return found + [f.info(p) for rest, (p, f) in sorted(inside.items()) if deep or "/" not in rest]

    def _paths(self, repo: Repo, revision: str, body: bytes, query: dict[str, str]) -> Any:
        files, wanted = repo.at(revision)[1], parse_qs(body.decode())["paths"]
        return [files[path].info(path) for path in wanted if path in files]

    def _refs(self, repo: Repo, body: bytes, query: dict[str, str]) -> Any:
        def ref(name: str, kind: str) -> dict[str, str]:
            return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": repo.refs[name]}

        tags = [ref(name, "tags") for name in repo.refs if name != "main"]
        return {"branches": [ref("main", "heads")], "tags": tags, "converts": []}

    def _commits(self, repo: Repo, revision: str, body: bytes, query: dict[str, str]) -> Any:
        return [
            {"id": oid, "title": repo.titles[oid], "message": "", "date": DATE, "authors": []}
            for oid in reversed(repo.commits)
        ]

    def _tag(self, repo: Repo, revision: str, body: bytes, query: dict[str, str]) -> Any:
        name = json.loads(body)["tag"]
        if name in repo.refs:
            raise Refused(409, None, "Reference already exists")
        repo.refs[name] = repo.at(revision)[0]
        return {}

    def _preupload(self, repo: Repo, revision: str, body: bytes, query: dict[str, str]) -> Any:
        there, answers = repo.at(revision)[1], []
        for file in json.loads(body)["files"]:
            old = there.get(file["path"])  # the client leaves out a file whose hash it finds unchanged
            mode = "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular"
            oid = (old.sha256 if old.lfs else old.oid) if old else None
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answers}

    def _batch(self, repo: Repo, body: bytes, query: dict[str, str]) -> Any:
        objects = []
        for wanted in json.loads(body)["objects"]:
            upload = {"actions": {"upload": {"href": f"{self.url}/lfs/{wanted['oid']}", "header": {}}}}
            objects.append({**wanted, **({} if wanted["oid"] in self._lfs else upload)})
        headers = {"Content-Type": "application/vnd.git-lfs+json"}
        return _json({"transfer": "basic", "objects": objects}, 200, headers)

    def _store(self, sha256: str, body: bytes, query: dict[str, str]) -> Any:
        if hashlib.sha256(body).hexdigest() != sha256:
            raise Refused(400, None, "content does not match its hash")
        self._lfs[sha256] = body
        return {}

    def _commit(self, repo: Repo, revision: str, body: bytes, query: dict[str, str]) -> Any:
        head, files = repo.at(revision)
        files = dict(files)
        for line in map(json.loads, body.splitlines()):
            kind, value = line["key"], line["value"]
            if kind == "header":
                title = value["summary"]
                if value.get("parentCommit") not in (None, head):
                    raise Refused(412, None, "A commit has happened since. Please refresh and try again.")
            if kind == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), lfs=False)
            elif kind == "lfsFile":
                files[value["path"]] = File(self._lfs[value["oid"]], lfs=True)
            elif kind == "deletedFile":
                del files[value["path"]]
        oid = repo.commit(revision, files, title)
        return {"success": True, "commitOid": oid, "commitUrl": f"{self.url}/{repo.id}/commit/{oid}", "hookOutput": ""}

    def _resolve(self, repo: Repo, revision: str, path: str, body: bytes, query: dict[str, str]) -> Any:
        oid, files = repo.at(revision)
        if path not in files:
            return _json({"error": "Entry not found"}, 404, {"X-Repo-Commit": oid, "X-Error-Code": "EntryNotFound"})
        file = files[path]
        etag = f'"{file.sha256 if file.lfs else file.oid}"'
        headers = {"X-Repo-Commit": oid, "ETag": etag, "Content-Type": "application/octet-stream"}
        if file.lfs:
            headers |= {"X-Linked-ETag": etag, "X-Linked-Size": str(len(file.data))}
        return 200, headers, file.data

    def _collection(self, body: bytes, query: dict[str, str]) -> Any:
        wanted = json.loads(body)
        slug = f"{wanted['namespace']}/{wanted['title'].lower().replace(' ', '-')}-{git_hash('c', b'')[:24]}"
        if slug in self.collections:
            return _json({"slug": slug}, 409)
        self.collections[slug] = {
            "slug": slug, "title": wanted["title"], "description": wanted.get("description"), "items": [],
            "owner": {"name": wanted["namespace"]}, "lastUpdated": DATE, "position": 0, "theme": "blue", "upvotes": 0,
            "private": bool(wanted.get("private")),
        }  # fmt: skip
        return self.collections[slug]

    def _renewed(self, slug: str, body: bytes, query: dict[str, str]) -> Any:
        self.collections[slug] |= json.loads(body)
        return _json({"data": self.collections[slug]})

    def _collected(self, slug: str, body: bytes, query: dict[str, str]) -> Any:
        return self.collections[slug]

    def _items(self, slug: str, body: bytes, query: dict[str, str]) -> Any:
        items, wanted = self.collections[slug]["items"], json.loads(body)["item"]
        if any(item["id"] == wanted["id"] for item in items):
            raise Refused(409, None, "Item already in collection")
        items.append({"_id": git_hash("i", wanted["id"].encode())[:24], "position": len(items), **wanted})
        return self.collections[slug]


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(data).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer of two packets would wait 40 ms
    hub: LoopbackHub

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        try:
            status, headers, data = self.hub.answer(self.command, self.path, body, known)
        except ConnectionAbortedError:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _handle
