"""The contestants by name: the module that runs each, and its options."""

from typing import Any

__all__ = ["CONTESTANTS"]

CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bare": ("bare", {}),
    "bare_own_process": ("bare", {"own_process": True}),
    "bare_sorted": ("bare", {"is_sorted": True}),
    "daft": ("daft_frame", {}),
    "gristmill": ("ours", {"num_workers": 1}),
    "gristmill2": ("ours", {"num_workers": 2}),
    "gristmill_chat": ("ours_chats", {}),
    "gristmill_chat_50": ("ours_chats", {"files": 50}),
    "gristmill_chat_arrival": ("ours_chats", {"grouping": False}),
    "gristmill_chat_in_process": ("ours_chats", {"engine_mode": "in_process"}),
    "gristmill_chat_own_process": ("ours_chats", {"engine_mode": "own_process"}),
    "gristmill_chat_ray": ("ours_chats", {"pool": "ray"}),
    "gristmill_ray": ("ours", {"pool": "ray"}),
    "gristmill_ray2": ("ours", {"pool": "ray", "replicas": 2}),
    "raw1": ("raw", {"processes": 1}),
    "raw2": ("raw", {"processes": 2}),
    "ray_data": ("ray_data", {}),
    "ray_llm": ("ray_llm", {}),
    "run_batch": ("run_batch", {}),
}
