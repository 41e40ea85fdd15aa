"""The `textvae` command: quick help, one-line errors, exit codes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from textvae import cli
from textvae.training.common.errors import UserError

HEAVY = {"torch", "transformers", "datasets", "sklearn", "pandas", "numpy", "evaluate"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "textvae", *arguments], capture_output=True, text=True, check=False)


def test_help_is_quick_and_names_every_verb():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0
    assert all(f"    {verb}" in result.stdout for verb in cli.VERBS)
    # Processor time, because wall time depends on what else the machine does.
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 0.5


@pytest.mark.parametrize("module", ["textvae", "textvae.cli"])
def test_nothing_heavy_is_imported(module):
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & set(result.stdout.split())


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_every_verb(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: textvae {verb}")


def test_version(capsys):
    import textvae

    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"textvae {textvae.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nonsense"], "nonsense"),
        ([], "VERB"),
        (["run"], "RECIPE"),
        (["run", "quickstart", "--wrong"], "--wrong"),
        (["augment", "--target-size", "many"], "--target-size"),
        (["augment", "--target-size", "0"], "at least 1"),
        (["classify", "--classifier", "oracle"], "oracle"),
        (["generate", "--seed", "-1"], "--seed"),
        (["augment", "--seed", "one"], "--seed"),
        (["advise", "--seed", "4294967296"], "0 to 4294967295"),
        (["classify", "--seed", "-1"], "--seed"),
    ],
)
def test_wrong_command_line_is_one_line(arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    output = capsys.readouterr()
    assert stop.value.code == 2
    assert output.out == ""
    assert output.err.startswith("textvae: error: ")
    assert output.err.count("\n") == 1
    assert named in output.err


def handle_by(monkeypatch, error: BaseException) -> None:
    def handle(args):
        raise error

    monkeypatch.setitem(cli.VERBS, "run", cli.Verb("", cli.VERBS["run"].add_options, handle, resumes=True))
    monkeypatch.setitem(cli.VERBS, "doctor", cli.Verb("", cli.VERBS["doctor"].add_options, handle))


def test_user_error_is_one_line(monkeypatch, capsys):
    handle_by(monkeypatch, UserError("data.csv: no column 'text'; columns: a, b"))
    assert cli.main(["run", "quickstart"]) == 2
    assert capsys.readouterr() == ("", "textvae: error: data.csv: no column 'text'; columns: a, b\n")


def test_other_errors_keep_their_traceback(monkeypatch):
    handle_by(monkeypatch, RuntimeError("a bug of ours"))
    with pytest.raises(RuntimeError, match="a bug of ours"):
        cli.main(["run", "quickstart"])


def test_interrupt_tells_how_to_resume(monkeypatch, capsys):
    handle_by(monkeypatch, KeyboardInterrupt())
    assert cli.main(["run", "my recipe.yaml", "--output", "runs/a"]) == 130
    assert "textvae run 'my recipe.yaml' --output runs/a\n" in capsys.readouterr().err
    assert cli.main(["doctor"]) == 130
    assert "textvae doctor" not in capsys.readouterr().err


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_leaves_early_is_no_error(lines):
    program = (
        "import sys; from textvae import cli; doctor = cli.VERBS['doctor']; "
        f"cli.VERBS['doctor'] = cli.Verb('', doctor.add_options, lambda _: print('line\\n' * {lines})); "
        "sys.stdin.read(); sys.exit(cli.main(['doctor']))"
    )
    pipe, buffered = subprocess.PIPE, {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe, env=buffered
    ) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_missing_recipe_exits_with_2():
    result = run("run", "no-such-recipe")
    assert (result.returncode, result.stdout) == (2, "")
    assert "no-such-recipe: no such recipe" in result.stderr.splitlines()[-1]


def test_public_names_are_importable():
    import textvae

    for name in textvae.__all__:
        assert getattr(textvae, name).__name__ == name
    assert set(textvae.__all__) <= set(dir(textvae))
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = textvae.nothing_here
