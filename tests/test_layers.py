"""The arrows between folders point one way: a layer imports earlier ones only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ["base", "media", "faces", "speech", "model", "sync", "training", "render", "dubbing", "studio", "cli"]
BASE = {"types", "errors", "config", "progress", "consent", "__init__"}
DATA_PREP_MAY = {"base", "media", "faces", "speech", "sync", "model", "training.clipstore"}
MAY_IMPORT_DATA_PREP = {"studio", "cli"}
DATA_PREP_COMMANDS = {"__main__.py", "demo.py", "lines.py"}  # commands, as lipsync.cli is one: they may use every layer
ONLY_IN = {"av": "media"}


def layer_of(path):
    parts = path.relative_to(ROOT / "lipsync").with_suffix("").parts
    if len(parts) == 1:
        return "cli" if parts[0] == "__main__" else ("base" if parts[0] in BASE else parts[0])
    return parts[0]


def imports(path):
    """(module, line) of every import of a file, those inside functions too; not those for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            if module == "lipsync":
                yield from ((f"lipsync.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield module, node.lineno


def target_layer(module):
    part = module.split(".")[1] if "." in module else "__init__"
    return "base" if part in BASE or part.startswith("__") else part


LIBRARY = sorted((ROOT / "lipsync").rglob("*.py"))
FOOTAGE = sorted((ROOT / "data_prep").rglob("*.py"))


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_layer_imports_earlier_layers_only(path):
    own = layer_of(path)
    assert own in LAYERS, f"{path} is in no known layer"
    for module, line in imports(path):
        top = module.split(".")[0]
        if top == "lipsync":
            found = target_layer(module)
            assert found in LAYERS, f"{path}:{line} imports {module}, which is in no known layer"
            assert LAYERS.index(found) <= LAYERS.index(own), f"{path}:{line}: {own} imports {module}"
        if top == "data_prep":
            assert own in MAY_IMPORT_DATA_PREP, f"{path}:{line}: {own} imports {module}"
        if top in ONLY_IN:
            assert own == ONLY_IN[top], f"{path}:{line}: {top} belongs in {ONLY_IN[top]}"


@pytest.mark.parametrize("path", FOOTAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_data_prep_stands_on_the_layers_below_learning(path):
    if path.name in DATA_PREP_COMMANDS:
        pytest.skip("a command")
    for module, line in imports(path):
        if module.split(".")[0] == "lipsync":
            allowed = target_layer(module) in DATA_PREP_MAY or module.removeprefix("lipsync.") in DATA_PREP_MAY
            assert allowed, f"{path}:{line} imports {module}"


def test_the_check_sees_an_import_that_points_up(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("from lipsync import render\ndef f():\n    import lipsync.cli.run\n")
    assert [target_layer(module) for module, _ in imports(file)] == ["render", "cli"]
