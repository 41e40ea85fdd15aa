"""`textvae publish`: a run's models, datasets and Space on the Hub; without `--push`, what that would be."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from huggingface_hub import HfApi

from ..training.common.errors import UserError
from ..training.common.progress import say
from .checks import check, check_run
from .layouts import layout_of
from .push import check_access, collect, connect, push
from .space import pins_there, space
from .staging import Repo

UNKNOWN_COMMIT = "0" * 40  # before anything is pushed


def publish(args: argparse.Namespace) -> None:
    """Lay out, check, list and, where asked, push what the runs in `args.run_folders` have for the Hub.

    Everything is checked before anything is pushed. The Space comes last, because it names the others' commits.

    Raises:
        UserError: nothing to publish, a check that fails, or the Hub refuses.
    """
    with tempfile.TemporaryDirectory(prefix="textvae-publish-") as staging:
        layouts = [
            layout_of(run, args.namespace, Path(staging) / str(place), None if place else args.model_name)
            for place, run in enumerate(args.run_folders)
        ]
        by_id: dict[str, Repo] = {}
        pinned = []
        for layout in layouts:
            check_run(layout.run, layout.parts)
            found = list(layout.all())
            if not found:
                raise UserError(f"{layout.run}: holds nothing to publish; run a recipe into it first")
            pinned.append((layout, found))
            for repo in found:
                if by_id.setdefault(repo.id, repo).revision != repo.revision:
                    raise UserError(
                        f"{repo.id}: two of the runs have one of that name, and the later would overwrite the other; "
                        "publish one run a command, with --model-name for its model or under another --namespace"
                    )
        repos, commits = list(by_id.values()), dict.fromkeys(by_id, UNKNOWN_COMMIT)
        last = space(args.namespace, pinned, commits, Path(staging) / "dry")
        say(f"publish: checking {len(repos) + len(last)} repositories")
        check([*repos, *last])
        visibility = "public" if args.public else "private"
        if not args.push:
            for repo in [*repos, *last]:
                _list(repo, visibility)
            print("nothing was pushed; --push does it")
            return
        api = connect()
        check_access(api, args.namespace)
        for repo in repos:
            commits[repo.id] = push(api, repo, args.public)
            _say_pushed(api, repo, commits[repo.id])
        there, parent = pins_there(api, args.namespace)
        for repo in space(args.namespace, pinned, commits, Path(staging) / "pushed", there):
            _say_pushed(api, repo, push(api, repo, args.public, parent))
        if last and not args.public:
            say(
                f"{last[0].id}: is private, and reads private models only by a secret HF_TOKEN that may read them: "
                "add one in its settings, or publish with --public"
            )
        title = f"textvae {layouts[0].recipe['name']}"
        slug = collect(api, title, args.namespace, [*repos, *last], args.public)
        print(f"collection {api.endpoint}/collections/{slug}")


def _list(repo: Repo, visibility: str) -> None:
    sizes = {path.relative_to(repo.folder).as_posix(): path.stat().st_size for path in repo.files}
    print(f"{repo.kind} {repo.id} ({visibility}), {repo.revision}, {_size(sum(sizes.values()))}")
    for name, size in sizes.items():
        print(f"    {_size(size):>9}  {name}")


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _say_pushed(api: HfApi, repo: Repo, commit: str) -> None:
    place = {"model": "", "dataset": "datasets/", "space": "spaces/"}[repo.kind]
    print(f"{repo.kind} {api.endpoint}/{place}{repo.id}/tree/{commit}")
