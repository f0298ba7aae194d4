"""The rules of the architecture: import rules, the content of the wheel, and public names."""

from __future__ import annotations

import ast
import importlib
import io
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "bananastand"
MOCKS = ROOT / "mocks" / "bananastand_mocks"


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def dotted(path: Path) -> str:
    source = ROOT / "mocks" if path.is_relative_to(ROOT / "mocks") else ROOT
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, in functions too; relative ones spelled out."""
    yield from imports_of(ast.parse(path.read_text(encoding="utf-8")), path)


def imports_of(tree: ast.AST, path: Path) -> Iterator[str]:
    """Every module that a part of a file imports."""
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_production_never_imports_a_mock() -> None:
    """The command line starts the mocks; nothing else of `bananastand` imports them."""
    paths = [path for path in modules(LIBRARY) if not path.is_relative_to(LIBRARY / "cli")]
    assert paths

    assert [(path, name) for path in paths for name in imports(path) if within(name, "bananastand_mocks")] == []


def runtime_imports(path: Path, known: frozenset[str]) -> set[str]:
    """The modules of ours that a file imports when it is imported: neither in functions nor for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    names = {name for node in tree.body if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
             for name in imports_of(node, path)}  # fmt: skip
    return {name for name in names if name in known} - {dotted(path)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    paths = {dotted(path): path for folder in (LIBRARY, MOCKS) for path in modules(folder)}
    left = {name: runtime_imports(path, frozenset(paths)) for name, path in paths.items()}
    assert sum(map(len, left.values())) > 500
    packages = {dotted(path) for path in paths.values() if path.name == "__init__.py"}
    left = {name: {other for other in others if not (other in packages and within(name, other))}
            for name, others in left.items()}  # fmt: skip
    while ready := [name for name, others in left.items() if not others & left.keys()]:
        for name in ready:
            del left[name]

    assert left == {}, f"modules of import circles, or behind one: {sorted(left)}"


PARTS = ("diffusion", "serving", "platform", "clients")


@pytest.mark.parametrize("part", PARTS)
def test_the_four_parts_do_not_import_each_other(part: str) -> None:
    others = [f"bananastand.{other}" for other in (*PARTS, "cli") if other != part]
    others += ["bananastand.worker"] if part in ("diffusion", "clients") else []
    paths = list(modules(LIBRARY / part))
    assert paths
    for path in paths:
        assert not [name for name in imports(path) for other in others if within(name, other)], path


def test_the_platform_imports_without_the_mocks_and_their_own_packages() -> None:
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('bananastand_mocks', 'matplotlib', 'pypdf', 'python_multipart')))\n"
        "from bananastand.cli import _platform_server\n"
        "from bananastand.platform.http import app\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_platform_on_one_machine_loads_nothing_of_a_cluster() -> None:
    program = (
        "import sys\n"
        "from bananastand.cli import _platform_server, main\n"
        "from bananastand.cli._app import build\n"
        "from bananastand.platform.http import app\n"
        "build()\n"
        "print([name for name in ('ray', 'psycopg', 'fsspec', 's3fs', 'bananastand.cluster') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_the_platform_does_not_know_the_cluster() -> None:
    """It knows nodes by the protocol in `platform.nodes`; the command line chooses which."""
    paths = [path for part in ("platform", "serving", "worker") for path in modules(LIBRARY / part)]
    assert paths

    known = {"bananastand.cluster", "ray"}
    assert [(path, name) for path in paths for name in imports(path) for root in known if within(name, root)] == []


def test_clients_and_mocks_never_import_each_other() -> None:
    clients, mocks = list(modules(LIBRARY / "clients")), list(modules(MOCKS))
    assert clients
    assert mocks
    for path in clients:
        assert not [name for name in imports(path) if within(name, "bananastand_mocks")], path
    for path in mocks:
        assert not [name for name in imports(path) if within(name, "bananastand.clients")], path


OF_THE_APP = ("asgi", "cancel", "diffusion", "outbound", "webhooks")


def test_the_app_imports_potassium_and_what_it_needs_of_ours_and_nothing_else() -> None:
    foreign = {name.split(".")[0] for name in imports(ROOT / "app.py")} - set(sys.stdlib_module_names)
    ours = {".".join(name.split(".")[:2]) for name in imports(ROOT / "app.py") if within(name, "bananastand")}

    assert foreign == {"potassium", "flask", "bananastand"}  # flask is Potassium's own server
    assert ours == {"bananastand", *(f"bananastand.{name}" for name in OF_THE_APP)}


def test_download_imports_the_hub_and_nothing_of_ours() -> None:
    foreign = {name.split(".")[0] for name in imports(ROOT / "download.py")} - set(sys.stdlib_module_names)

    assert foreign == {"huggingface_hub"}


def test_the_oracle_imports_nothing_of_ours() -> None:
    names = list(imports(ROOT / "training" / "fruitstand" / "oracle.py"))

    assert not [name for name in names if within(name, "training") or within(name, "bananastand")]


def test_the_worker_imports_the_standard_library_alone() -> None:
    """It runs where nothing of ours is installed; what an app brings (potassium, flask, torch) it finds there."""
    theirs = {"potassium", "flask", "werkzeug", "torch", "pkg_resources"}
    known = {"bananastand_worker", *theirs, *sys.stdlib_module_names}
    paths = list(modules(LIBRARY / "worker"))
    assert paths
    for path in paths:
        foreign = {name for name in imports(path) if not within(name, "bananastand.worker")}
        assert {name.partition(".")[0] for name in foreign} <= known, path


def test_http_is_spoken_in_one_module_of_each_part() -> None:
    speakers = {dotted(path) for folder in (LIBRARY, MOCKS) for path in modules(folder)
                if any(within(name, "httpx2") for name in imports(path))}  # fmt: skip

    assert speakers == {
        "bananastand.outbound",
        "bananastand.clients.client",
        "bananastand.clients.falqueue",  # streams, as the next two do
        "bananastand.clients.potassium",
        "bananastand_mocks.conformance.session",
        "bananastand.clients.platform",
        "bananastand_mocks.forward",
    }


def test_the_diffusion_package_knows_no_http() -> None:
    paths = list(modules(LIBRARY / "diffusion"))
    assert paths
    for path in paths:
        known = [n for n in imports(path) for web in ("potassium", "flask", "fastapi", "httpx2") if within(n, web)]
        assert not known, path


def public_modules() -> list[str]:
    paths = [path for folder in (LIBRARY, MOCKS) for path in modules(folder)]
    return [name for name in map(dotted, paths) if not any(part.startswith("_") for part in name.split("."))]


@pytest.mark.parametrize("name", public_modules())
def test_all_names_exactly_what_is_public(name: str) -> None:
    module = importlib.import_module(name)
    defined = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == name and (callable(value))
    }

    listed = set(getattr(module, "__all__", ()))
    assert all(hasattr(module, key_name) for key_name in listed)
    assert defined <= listed, f"public, but not in __all__: {sorted(defined - listed)}"


