"""The contestants by name: the module that runs each, and its options."""

from typing import Any

__all__ = ["CONTESTANTS"]

CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "daft": ("daft_frame", {}),
    "gristmill": ("ours", {"num_workers": 1}),
    "gristmill2": ("ours", {"num_workers": 2}),
    "gristmill_ray": ("ours", {"pool": "ray"}),
    "gristmill_ray2": ("ours", {"pool": "ray", "replicas": 2}),
    "raw1": ("raw", {"processes": 1}),
    "raw2": ("raw", {"processes": 2}),
    "ray_data": ("ray_data", {}),
}
