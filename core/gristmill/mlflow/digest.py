"""What tells the content of a model's folder from any other."""

import hashlib
from pathlib import Path

__all__ = ["folder_digest"]

_CHUNK = 1024**2
_LEFT_BY_MLFLOW = "registered_model_meta"


def folder_digest(folder: str | Path) -> str:
    """The sha256, in hex, over the sorted list of "relative path, size, sha256" of the files of a folder.

    Empty folders do not count, since stores of objects know none; links count as what they lead to. Nor does the file
    that MLflow leaves beside a registered model that it has loaded in place.

    Args:
        folder: a folder of this machine.

    Raises:
        OSError: a file cannot be read.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "MLmodel").write_bytes(b"flavors: {}")
        >>> folder_digest(folder)[:16]
        '0d67733acbce10d6'
    """
    root = Path(folder)
    files = sorted((path.relative_to(root).as_posix(), path) for path in root.rglob("*") if path.is_file())
    files = [(name, path) for name, path in files if name != _LEFT_BY_MLFLOW]
    whole = hashlib.sha256()
    for name, path in files:
        content, size = hashlib.sha256(), 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                content.update(chunk)
                size += len(chunk)
        whole.update(f"{name}\0{size}\0{content.hexdigest()}\n".encode())
    return whole.hexdigest()