def test_every_module_begins_by_saying_what_it_is() -> None:
    for path in [ROOT / "app.py", ROOT / "download.py", *modules(LIBRARY), *modules(MOCKS)]:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_two_packages_and_the_models(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names} == {"bananastand", "bananastand_mocks", "bananastand-0.1.0.dist-info"}
    assert "bananastand/_models/sdxl-base.toml" in names
    assert "bananastand/_models/fruitstand/unet/diffusion_pytorch_model.safetensors" in names
    assert "bananastand/py.typed" in names
    assert "bananastand_mocks/py.typed" in names


def environment_of(wheel: Path, folder: Path) -> tuple[Path, Path]:
    """A fresh environment with the wheel, and its site-packages. Dependencies are lent by ours, our checkout is not."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python, site


def test_the_installed_wheel_paints_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    clean, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    python, _ = environment_of(wheel, clean)

    done = subprocess.run(
        [str(clean / "bin" / "bananastand"), "paint", "a yellow banana on a purple background", "-o", "out.png"],
        cwd=empty, capture_output=True, text=True, timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(empty), "BANANASTAND_DEVICE": "cpu"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert Image.open(io.BytesIO((empty / "out.png").read_bytes())).size == (128, 128)
    where = subprocess.run(
        [str(python), "-I", "-c", "import bananastand; print(bananastand.__file__)"],
        cwd=empty,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(clean))


@pytest.mark.needs("node")
def test_a_strangers_project_tests_itself_on_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    """examples/consumer, which has folders called mocks and models of its own."""
    project, node = tmp_path / "consumer", Path(shutil.which("node") or "")
    shutil.copytree(ROOT / "examples" / "consumer", project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    python, site = environment_of(wheel, tmp_path / "venv")

    def run(*words: str) -> str:
        environment = {"PATH": f"{node.parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
        done = subprocess.run(
            [str(python), *words], cwd=project, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "8 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider")
    output = run("-c", "import bananastand_mocks, bananastand.clients; print(bananastand_mocks, bananastand.clients)")
    assert output.count(str(site)) == 2
    assert not any((site / name).exists() for name in ("mocks", "models"))
