import base64

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from gristmill.resolve.encoding import content_type, encode, encoded_size
from gristmill.spec.enums import FileEncoding


@given(st.binary(max_size=300))
def test_encoded_content_decodes_to_itself_within_the_bound(content: bytes) -> None:
    raw = encode(content, FileEncoding.RAW_BYTES)
    text = encode(memoryview(content), FileEncoding.BASE64)
    url = encode(bytearray(content), FileEncoding.BASE64_DATA_URL, name="x.png")
    assert raw == content
    assert base64.b64decode(text, validate=True) == content
    head, _, rest = url.partition(b";base64,")
    assert head.startswith(b"data:")
    assert rest == text
    for encoding, result in zip(FileEncoding, (raw, text, url), strict=True):
        assert len(result) <= encoded_size(len(content), encoding)


def test_types_follow_the_encoding_and_the_size() -> None:
    assert content_type(FileEncoding.RAW_BYTES) == pa.binary()
    assert content_type(FileEncoding.RAW_BYTES, large=True) == pa.large_binary()
    assert content_type(FileEncoding.BASE64_DATA_URL) == pa.string()
    assert content_type(FileEncoding.BASE64, large=True) == pa.large_string()
