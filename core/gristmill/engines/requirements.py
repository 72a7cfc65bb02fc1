"""Whether this environment has the packages that a stored model asks for."""

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable

from gristmill.errors import ModelError

__all__ = ["check_requirements", "missing_requirements"]

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._\-]*)")
_MODULES = {
    "beautifulsoup4": "bs4",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "protobuf": "google.protobuf",
    "python-dateutil": "dateutil",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
"""Packages whose module has another name."""
_OURS = frozenset({"gristmill", "mlflow", "mlflow-skinny"})


def missing_requirements(requirements: Iterable[str]) -> list[str]:
    """Those of a model's requirements that this environment has in no version, as they are written.

    A package counts as there where its module is, since variants such as xgboost-cpu have names of their own. Other
    versions than those that are asked for are no reason not to try.

    Example:
        >>> missing_requirements(["pyarrow==1.0", "no-such-package>=2", "-c constraints.txt"])
        ['no-such-package>=2']
    """
    return [line for line in requirements if (name := _name(line)) is not None and not _is_there(name)]


def check_requirements(requirements: Iterable[str], *, model: str) -> None:
    """Refuse a model whose packages are not here.

    Raises:
        ModelError: some are missing; names all of them.
    """
    missing = missing_requirements(requirements)
    if missing:
        listed = " ".join(f"'{line}'" for line in missing)
        raise ModelError(
            f"model {model!r} needs {', '.join(missing)}, which this environment has not: pip install {listed}, or log "
            "the model with pip_requirements that name what it really needs"
        )


def _name(line: str) -> str | None:
    """The package that a line asks for here; None where it asks for none by its name."""
    match = _NAME.match(line.strip())
    if match is None or "://" in line.partition("@")[0]:
        return None
    if ";" in line:
        try:
            from packaging.markers import InvalidMarker, Marker
        except ImportError:
            return None
        try:
            if not Marker(line.partition(";")[2].strip()).evaluate():
                return None
        except InvalidMarker:
            return None
    return match[1]


def _is_there(name: str) -> bool:
    folded = re.sub(r"[-_.]+", "-", name).lower()
    if folded in _OURS:
        return True  # what looks is there, and does not need the other
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        module = _MODULES.get(folded, folded.replace("-", "_"))
        try:
            return importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            return False
    return True
