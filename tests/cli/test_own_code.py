"""Modules of the user's own: by name, by path and in packages; what they print, and how they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bnn2hw.cli import own_code
from bnn2hw.errors import InputError

SIGN = "def {name}(x):\n    return x\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, of which nothing stays in Python."""
    before = dict(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(own_code, "SEARCHED", [])
    yield tmp_path
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def refusal(*names: str) -> str:
    with pytest.raises(InputError) as caught:
        own_code.objects(names)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["mine_k", "mine_k.py", "./mine_k.py", "pack_k", "pack_k/", "pack_k.ops", "pack_k/ops.py"]
)
def test_modules_are_found_from_the_working_directory(place: Path, name: str) -> None:
    put(place / "mine_k.py", SIGN.format(name="sign_k"))
    put(place / "pack_k" / "__init__.py", "from .ops import sign_k\n")
    put(place / "pack_k" / "ops.py", SIGN.format(name="sign_k"))

    assert callable(own_code.objects([name])["sign_k"])


def test_a_file_finds_those_beside_it(place: Path) -> None:
    put(place / "far" / "uses_k.py", "from helper_k import sign_k\n")
    put(place / "far" / "helper_k.py", SIGN.format(name="sign_k"))

    both = own_code.objects(["far/uses_k.py", "far/helper_k.py"])

    assert both["sign_k"].__module__ == "helper_k"


def test_files_of_one_name_in_two_folders(place: Path) -> None:
    for folder in "ab":
        put(place / folder / "ops_k.py", SIGN.format(name=f"sign_{folder}"))

    assert own_code.objects(["a/ops_k.py", "b/ops_k.py"]).keys() == {"sign_a", "sign_b"}


def test_what_a_module_prints_is_no_output(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(place / "chatty_k.py", "print('loaded')\n")

    own_code.objects(["chatty_k"])

    assert capsys.readouterr() == ("", "loaded\n")


@pytest.mark.parametrize("name", ["keras", "dask", "json"])
def test_a_file_that_would_hide_a_package(place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place / f"{name}.py", "")
    monkeypatch.delitem(sys.modules, name, raising=False)  # as before anything has imported it

    assert refusal(f"{name}.py").startswith(f"a module of Python is named '{name}' too; give '")
    assert name not in sys.modules


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\nraise ValueError('two\\nlines')", "ValueError: two lines (bad_k.py, line 2)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (bad_k.py, line 2)"),
        ("import not_there_k", "ModuleNotFoundError: No module named 'not_there_k' (bad_k.py, line 1)"),
        ("def f(:", "SyntaxError: invalid syntax (bad_k.py, line 1)"),
        ("from . import other", "no known parent package; give the folder of the package (bad_k.py, line 1)"),
    ],
)
def test_a_module_that_fails(place: Path, text: str, told: str) -> None:
    put(place / "bad_k.py", text)

    assert refusal("bad_k.py").endswith(told)
    assert "bad_k" not in sys.modules


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none_k.py", "there is no file 'none_k.py' to import"),
        (".none_k", "there is no file '.none_k' to import"),
        ("none/k", "there is no file 'none/k' to import"),
        ("none_k", "'none_k' cannot be imported: ModuleNotFoundError: No module named 'none_k'"),
        ("bare/", "the folder 'bare' has no file __init__.py to import"),
        ("", "the folder '.' has no file __init__.py to import"),
    ],
)
def test_modules_that_are_not_there(place: Path, name: str, told: str) -> None:
    (place / "bare").mkdir()

    assert refusal(name) == told
