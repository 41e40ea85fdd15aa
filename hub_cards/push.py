"""A repository comes to the Hub: one commit, guarded by its parent, retried, and not made when nothing has changed.

Whatever fails, doing it again completes it: what is there already is found by its hashes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, LocalTokenNotFoundError
from huggingface_hub.utils._http import default_client_factory

from ..training.common import hub
from ..training.common.errors import UserError
from ..training.common.progress import say
from .staging import Repo

TIMEOUT = 60.0  # seconds without a byte; the library would wait for ever
TRIES = 6
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds, doubled a try
PASSING = {408, 412, 429, 500, 502, 503, 504}  # 412: somebody else committed in between
SAYS = "textvae publish: "  # how the message of our commits begins

Result = TypeVar("Result")


def connect() -> HfApi:
    """A client that gives up on a server that says nothing."""

    def impatient_client() -> httpx2.Client:
        client = default_client_factory()
        client.timeout = httpx2.Timeout(TIMEOUT)
        return client

    set_client_factory(impatient_client)
    return HfApi()


def check_access(api: HfApi, namespace: str) -> None:
    """Raises:
    UserError: nobody is logged in, or who is may not write to the namespace.
    """
    try:
        who: dict[str, Any] = retried(api.whoami, "log-in")
    except LocalTokenNotFoundError:
        raise UserError("nobody is logged in to the Hub; run `hf auth login`, with a token that may write") from None
    ours = [who["name"], *(org["name"] for org in who.get("orgs", []))]
    if namespace not in ours:
        raise UserError(f"--namespace {namespace}: not yours to write to; yours: {', '.join(ours)}")


def push(api: HfApi, repo: Repo, public: bool, parent: str | None = None) -> str:
    """Bring a repository to the state of its folder; returns the commit that its tag names.

    A new repository begins private, and is made public, where that is wanted, when it is whole.

    Args:
        parent: the commit that the folder was made from, "" where it was made from nothing; None: whatever stands there
            is replaced.

    Raises:
        UserError: the Hub refuses, does not answer, has the repository public where it should be private, at another
            commit than `parent`, or has one of that name that was filled otherwise.
    """
    return retried(lambda: _push(api, repo, public, parent), repo.id)


def collect(api: HfApi, title: str, namespace: str, repos: list[Repo], public: bool) -> str:
    """Put repositories into the collection of that title; returns its slug."""

    def collected() -> str:
        collection = api.create_collection(title, namespace=namespace, private=not public, exists_ok=True)
        if public and collection.private:  # it was there already
            api.update_collection_metadata(collection.slug, private=False)
        there = {item.item_id for item in collection.items}
        for repo in repos:
            if repo.id not in there:
                api.add_collection_item(collection.slug, repo.id, repo.kind, exists_ok=True)
        return collection.slug

    return retried(collected, f"collection '{title}'")


def retried(action: Callable[[], Result], name: str) -> Result:
    """The result of an action that may be repeated, repeated while what goes wrong may pass.

    Raises:
        UserError: it does not pass. Says neither the request nor its headers: these hold the token.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return _unwrapped(action)
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in (401, 403):
                remedy = "log in with `hf auth login`, with a token that may write there"
                raise UserError(f"{name}: the Hub refuses (status {status}); {remedy}") from None
            problem = f"the Hub answers with status {status}"
            wait = _asked_to_wait(error)
            if status not in PASSING:
                raise UserError(f"{name}: {problem}; run the command again, or look at the Hub") from None
        except (httpx2.TransportError, ConnectionError, TimeoutError, LocalEntryNotFoundError) as error:
            problem, wait = f"the Hub does not answer ({type(error).__name__})", 0.0
        if attempt == TRIES:
            break
        wait = max(wait, min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT) * random.uniform(0.8, 1.2))
        say(f"{name}: {problem}; trying again in {wait:.0f} s ({attempt} of {TRIES - 1})")
        time.sleep(wait)
    raise UserError(f"{name}: {problem}, {TRIES} times; run the command again later: it goes on where it was")


def _unwrapped(action: Callable[[], Result]) -> Result:
    try:
        return action()
    except RuntimeError as error:  # around what befell the upload of a large file
        if isinstance(error.__cause__, (HfHubHTTPError, httpx2.TransportError)):
            raise error.__cause__ from None
        raise


def _asked_to_wait(error: HfHubHTTPError) -> float:
    seconds = error.response.headers.get("Retry-After", "")
    return min(float(seconds), 10 * LONGEST_WAIT) if seconds.isdigit() else 0.0


def _push(api: HfApi, repo: Repo, public: bool, parent: str | None) -> str:
    sdk = "gradio" if repo.kind == "space" else None
    api.create_repo(repo.id, repo_type=repo.kind, private=True, exist_ok=True, space_sdk=sdk)
    info: Any = api.repo_info(repo.id, repo_type=repo.kind, files_metadata=True, timeout=TIMEOUT)
    if not info.private and not public:
        raise UserError(f"{repo.id}: is public on the Hub; give --public to publish there, or another --namespace")
    there = {
        file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id
        for file in info.siblings or []
        if file.rfilename != ".gitattributes"  # the Hub's own
    }
    commits = api.list_repo_commits(repo.id, repo_type=repo.kind) if there else []
    ours = any(commit.title.startswith(SAYS) for commit in commits)
    if there and not ours:
        raise UserError(
            f"{repo.id}: holds files on the Hub that textvae did not put there, and publishing would remove them; "
            "give another --namespace, or --model-name for the model, or delete that repository"
        )
    here = {path.relative_to(repo.folder).as_posix(): path for path in repo.files}
    changed = [name for name, path in here.items() if there.get(name) not in hub.hashes(path)]
    gone = sorted(set(there) - set(here))
    commit = str(info.sha)
    if changed or gone:
        if parent not in (None, commit if ours else ""):
            raise UserError(f"{repo.id}: somebody else published there just now; run the command again, to keep both")
        done = api.create_commit(
            repo.id,
            [
                *(CommitOperationDelete(path_in_repo=name) for name in gone),
                *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=here[name]) for name in changed),
            ],
            commit_message=SAYS + repo.revision,
            repo_type=repo.kind,
            parent_commit=commit,
        )
        commit = done.oid
    refs = api.list_repo_refs(repo.id, repo_type=repo.kind)
    tagged = {tag.name: tag.target_commit for tag in refs.tags}.get(repo.revision)
    if tagged is None:
        api.create_tag(repo.id, tag=repo.revision, revision=commit, repo_type=repo.kind)
    if public and info.private:
        api.update_repo_settings(repo.id, private=False, repo_type=repo.kind)
    say(f"{repo.id}: {'pushed' if changed or gone else 'unchanged'}, {repo.revision}")
    return tagged or commit
