"""Every request of a push fails in every way: the push ends whole after all, or says why not and is done again."""

from __future__ import annotations

import json
import time

import httpx2
import pytest
from huggingface_hub import HfApi
from loopback import ROUTES, TOKEN

from textvae.hub_cards import push as pushing
from textvae.hub_cards.push import check_access, collect, connect, push
from textvae.hub_cards.staging import Repo
from textvae.training.common.errors import UserError

ASKED = ["whoami", "create", "info", "validate", "preupload", "batch", "store", "commit", "refs", "tag", "settings",
         "collection", "items"]  # fmt: skip
FAULTS = [429, 500, "hang", "drop", "drop answer"]
FILES = {
    "README.md": b"---\nlicense: mit\n---\n# card\n",
    "model.safetensors": b"weights" * 9,
    "plots/a.svg": b"<svg/>",
}
SLEEP = time.sleep


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(pushing, "TIMEOUT", 0.5)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


@pytest.fixture
def api(hub):
    connect()
    return HfApi(endpoint=hub.url, token=TOKEN)


@pytest.fixture
def repo(tmp_path):
    return staged(tmp_path / "staged", FILES)


def staged(folder, files, revision="v-1"):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return Repo("model", "org/thing", folder, revision)


def everything(api, repo):
    check_access(api, "org")
    push(api, repo, public=True)
    collect(api, "things", "org", [repo], public=True)


def whole(hub):
    thing = hub.repo("org/thing")
    (collection,) = hub.collections.values()
    return (
        thing.files() == FILES
        and not thing.private
        and thing.refs["v-1"] == thing.refs["main"]
        and [item["id"] for item in collection["items"]] == ["org/thing"]
    )


def test_a_push_asks_all_the_routes_that_are_made_to_fail(hub, api, repo):
    everything(api, repo)
    assert whole(hub)
    assert set(hub.requests) == set(ASKED)
    assert set(ASKED) <= set(ROUTES)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("route", ASKED)
def test_what_fails_once_is_mended_by_trying_again(hub, api, repo, route, fault):
    left = [fault]
    hub.fault = lambda asked: left.pop() if left and asked == route else None
    everything(api, repo)
    assert not left
    assert whole(hub)
    assert len(hub.repo("org/thing").commits) == 2  # the Hub's own and ours: never the same again


@pytest.mark.parametrize("fault", [500, "drop"])
@pytest.mark.parametrize("route", ASKED)
def test_what_keeps_failing_is_said_and_done_when_repeated(hub, api, repo, route, fault):
    hub.fault = lambda asked: fault if asked == route else None
    with pytest.raises(UserError) as caught:
        everything(api, repo)
    assert TOKEN not in str(caught.value)
    assert "run the command again" in str(caught.value)
    if thing := hub.repos.get(("models", "org/thing")):
        assert thing.files() in ({}, FILES)  # all or nothing
        assert thing.private or thing.files() == FILES
    hub.fault = lambda asked: None
    everything(api, repo)
    assert whole(hub)


def test_nothing_is_committed_when_nothing_has_changed(hub, api, repo):
    first = push(api, repo, public=False)
    assert push(api, repo, public=False) == first
    assert hub.requests.count("commit") == 1
    assert hub.repo("org/thing").private


def test_only_what_has_changed_travels_and_what_is_gone_goes(hub, api, repo, tmp_path):
    push(api, repo, public=False)
    newer = staged(tmp_path / "newer", {**FILES, "README.md": b"---\nlicense: mit\n---\n# new\n"}, "v-2")
    (newer.folder / "plots/a.svg").unlink()
    stored = hub.requests.count("store")
    push(api, newer, public=False)
    assert set(hub.repo("org/thing").files()) == {"README.md", "model.safetensors"}
    assert hub.repo("org/thing").files()["README.md"].endswith(b"# new\n")
    assert hub.requests.count("store") == stored
    assert {"v-1", "v-2"} <= set(hub.repo("org/thing").refs)


