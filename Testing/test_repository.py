"""Promises about the repository as a whole: what may be imported where, what Slicer installs, what no file may contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "SuggestiveAnnotationLib"
MODULE = ROOT / "SuggestiveAnnotation"
MAX_LINES = 500

LEARNING = ("torch", "monai")
EXTRAS = (*LEARNING, "safetensors", "sklearn", "matplotlib", "jinja2", "nilearn", "skimage", "pandas")
"""Everything that is not a base dependency."""


def modules(*parts: str) -> list[str]:
    """Dotted names of the library's modules below `parts`, the package itself included."""
    found = []
    for part in parts:
        base = LIBRARY / part
        for file in sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]:
            names = file.relative_to(ROOT).with_suffix("").parts
            found.append(".".join(names[:-1] if names[-1] == "__init__" else names))
    return found


def import_with_blocked(names: list[str], blocked: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Import `names` in a fresh interpreter that refuses every module of `blocked`."""
    code = f"""
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} must not be imported here")

sys.meta_path.insert(0, Block())
for name in {names!r}:
    importlib.import_module(name)
"""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("part", ["errors", "types", "files", "progress", "geometry", "cohort", "effort", "export"])
def test_the_lower_layers_import_with_nothing_but_the_base_dependencies_and_no_database(part):
    names = modules(part)
    assert names
    result = import_with_blocked(names, (*EXTRAS, "sqlalchemy"))
    assert result.returncode == 0, result.stderr


def test_a_study_is_read_with_the_base_dependencies():
    result = import_with_blocked(modules("study", "session"), EXTRAS)
    assert result.returncode == 0, result.stderr


def test_the_report_and_the_strategy_contract_import_without_torch():
    result = import_with_blocked([*modules("report"), "SuggestiveAnnotationLib.strategies.contract"], LEARNING)
    assert result.returncode == 0, result.stderr


def test_the_command_line_starts_without_torch():
    result = import_with_blocked(["SuggestiveAnnotationLib.cli.main"], LEARNING)
    assert result.returncode == 0, result.stderr


def test_a_blocked_import_would_be_noticed():
    assert "must not be imported here" in import_with_blocked(["json.decoder"], ("json",)).stderr


def test_the_slicer_module_imports_neither_torch_nor_the_database():
    for file in MODULE.rglob("*.py"):
        assert not imported_packages(file) & {"torch", "monai", "sqlalchemy"}, file.name


def imported_packages(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


# --- what Slicer installs


def cmake_list(folder: Path, variable: str) -> list[str]:
    text = re.sub(r"#.*", "", (folder / "CMakeLists.txt").read_text(encoding="utf-8"))
    match = re.search(rf"set\({variable}\s([^)]*)\)", text)
    assert match, f"{folder.name}/CMakeLists.txt has no set({variable} ...)"
    return match[1].replace("${MODULE_NAME}", folder.name).split()


def files_of(folder: Path, *suffixes: str) -> list[str]:
    return sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.suffix in suffixes and "__pycache__" not in f.parts)


@pytest.mark.parametrize(
    ("folder", "variable", "suffixes"),
    [
        (LIBRARY, "MODULE_PYTHON_SCRIPTS", (".py",)),
        (LIBRARY, "MODULE_PYTHON_RESOURCES", (".json", ".html")),
        (MODULE, "MODULE_PYTHON_SCRIPTS", (".py",)),
        (MODULE, "MODULE_PYTHON_RESOURCES", (".png", ".svg", ".ui")),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else value if isinstance(value, str) else " ".join(value),
)
def test_every_file_that_slicer_needs_is_listed_in_cmake(folder, variable, suffixes):
    expected = files_of(folder, *suffixes)
    refreshed = "\n".join(f"  {name}" for name in expected)
    message = f"put this into {folder.name}/CMakeLists.txt:\n\nset({variable}\n{refreshed}\n  )\n"
    assert sorted(cmake_list(folder, variable)) == expected, message


def test_every_resource_of_the_library_is_packaged():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"][LIBRARY.name]
    packaged = {f.relative_to(LIBRARY).as_posix() for pattern in patterns for f in LIBRARY.glob(pattern)}
    ignored = {".py", ".pyc", ".txt", ".md"}
    others = {f.relative_to(LIBRARY).as_posix() for f in LIBRARY.rglob("*") if f.is_file() and f.suffix not in ignored}
    assert others == packaged


def test_every_folder_of_the_library_is_a_package():
    assert not [f.parent.name for f in LIBRARY.rglob("*.py") if not (f.parent / "__init__.py").exists()]


def test_the_icon_has_the_size_that_the_extension_index_asks_for():
    for file in (ROOT / "Resources" / "SuggestiveAnnotation.png", MODULE / "Resources" / "Icons" / "SuggestiveAnnotation.png"):
        header = file.read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (128, 128)


# --- what no file may contain


def sources() -> Iterator[Path]:
    for folder in (LIBRARY, MODULE, ROOT / "Testing"):
        yield from (f for f in sorted(folder.rglob("*.py")) if "__pycache__" not in f.parts)


def test_no_file_is_longer_than_fits_on_a_few_screens():
    lengths = {str(f.relative_to(ROOT)): len(f.read_text(encoding="utf-8").splitlines()) for f in sources()}
    assert not {name: n for name, n in lengths.items() if n > MAX_LINES}


def test_the_library_reads_nothing_that_can_run_code_and_swallows_no_error():
    offences = []
    for file in sorted(LIBRARY.rglob("*.py")):
        if imported_packages(file) & {"pickle", "dill", "cloudpickle", "shelve"}:
            offences.append(f"{file.relative_to(ROOT)}: pickle")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            offences += [f"{file.relative_to(ROOT)}:{node.lineno}: {what}" for what in forbidden_in(node)]
    assert not offences


def forbidden_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        if ast.unparse(node.func) in {"torch.load", "eval", "exec"}:
            yield ast.unparse(node.func)
        if any(k.arg == "allow_pickle" and not (isinstance(k.value, ast.Constant) and k.value.value is False) for k in node.keywords):
            yield "allow_pickle"
    elif isinstance(node, ast.ExceptHandler):
        if node.type is None:
            yield "bare except"
        elif ast.unparse(node.type) in {"Exception", "BaseException"} and all(isinstance(n, ast.Pass) for n in node.body):
            yield "an error is swallowed"


def test_constraints_pin_every_dependency_by_version_alone():
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert not [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)]
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(name for names in project["optional-dependencies"].values() for name in names)]
    names = {re.split(r"[\[><=]", name)[0].lower() for name in wanted} - {project["name"]}
    assert names <= pinned
