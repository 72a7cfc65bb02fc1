import pyarrow as pa

from gristmill.inputs.block import Block
from gristmill.resolve.columns import ColumnResolver
from gristmill.settings import ResolverSettings
from gristmill.spec.input import ColumnHandling
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage


def test_s3fs_reads_what_obstore_cannot(s3) -> None:
    options = {"s3": {"endpoint_url": s3.endpoint_url, "config_kwargs": {"tcp_keepalive": True}}}
    storage = Storage(s3.settings.model_copy(update={"storage_options": options}))
    storage.write_bytes(f"{s3.root}/a//b", b"twice")
    storage.write_bytes(f"{s3.root}/large", b"x" * 101)
    resolver = ColumnResolver(
        {"file": ColumnHandling(input_format="full_stage_path", convert_to="raw_bytes")},
        storage=storage,
        access=AccessPolicy(storage),
        limits=ResolverSettings(max_file_bytes=100),
    )
    rows = pa.RecordBatch.from_pydict({"file": [f"{s3.root}/{name}" for name in ("a//b", "missing", "large")]})
    (done,) = resolver.resolve([Block(0, 0, rows, rows)])
    resolver.close()
    assert done.model_rows.column("file").to_pylist() == [b"twice", None, None]
    assert {row: error.type for row, error in done.errors.items()} == {1: "FileNotFoundError", 2: "FileTooLargeError"}