def test_somebody_elses_commit_in_between_is_noticed(hub, api, repo):
    def meddle(route):
        if route == "commit" and len(hub.repo("org/thing").commits) == 1:
            hub.repo("org/thing").commit("main", {})
        return None

    hub.fault = meddle
    push(api, repo, public=False)
    assert hub.requests.count("commit") == 2  # the first was refused: it did not know its parent
    assert hub.repo("org/thing").files() == FILES


@pytest.mark.parametrize("fault", [None, "drop answer"])
def test_what_is_made_from_a_commit_does_not_replace_another(hub, api, repo, tmp_path, fault):
    first = push(api, repo, public=False)
    newer, others = (
        staged(tmp_path / name, {**FILES, "README.md": name.encode()}, name) for name in ("newer", "others")
    )
    left = [fault]
    hub.fault = lambda asked: left.pop() if left and asked == "commit" else None
    second = push(api, newer, public=False, parent=first)  # heard or not, it is no one else's
    with pytest.raises(UserError, match="org/thing: somebody else published there just now; run the command again"):
        push(api, others, public=False, parent=first)
    assert hub.repo("org/thing").refs["main"] == second
    push(api, others, public=False, parent=second)
    assert hub.repo("org/thing").files()["README.md"] == b"others"


def test_what_somebody_else_put_there_is_not_removed(hub, api, repo):
    hub.add("org/thing", {"README.md": b"years of work"}).private = True
    with pytest.raises(UserError, match="holds files on the Hub that textvae did not put there"):
        push(api, repo, public=True)
    assert hub.repo("org/thing").files() == {"README.md": b"years of work"}
    assert hub.repo("org/thing").private


def test_a_card_that_was_edited_on_the_hub_is_ours_still(hub, api, repo):
    push(api, repo, public=False)
    hub.repo("org/thing").commit("main", {}, "Update README.md")
    push(api, repo, public=False)
    assert hub.repo("org/thing").files() == FILES


def test_a_private_collection_becomes_public_with_what_it_holds(hub, api, repo):
    push(api, repo, public=False)
    slug = collect(api, "things", "org", [repo], public=False)
    assert hub.collections[slug]["private"]
    push(api, repo, public=True)
    assert collect(api, "things", "org", [repo], public=True) == slug
    assert not hub.collections[slug]["private"]


def test_a_public_repository_is_not_published_to_by_mistake(hub, api, repo):
    hub.add("org/thing", {})
    with pytest.raises(UserError, match="is public on the Hub; give --public"):
        push(api, repo, public=False)
    assert hub.repo("org/thing").files() == {}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_not_asked_again(hub, api, repo, status):
    hub.fault = lambda route: status if route == "create" else None
    with pytest.raises(UserError, match=rf"org/thing: the Hub refuses \(status {status}\); log in") as caught:
        push(api, repo, public=False)
    assert TOKEN not in str(caught.value)
    assert hub.requests.count("create") == 1


def test_other_peoples_namespaces_are_refused(api):
    with pytest.raises(UserError, match=r"--namespace other: not yours to write to; yours: someone, org"):
        check_access(api, "other")


def test_waits_grow_and_the_hubs_own_wish_counts(hub, api, repo, monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    response = httpx2.Response(429, headers={"Retry-After": "77"}, request=httpx2.Request("GET", hub.url))
    errors = [pushing.HfHubHTTPError("busy", response=response), ConnectionError(), ConnectionError()]

    def action():
        if errors:
            raise errors.pop(0)
        return json.dumps("done")

    assert pushing.retried(action, "thing") == '"done"'
    assert waited[0] == 77
    assert 0 < waited[1] < waited[2]


def test_the_real_waits_end_too(hub, api, repo, monkeypatch):
    monkeypatch.setattr(time, "sleep", SLEEP)
    busy = [429, "drop"]
    hub.fault = lambda route: busy.pop() if busy and route == "commit" else None
    start = time.monotonic()
    push(api, repo, public=False)
    assert time.monotonic() - start > 0.8 * (1 + 2)
    assert hub.repo("org/thing").files() == FILES


def test_nobody_logged_in_is_one_line(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: None)
    connect()
    with pytest.raises(UserError, match="run `hf auth login`"):
        check_access(HfApi(endpoint=hub.url), "org")
