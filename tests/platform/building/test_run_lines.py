"""Dockerfile lines of 2021 to 2024 without a container: what is done, what is left out, and what an app then finds.

Each build is done twice: with the build's tree as the root of what runs, and with paths led into it word by word.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bananastand.platform.building import BuildError
from bananastand.platform.building.processes.system_packages import missing_packages
from building_benches import NO_SANDBOX, bench, led, sandboxed
from git_repositories import commit, git
from platform_builds import Bench, served, wheel

__all__ = ["bench", "led", "sandboxed"]

# What builds a package, for a project that brings its own.
BACKEND = """
import zipfile

def build_wheel(folder, *_):
    with zipfile.ZipFile(f"{folder}/fruits-1-py3-none-any.whl", "w") as file:
        file.writestr("fruits/__init__.py", "colour = 'of the copy'")
        file.writestr("fruits-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: fruits\\nVersion: 1\\n")
        file.writestr("fruits-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr("fruits-1.dist-info/RECORD", "")
    return "fruits-1-py3-none-any.whl"
"""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder of the network, and its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    with served(folder) as address:
        yield folder, address


def test_the_first_template_with_the_mendings_of_its_base_image(bench: Bench) -> None:
    bench.write(
        {
            "requirements.txt": "",
            "server.py": "import app; print(app.init())",
            "app.py": "def init(): return open('model.bin').read()",
            "download.py": "open('model.bin', 'w').write('weights')",
        }
    )
    launch = bench.build(
        "FROM pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime\nWORKDIR /\n"
        "RUN rm /etc/apt/sources.list.d/cuda.list && rm /etc/apt/sources.list.d/nvidia-ml.list\n"
        "RUN apt-key adv --keyserver keyserver.ubuntu.com --recv-keys A4B469963BF863CC\n"
        "RUN apt-get update && apt-get install -y git curl\n"
        "RUN ln -s /usr/bin/python3.8 /usr/bin/python\nRUN ln -fs /usr/share/zoneinfo/America/New_York /etc/localtime\n"
        'RUN echo "/usr/local/nvidia/lib" >> /etc/ld.so.conf.d/nvidia.conf && ldconfig\n'
        "RUN pip3 install --upgrade pip\nRUN python3.8 -m pip install -U pip\n"
        "ADD requirements.txt requirements.txt\nRUN pip3 install -r requirements.txt\nADD server.py .\n"
        "ADD download.py .\nRUN python3 download.py\nADD app.py .\nEXPOSE 8000\nCMD python3 -u server.py\n"
    )

    assert bench.ran(launch) == "weights"
    assert (launch.command, launch.port) == (("python3", "-u", "server.py"), 8000)
    assert "left out: rm /etc/apt/sources.list.d/cuda.list (the base image's apt sources are not used)" in bench.log
    assert "left out: ln -s /usr/bin/python3.8 /usr/bin/python (the build has its own Python)" in bench.log
    assert "done: pip install pip (the builder's own installer is used)" in bench.log
    assert not any(Path(path).is_symlink() for path in ("/etc/ld.so.conf.d/nvidia.conf",))


def test_absolute_paths_lead_into_the_build_when_it_is_built_and_when_it_runs(sandboxed: Bench) -> None:
    sandboxed.write(
        {
            "download.py": "import os; open('/weights.txt', 'w').write('w')\n"
            "os.makedirs('/root/.cache/torch/hub')\n"
            "open(os.path.expanduser('~/.cache/torch/hub/m.pt'), 'w').write('m')\n"
            "open(os.environ['HF_HOME'] + '/h', 'w').write('h')\n",
            "app.py": "import os; print(os.getcwd(), *[open(name).read() for name in ('/weights.txt', "
            "'/root/.cache/torch/hub/m.pt', os.environ['HF_HOME'] + '/h', '/app/x.txt')], os.environ['HF_HOME'])",
            "x.txt": "x",
        }
    )
    launch = sandboxed.build(
        "FROM python:3\nWORKDIR /app\nENV HF_HOME=/opt/hub\nRUN mkdir -p /opt/hub\nCOPY . .\nRUN python3 download.py\n"
        'CMD ["python3", "/app/app.py"]\n'
    )

    assert sandboxed.ran(launch) == "/app w m h x /opt/hub"
    assert not Path("/weights.txt").exists()
    assert launch.root is not None
    again = sandboxed.build()
    assert "as in an earlier build" in sandboxed.log
    assert sandboxed.ran(again) == "/app w m h x /opt/hub"


def test_where_no_mount_namespace_works_the_log_names_paths_that_will_not_be_found(led: Bench) -> None:
    led.write({"app.py": "import os\nROUTE = '/predict'\nprint(os.path.exists('/weights.txt'))\nopen('/tmp/x')\n"})
    led.build("FROM python:3\nWORKDIR /app\nRUN echo w > /weights.txt\nCOPY . .\nCMD python3 app.py\n")

    assert (
        "these absolute paths are the machine's for the app, not the build's:\n  app.py line 3: /weights.txt\n"
        in led.log
    )
    assert "sudo apt-get install bubblewrap" in led.log
    assert "/predict" not in led.log
    assert f"no mount namespace can be made: {NO_SANDBOX}" in led.log


def test_system_packages_are_listed_once_with_the_command_that_installs_what_is_missing(bench: Bench) -> None:
    bench.write({"app.py": ""})
    bench.build(
        "FROM python:3\nRUN apt-get update && apt-get install -y git no-such-lib1 python3.8 python3-pip\n"
        "RUN DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends git=1:2.* no-such-lib2 \\\n"
        "  && rm -rf /var/lib/apt/lists/*\nCOPY . .\nCMD python3 app.py\n"
    )

    said = [line for line in bench.lines if line.startswith("needs these Debian packages")]
    assert said == [
        "needs these Debian packages: git, no-such-lib1, no-such-lib2; this machine lacks no-such-lib1, no-such-lib2: "
        "sudo apt-get install no-such-lib1 no-such-lib2"
    ]


@pytest.mark.needs("dpkg-query")
def test_packages_are_looked_up_by_their_names() -> None:
    assert asyncio.run(missing_packages(["coreutils", "no-such-thing"])) == ["no-such-thing"]


def test_a_folder_is_entered_for_the_rest_of_its_line(bench: Bench) -> None:
    bench.write(
        {"w/download.py": "open('here', 'w').write('1')", "app.py": "print(open('w/here').read(), open('o').read())"}
    )
    launch = bench.build(
        "FROM python:3\nWORKDIR /app\nCOPY . .\nRUN cd w && python3 download.py && cd .. && echo out > o\n"
        "CMD python3 app.py\n"
    )

    assert bench.ran(launch) == "1 out"


def test_pip_between_two_commands_sees_what_the_first_made_and_is_there_for_the_second(bench: Bench) -> None:
    wheel(bench.wheels, "fruitbowl", "1.0")
    bench.write({"app.py": "print(open('/'.join(['..', 'seen'])).read())"})
    launch = bench.build(
        f"FROM python:3\n{bench.pip_line}WORKDIR /app\nCOPY . .\n"
        "RUN mkdir deps && cd deps && echo 'fruitbowl==1.0' > r.txt && pip install -r r.txt && rm r.txt && cd / && "
        "python3 -c 'import fruitbowl, os; print(fruitbowl.version, os.getcwd()[-5:])' > seen\n"
        "CMD python3 app.py\n"
    )

    assert bench.ran(launch).split()[0] == "1.0"


@pytest.mark.parametrize(("value", "installed"), [("1", True), ("0", False)])
def test_pip_inside_an_if_depends_on_its_condition(value: str, installed: bool, bench: Bench) -> None:
    wheel(bench.wheels, "fruitbowl", "1.0")
    bench.write({"app.py": "import importlib.util; print(importlib.util.find_spec('fruitbowl') is not None)"})
    launch = bench.build(
        f"FROM python:3\n{bench.pip_line}ARG EXTRA={value}\n"
        'RUN if [ "$EXTRA" = "1" ] ; then pip install fruitbowl ; fi\nCOPY . .\nCMD python3 app.py\n'
    )

    assert bench.ran(launch) == str(installed)


@pytest.mark.needs("git")
def test_a_cloned_package_is_installed_as_editable(bench: Bench, site: tuple[Path, str]) -> None:
    folder, address = site
    repository = folder / "fruits"
    repository.mkdir()
    backend = 'build-backend = "backend"\nbackend-path = ["."]\nrequires = []\n'
    (repository / "pyproject.toml").write_text(f'[project]\nname = "fruits"\nversion = "1"\n[build-system]\n{backend}')
    (repository / "backend.py").write_text(BACKEND)
    (repository / "fruits").mkdir()
    (repository / "fruits" / "__init__.py").write_text(
        "import os\ncolour = open(os.path.dirname(__file__) + '/c.txt').read()\n"
    )
    (repository / "fruits" / "c.txt").write_text("yellow")
    commit(repository)
    git(repository, "update-server-info")
    bench.write({"app.py": "import fruits; print(fruits.colour)"})
    launch = bench.build(
        f"FROM python:3\nWORKDIR /app\nRUN git clone {address}/fruits/.git fruits && cd fruits && git log --oneline && "
        "pip install -e .\nCOPY . .\nCMD python3 app.py\n"
    )

    assert bench.ran(launch) == "yellow"
    second = bench.build()
    shutil.rmtree(bench.folder / "build1")
    assert bench.ran(second) == "yellow"


@pytest.mark.needs("wget", "curl")
def test_weights_come_by_add_wget_and_curl(bench: Bench, site: tuple[Path, str]) -> None:
    folder, address = site
    (folder / "m.pt").write_text("m")
    bench.write({"app.py": "print(*[open(name).read() for name in ('m.pt', 'w/m.pt', 'c.pt', 'b/m.pt')])"})
    text = (
        f"FROM python:3\nWORKDIR /app\nADD {address}/m.pt .\nRUN wget -q {address}/m.pt -P w\n"
        f"RUN curl -s '{address}/m.pt?x=1&y=2' > /app/c.pt\nADD {address}/m.pt b/\nCOPY . .\nCMD python3 app.py\n"
    )
    assert bench.ran(bench.build(text)) == "m m m m"
    (folder / "m.pt").unlink()
    assert bench.ran(bench.build(text)) == "m m m m"
    with pytest.raises(BuildError, match=r"line 2: ADD .*/n.pt failed: ERROR: 404 "):
        bench.build(f"FROM python:3\nADD {address}/n.pt /\nCMD x\n")


def test_here_documents_work_in_run_and_copy(bench: Bench) -> None:
    bench.write({"app.py": "print(open('a').read(), open('b').read(), open('c').read())"})
    launch = bench.build(
        "FROM python:3\nENV WHO=you\nWORKDIR /app\nRUN <<EOF\nmkdir -p x\necho one > a\nEOF\n"
        "RUN python3 <<'EOF'\nopen('b', 'w').write('two')\nEOF\n"
        "COPY <<EOF c\nhello $WHO\nEOF\nCOPY . .\nCMD python3 app.py\n"
    )

    assert bench.ran(launch).split() == ["one", "two", "hello", "you"]


def test_conda_is_read_for_its_python_and_packages(bench: Bench) -> None:
    for name in ("fruitbowl", "opencv_python_headless", "peel", "stone"):
        wheel(bench.wheels, name, "1.0")
    bench.write(
        {
            "environment.yaml": f"name: ldm\nchannels:\n  - pytorch\ndependencies:\n  - python={PYTHON}\n"
            "  - cudatoolkit=11.3\n"
            "  - peel=1.0\n  - ffmpeg\n  - pip:\n    - stone==1.0\n",
            "app.py": "import fruitbowl, opencv_python_headless as o, peel, stone; print(o.version)",
            "bananastand.toml": "[build]\nconda = false\n",
        }
    )
    launch = bench.build(
        f"FROM continuumio/miniconda3\n{bench.pip_line}WORKDIR /app\nCOPY environment.yaml .\n"
        "RUN conda update -n base -c defaults conda && conda env create -f environment.yaml\n"
        'SHELL ["conda", "run", "--no-capture-output", "-n", "ldm", "/bin/bash", "-c"]\n'
        "RUN conda install -y -c pytorch -c conda-forge opencv=1.0 cudatoolkit=11.3 fruitbowl\n"
        'RUN echo "conda activate ldm" >> ~/.bashrc\nCOPY . .\n'
        'CMD ["conda", "run", "--no-capture-output", "-n", "ldm", "python", "app.py"]\n'
    )

    assert bench.ran(launch) == "1.0"
    assert launch.command == ("python", "app.py")
    assert f"read as Python {PYTHON}; peel==1.0.*, stone==1.0, ffmpeg; left out: cudatoolkit" in bench.log
    assert "needs these Debian packages: ffmpeg" in bench.log
    settings_of_shell = Path.home() / ".bashrc"
    assert "ldm" not in (settings_of_shell.read_text() if settings_of_shell.exists() else "")


def test_an_environment_file_that_is_missing_is_named(bench: Bench) -> None:
    with pytest.raises(BuildError, match=r"line 2: RUN conda env create -f e.yml: there is no e.yml in /"):
        bench.build("FROM python:3\nRUN conda env create -f e.yml\nCMD x\n")


def test_scripts_run_and_what_they_ask_of_apt_and_pip_is_noted(sandboxed: Bench) -> None:
    wheel(sandboxed.wheels, "fruitbowl", "1.0")
    sandboxed.write(
        {
            "install.sh": "set -e\napt-get update\nsudo apt-get install -y no-such-lib1\nif [ 1 = 1 ]; then\n"
            "  pip install fruitbowl==1.0\nfi\necho done > /installed\n",
            "app.py": "import fruitbowl; print(open('/installed').read().strip(), fruitbowl.version)",
        }
    )
    text = f"FROM python:3\n{sandboxed.pip_line}WORKDIR /app\nCOPY . .\nRUN bash install.sh\nCMD python3 app.py\n"

    assert sandboxed.ran(sandboxed.build(text)) == "done 1.0"
    assert sandboxed.ran(sandboxed.build(text)) == "done 1.0"  # from the layer
    assert "as in an earlier build" in sandboxed.log
    assert "needs these Debian packages: no-such-lib1; this machine lacks no-such-lib1" in sandboxed.log


def test_a_script_is_refused_where_it_could_change_the_machine(led: Bench) -> None:
    led.write({"install.sh": "touch /installed"})
    with pytest.raises(
        BuildError, match=r"line 3: RUN bash: not a program that is run without a container or bubblewrap"
    ):
        led.build("FROM python:3\nCOPY . .\nRUN bash install.sh\nCMD x\n")
    assert not Path("/installed").exists()


def test_variables_that_hold_a_command_are_read(bench: Bench) -> None:
    wheel(bench.wheels, "fruitbowl", "1.0")
    bench.write({"app.py": "import fruitbowl; print(fruitbowl.version)"})
    launch = bench.build(
        f'FROM python:3\n{bench.pip_line}ARG PIP_INSTALL="python -m pip --no-cache-dir install --upgrade"\n'
        'ARG APT="apt-get install -y"\nRUN $APT git && ${PIP_INSTALL} fruitbowl\nCOPY . .\nCMD python3 app.py\n'
    )

    assert bench.ran(launch) == "1.0"


def test_a_wheel_that_was_fetched_is_installed_by_its_pattern(bench: Bench) -> None:
    wheel(bench.source, "fruitbowl", "1.0")
    bench.write({"app.py": "import fruitbowl; print(fruitbowl.version)"})
    launch = bench.build(
        "FROM python:3\nWORKDIR /app\nCOPY *.whl ./\nRUN pip install --no-index *.whl && rm *.whl\n"
        "COPY app.py .\nCMD python3 app.py\n"
    )

    assert bench.ran(launch) == "1.0"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("RUN python3 -c 'import no_such_module'",
         r"line 3: RUN python3 .* ended with status 1: ModuleNotFoundError: No module named 'no_such_module'$"),
        ("RUN echo 'note: read the manual' && echo 'ValueError: the weights are gone' && echo 'note: bye' && false",
         r"ended with status 1: ValueError: the weights are gone$"),
        ("RUN git clone http://127.0.0.1:1/x.git",
         r"no connection to http://127\.0\.0\.1:1 while fetching .*Check the network"),
        ("RUN cd nowhere && ls", "ended with status .*nowhere"),
        ("RUN cd nowhere && pip install x", "line 3: .*ended with status 1: cd: nowhere: No such file or directory"),
        ("COPY requirement.txt .", r"line 3: requirement.txt is not in the source; is it requirements.txt\?"),
        ("WORKDIR $NOTHING/$", "line 4: CMD python3 app.py: there is no app.py in /\\$; is there a COPY of it"),
        ("ENV A", "line 3: ENV takes NAME=VALUE, not 'A'"),
        ("ENV A=${B", "line 3: .* not a form"),
    ],
)  # fmt: skip
def test_a_failure_names_line_reason_and_what_to_do(line: str, reason: str, bench: Bench) -> None:
    bench.write({"requirements.txt": "", "app.py": ""})
    with pytest.raises(BuildError, match=reason):
        bench.build(f"FROM python:3\nCOPY . .\n{line}\nCMD python3 app.py\n")
