"""Installs what the tests need into the environment whose Python runs this.

`python tests/setup/install.py ARGUMENT ...`: the arguments are those of `uv pip install`. pip itself cannot do it: it
has no way to leave out two packages that break vLLM on CPUs (see `overrides.txt`). What pip knows about this machine
(indexes, folders of wheels, certificates) is told to uv, which does not read pip's settings; what the environment tells
uv already stays.
"""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
OVERRIDES = ROOT / "tests" / "setup" / "overrides.txt"
SHIM = ROOT / "tests" / "setup" / "torchvision_on_cpu.py"

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
PYPI = "https://pypi.org/simple"
UV_NAMES = {
    "cert": "SSL_CERT_FILE",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "no-index": "UV_NO_INDEX",
    "proxy": "ALL_PROXY",
    "trusted-host": "UV_INSECURE_HOST",
}
SECTIONS = ("global", "install", ":env:")
"""Where pip looks for a setting of `pip install`; the last wins."""


def pip_settings() -> dict[str, str]:
    """What pip is told by its files and by the environment, by name."""
    listed = subprocess.run([*PIP, "config", "list"], check=True, capture_output=True, text=True).stdout
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in found:
            found[section][key] = ast.literal_eval(value)
    return {key: value for section in SECTIONS for key, value in found[section].items()}


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment that tells uv what those settings tell pip."""
    # uv takes a version from the first index that has it, and pip from the one with the most fitting file: the main
    # index goes first, because others may have copied a part of its files.
    main = settings.get("index-url", PYPI)
    settings = {**settings, "extra-index-url": f"{main} {settings.get('extra-index-url', '')}"}
    told = {UV_NAMES[key]: " ".join(value.split()) for key, value in settings.items() if key in UV_NAMES}
    if "UV_FIND_LINKS" in told:
        told["UV_FIND_LINKS"] = told["UV_FIND_LINKS"].replace(" ", ",")
    return {"UV_INDEX_STRATEGY": "unsafe-best-match"} | told | dict(environment)


def torch_is_at_hand() -> bool:
    """Whether pip finds torch for CPUs by its settings; PyPI does not have it."""
    pin = next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))
    look = ("install", "-q", "--dry-run", "--no-deps", "--ignore-installed", f"{pin}+cpu")
    return subprocess.run([*PIP, *look], check=False, stderr=subprocess.DEVNULL).returncode == 0


def mend_torchvision() -> None:
    """See to it that torchvision can be imported: PyPI's cannot, beside torch for CPUs, without help."""
    look = (sys.executable, "-c", "import torchvision")
    if subprocess.run(look, check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return
    packages = Path(sysconfig.get_path("purelib"))
    shutil.copy(SHIM, packages / SHIM.name)
    (packages / f"{SHIM.stem}.pth").write_text(f"import {SHIM.stem}\n")
    subprocess.run(look, check=True)


def main(arguments: list[str]) -> None:
    """Install uv, by it what the arguments name, and mend what PyPI does not have for CPUs."""
    subprocess.run([*PIP, "install", "-q", "-c", CONSTRAINTS, "uv"], check=True)
    options = ["--python", sys.executable, "-c", str(CONSTRAINTS), "--overrides", str(OVERRIDES)]
    if not torch_is_at_hand():
        options += ["--torch-backend", "cpu"]
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    environment = uv_environment(pip_settings(), os.environ)
    installed = subprocess.run(
        [uv, "pip", "install", "-q", *options, *arguments], check=False, cwd=ROOT, env=environment
    )
    if installed.returncode:
        sys.exit(installed.returncode)
    mend_torchvision()


if __name__ == "__main__":
    main(sys.argv[1:])
