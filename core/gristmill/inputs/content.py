"""A digest of rows that does not depend on how they are cut into batches."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ContentHash"]

_SIZE = 16


class ContentHash:
    """Hashes record batches as they pass.

    For each column, at each level of nesting, there is one digest over all rows: of which are null, how long they are,
    and what they hold. What lies in memory under a null does not count, nor how values are shared in a dictionary.

    Args:
        schema: the columns.

    Example:
        >>> one, two = pa.record_batch({"x": [1, 2]}), pa.record_batch({"x": [3]})
        >>> cut, whole = ContentHash(one.schema), ContentHash(one.schema)
        >>> cut.update(one); cut.update(two); whole.update(pa.concat_batches([one, two]))
        >>> cut.hexdigest() == whole.hexdigest()
        True
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._digests: dict[str, hashlib.blake2b] = {}

    def update(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        for at, column in enumerate(batch.columns):
            self._column(str(at), column)

    def hexdigest(self) -> str:
        """The digest of all rows so far: 32 hexadecimal digits."""
        total = hashlib.blake2b(digest_size=_SIZE)
        for field in self._schema:
            total.update(f"{field.name}\0{field.type}\n".encode())
        for path in sorted(self._digests):
            total.update(path.encode())
            total.update(self._digests[path].digest())
        return total.hexdigest()

    def _add(self, path: str, values: pa.Array, width: int) -> None:
        """Fixed-width values without nulls, `width` bytes each."""
        if not len(values):
            return
        data = memoryview(values.buffers()[1])
        start = values.offset * width
        hasher = self._digests.get(path)
        if hasher is None:
            hasher = self._digests[path] = hashlib.blake2b(digest_size=_SIZE)
        hasher.update(data[start : start + len(values) * width])

    def _column(self, path: str, column: pa.Array) -> None:
        kind = column.type
        if isinstance(kind, pa.BaseExtensionType):
            self._column(path, column.storage)
            return
        if pa.types.is_dictionary(kind):
            self._column(path, column.dictionary_decode())
            return
        self._add(f"{path}?", column.is_valid().cast(pa.uint8()), 1)
        if pa.types.is_null(kind):
            return
        if pa.types.is_struct(kind):
            for at, child in enumerate(column.flatten()):
                self._column(f"{path}.{at}", child)
        elif pa.types.is_map(kind):
            # A map is a list of pairs in memory; flatten() is only for lists
            pairs = pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])
            self._list(path, column.cast(pa.list_(pairs)))
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            self._list(path, column)
        elif pa.types.is_boolean(kind):
            self._add(f"{path}=", column.fill_null(False).cast(pa.uint8()), 1)  # noqa: FBT003 - Arrow's own
        elif _is_variable(kind):
            self._add(f"{path}#", pc.fill_null(pc.binary_length(column), 0).cast(pa.int64()), 8)
            self._bytes(f"{path}=", column)
        else:
            self._fixed(f"{path}=", column)

    def _list(self, path: str, column: pa.Array) -> None:
        lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int64())
        self._add(f"{path}#", lengths, 8)
        self._column(f"{path}[]", column.flatten())

    def _bytes(self, path: str, column: pa.Array) -> None:
        """The bytes of texts, one after the other."""
        plain = column.drop_null() if column.null_count else column
        if not len(plain):
            return
        offsets = pa.Array.from_buffers(
            pa.int64() if _is_large(column.type) else pa.int32(),
            len(plain) + 1,
            [None, plain.buffers()[1]],
            offset=plain.offset,
        )
        start, stop = offsets[0].as_py(), offsets[-1].as_py()
        if stop > start:
            self._add(
                path, pa.Array.from_buffers(pa.uint8(), stop - start, [None, plain.buffers()[2]], offset=start), 1
            )

    def _fixed(self, path: str, column: pa.Array) -> None:
        width = column.type.bit_width // 8
        if column.null_count:
            column = column.drop_null()
        self._add(path, column, width)


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))


def _is_variable(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind)) or _is_large(kind)
