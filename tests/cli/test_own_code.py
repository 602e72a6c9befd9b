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
    monkeypatch.setattr(own_code, "READ", {})
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


HELPERS = {
    "at once": "from helper_k import sign_k\n",
    "in a function": "def sign_k(x):\n    import helper_k\n    return helper_k.sign_k(x)\n",
    "through another": "from mid_k import sign_k\n",
}


@pytest.mark.parametrize("other", ["helper_k.py", "helper_k/__init__.py"])
@pytest.mark.parametrize("how", HELPERS)
def test_two_files_with_helpers_of_one_name(place: Path, how: str, other: str) -> None:
    put(place / "a" / "first_k.py", HELPERS[how])
    put(place / "b" / "second_k.py", HELPERS[how])
    for folder, helper in (("a", "helper_k.py"), ("b", other)):
        put(place / folder / "mid_k.py", HELPERS["at once"])
        put(place / folder / helper, SIGN.format(name="sign_k"))
    own_code.objects(["a/first_k.py"])

    told = refusal("b/second_k.py")

    name = "mid_k" if how == "through another" else "helper_k"
    file = "mid_k.py" if how == "through another" else other
    assert told.startswith(f"two modules are named '{name}', '{place}/a/")
    assert told.endswith(f"'{place}/b/{file}'; give one of them another name")
    assert callable(own_code.objects(["a/first_k.py"])["sign_k"])


def test_a_helper_that_another_folder_has_and_does_not_use(place: Path) -> None:
    put(place / "a" / "first_k.py", SIGN.format(name="first"))
    put(place / "b" / "second_k.py", HELPERS["at once"])
    for folder in "ab":
        put(place / folder / "helper_k.py", SIGN.format(name="sign_k"))
    own_code.objects(["a/first_k.py"])

    assert refusal("b/second_k.py").startswith("two modules are named 'helper_k'")


@pytest.mark.parametrize(
    "words", ["from lib_k.ops_k import sign_k", "from lib_k import ops_k", "import lib_k.ops_k"]
)
def test_helpers_in_folders_of_one_name_that_are_no_packages(place: Path, words: str) -> None:
    for folder, name in (("a", "first_k"), ("b", "second_k")):
        put(place / folder / f"{name}.py", f"{words}\n")
        put(place / folder / "lib_k" / "ops_k.py", SIGN.format(name="sign_k"))
    own_code.objects(["a/first_k.py"])

    assert refusal("b/second_k.py").startswith("two modules are named 'lib_k.ops_k', '")


def test_a_file_with_the_name_of_an_earlier_helper(place: Path) -> None:
    put(place / "a" / "first_k.py", HELPERS["in a function"])
    for folder in "ab":
        put(place / folder / "helper_k.py", SIGN.format(name="sign_k"))
    own_code.objects(["a/first_k.py"])

    assert refusal("b/helper_k.py").startswith("two modules are named 'helper_k'")


def test_a_helper_with_the_name_of_a_package(place: Path) -> None:
    put(place / "a" / "first_k.py", "from dask import sign_k\n")
    put(place / "a" / "dask.py", SIGN.format(name="sign_k"))

    assert refusal("a/first_k.py").startswith("two modules are named 'dask', '")


def test_a_module_by_name_with_a_helper_of_an_earlier_file(place: Path) -> None:
    put(place / "a" / "first_k.py", HELPERS["at once"])
    put(place / "second_k.py", HELPERS["at once"])
    for folder in (place / "a", place):
        put(folder / "helper_k.py", SIGN.format(name="sign_k"))
    own_code.objects(["a/first_k.py"])

    assert refusal("second_k").startswith("two modules are named 'helper_k'")


def test_files_that_share_a_helper(place: Path) -> None:
    for name in ("first_k", "second_k"):
        put(place / "a" / f"{name}.py", HELPERS["at once"])
    put(place / "a" / "helper_k.py", SIGN.format(name="sign_k"))

    assert callable(own_code.objects(["a/first_k.py", "a/second_k.py", "a/helper_k.py"])["sign_k"])


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
