"""Messages on their way to a model, whatever the storage of the files that they name."""

import base64
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.chat import samples

from gristmill.chat.media import may_hold_media
from gristmill.chat.messages import parse_messages
from gristmill.errors import SchemaError
from gristmill.inputs.block import Block
from gristmill.resolve.columns import ColumnResolver
from gristmill.settings import ResolverSettings
from gristmill.spec.input import ColumnHandling
from gristmill.spec.row_error import RowError
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(50))
MP4 = b"\0\0\0\x18ftypisom" + bytes(40)
GIF = b"GIF89a" + bytes(20)
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(30)
MP3 = b"\xff\xfb\x90\x64" + bytes(200)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def image(url: str, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def video(url: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}}


def audio(data: str, **more: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, **more}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "You see."}, {"role": "user", "content": list(parts)}]


def png(content: bytes = PNG) -> str:
    return f"data:image/png;base64,{b64(content)}"


def make_resolver(storage: Storage, allowed: tuple[str, ...], **options: Any) -> ColumnResolver:
    limits = options.pop("limits", ResolverSettings(backoff=0.01))
    handling = options.pop("handling", {})
    access = AccessPolicy(storage, allowed)
    return ColumnResolver(
        handling, messages=options.pop("messages", "messages"), storage=storage, access=access, limits=limits, **options
    )


def make_block(columns: dict[str, Any], **more: Any) -> Block:
    rows = pa.RecordBatch.from_pydict(columns)
    return Block(more.pop("shard", 0), more.pop("start", 0), rows, rows, more.pop("errors", {}))


def resolved(storage: Storage, allowed: tuple[str, ...], chats: list[Any], **options: Any) -> list[Any]:
    """Each chat's messages as the model gets them, or its row's error."""
    resolver = make_resolver(storage, allowed, **options)
    cells = [chat if chat is None or isinstance(chat, str) else json.dumps(chat) for chat in chats]
    done = list(resolver.resolve([make_block({"messages": cells})]))
    resolver.close()
    return outcome(done)


def outcome(done: list[Any], column: str = "messages") -> list[Any]:
    found: list[Any] = []
    for block in done:
        block.model_rows.validate(full=True)
        for row, cell in enumerate(block.model_rows.column(column).to_pylist()):
            assert cell is None or row not in block.errors
            found.append(block.errors[row] if row in block.errors else None if cell is None else json.loads(cell))
    return found


@pytest.fixture(params=["local", "local threads", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Storage, str, dict]:
    """A storage, an allowed location on it, and options for the resolver."""
    if request.param == "s3":
        server = request.getfixturevalue("s3")
        return Storage(server.settings), f"{server.root}/data", {}
    storage = request.getfixturevalue("storage")
    if request.param == "memory":
        return storage, f"memory://{tmp_path}/data", {}
    return storage, f"{tmp_path}/data", {"fetch_local": request.param == "local threads"}


def test_every_kind_of_file_takes_its_place_beside_text(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    files = {"tom.jpg": PNG, "film": MP4, "song.bin": WAV, "b.mp3": MP3, "é 猫#%20.png": PNG}
    for name, content in files.items():
        storage.write_bytes(f"{root}/{name}", content)
    plain = [{"role": "user", "content": "Hi"}]
    chats = [
        plain,
        user(text("Look:"), image(f"{root}/tom.jpg", detail="low"), video(f"{root}/film"), text("and?")),
        user(audio(f"{root}/song.bin"), audio(f"{root}/b.mp3"), audio(f"{root}/b.mp3", format="wav")),
        None,
        user(image(f"{root}/é 猫#%20.png"), image(f"data:image/gif;base64,{b64(GIF)}"), audio(b64(MP3))),
        plain,
    ]
    assert resolved(storage, (root,), chats, **options) == [
        plain,
        user(text("Look:"), image(png(), detail="low"), video(f"data:video/mp4;base64,{b64(MP4)}"), text("and?")),
        user(audio(b64(WAV), format="wav"), audio(b64(MP3), format="mp3"), audio(b64(MP3), format="wav")),
        None,
        user(image(png()), image(f"data:image/gif;base64,{b64(GIF)}"), audio(b64(MP3), format="mp3")),
        plain,
    ]


def test_many_files_in_one_message_and_one_file_in_many_rows(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    contents = [PNG + os.urandom(100 + number) for number in range(200)]
    for number, content in enumerate(contents):
        storage.write_bytes(f"{root}/{number}.png", content)
    every = user(*(image(f"{root}/{number}.png") for number in range(200)))
    same = user(image(f"{root}/7.png"), image(f"{root}/7.png"))
    limits = ResolverSettings(max_in_flight=8, max_bytes_in_flight=4_000)
    done = resolved(storage, (root,), [every, *[same] * 50, every], limits=limits, **options)
    assert done[0] == done[-1] == user(*(image(png(content)) for content in contents))
    assert done[1:-1] == [user(image(png(contents[7])), image(png(contents[7])))] * 50


def test_a_broken_reference_is_its_rows_error_and_no_other_rows(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/good.png", PNG)
    storage.write_bytes(f"{root}/large.png", PNG * 10)
    storage.write_bytes(f"{root}/empty.png", b"")
    good = user(image(f"{root}/good.png"))
    bad = {
        f"{root}/missing.png": "FileNotFoundError",
        "/etc/passwd": "AccessError",
        "relative.png": "LocationError",
        f"{root}/../x.png": "AccessError",
        "@nothere/x.png": "LocationError",
        f"{root}/large.png": "FileTooLargeError",
        f"{root}/empty.png": "ValueError",
        "memory://elsewhere/x.png": "AccessError",
        "file:///etc/passwd": "AccessError",
        "http://169.254.169.254/latest/meta-data": "AccessError",
        " data:image/png;base64,AAAA": "LocationError",
    }
    limits = ResolverSettings(max_file_bytes=100, backoff=0.01)
    chats = [chat for url in bad for chat in (good, user(image(f"{root}/good.png"), text("a"), image(url)))]
    done = resolved(storage, (root,), chats, limits=limits, **options)
    assert done[::2] == [user(image(png()))] * len(bad)
    assert [(error.type, error.step, error.reference) for error in done[1::2]] == [
        (kind, "resolve", url) for url, kind in bad.items()
    ]


def test_files_that_are_too_large_together_are_a_rows_error(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    for number in range(5):
        storage.write_bytes(f"{root}/{number}.png", PNG)
    limits = ResolverSettings(max_file_bytes=4 * len(PNG))
    enough = user(*(image(f"{root}/{number}.png") for number in range(4)))
    too_many = user(*(image(f"{root}/{number}.png") for number in range(5)))
    again = user(*[image(f"{root}/0.png")] * 1_000)
    done = resolved(storage, (root,), [too_many, enough, again, enough], limits=limits, **options)
    assert [error.type for error in (done[0], done[2])] == ["FileTooLargeError"] * 2
    assert "together" in done[0].message
    assert done[0].reference == f"{root}/4.png"
    assert done[1] == done[3] == user(*[image(png())] * 4)


def test_messages_that_are_none_fail_alone(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/a.png", PNG)
    storage.write_bytes(f"{root}/a.bin", b"???")
    good = user(image(f"{root}/a.png"))
    bad = [
        '[{"role": "user", "content": [{"type": "image_url"',
        user({"type": "image_url", "image_url": {"url": 5}}),
        user({"type": "audio_url", "audio_url": {"url": "http://10.0.0.1/"}}),
        user(audio("a.wav")),
        user(audio(f"{root}/a.bin")),
        user(image("A" * 5_000)),
    ]
    done = resolved(storage, (root,), [good, *bad, good], **options)
    assert done[0] == done[-1] == user(image(png()))
    assert {(error.type, error.step) for error in done[1:-1]} == {("MessagesError", "resolve")}
    assert [error.reference for error in done[1:-1]] == [None, None, None, None, f"{root}/a.bin", None]


def test_text_without_files_passes_untouched(storage: Storage) -> None:
    cells = ['[ {"role":"user","content":"a\\u00e9"} ]', "no messages at all", None, "", '{"a": "\\u0022"}']
    resolver = make_resolver(storage, ())
    (done,) = resolver.resolve([make_block({"messages": cells})])
    assert done.model_rows.column("messages").to_pylist()[:4] == cells[:4]
    assert dict(done.errors).keys() == {4}


def test_escapes_hide_no_reference(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    hidden = json.dumps(user(image(f"{tmp_path}/a.png"))).replace("image_url", "image\\u005furl")
    assert resolved(storage, (str(tmp_path),), [hidden]) == [user(image(png()))]


def test_rows_that_failed_before_are_left_alone(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/a.png", PNG)
    before = RowError("ValueError", "bad", "read", None)
    cells = [json.dumps(user(image(f"{root}/{name}.png"))) for name in ("a", "missing", "missing", "a")]
    resolver = make_resolver(storage, (root,), max_rows=2, **options)
    done = list(resolver.resolve([make_block({"messages": cells}, errors={1: before, 2: before})]))
    resolver.close()
    assert outcome(done) == [user(image(png())), before, before, user(image(png()))]


def test_blocks_are_cut_by_rows_and_by_bytes_and_other_items_keep_their_places(
    place: tuple[Storage, str, dict],
) -> None:
    storage, root, options = place
    content = PNG + bytes(1_000)
    storage.write_bytes(f"{root}/a.png", content)
    chat = user(image(f"{root}/a.png"))
    columns = {"id": list(range(6)), "messages": [json.dumps(chat)] * 6}
    items: list[Any] = ["start", make_block(columns, shard=7, start=100), "end"]
    for cut, sizes in (({"max_rows": 4}, [4, 2]), ({"target_bytes": 2_500}, [2, 2, 2]), ({}, [6])):
        resolver = make_resolver(storage, (root,), **cut, **options)
        done = list(resolver.resolve(items))
        resolver.close()
        assert (done[0], done[-1]) == ("start", "end")
        blocks = done[1:-1]
        assert [block.rows.num_rows for block in blocks] == [block.model_rows.num_rows for block in blocks] == sizes
        assert [block.start for block in blocks] == [100 + sum(sizes[:number]) for number in range(len(sizes))]
        assert pa.Table.from_batches([block.rows for block in blocks]).equals(pa.Table.from_batches([items[1].rows]))
        assert outcome(blocks) == [user(image(png(content)))] * 6


def test_file_columns_and_messages_go_together(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/a.png", PNG)
    handling = {"FILE": ColumnHandling(input_format="full_stage_path", convert_to="raw_bytes")}
    chat = json.dumps(user(image(f"{root}/a.png")))
    lost = json.dumps(user(image(f"{root}/lost.png")))
    columns = {
        "Messages": [chat, lost, chat, '[{"role": "user", "content": "hi"}]'],
        "x": [1, 2, 3, 4],
        "file": [f"{root}/a.png", f"{root}/a.png", f"{root}/gone", None],
    }
    resolver = make_resolver(storage, (root,), handling=handling, messages="Messages", **options)
    block = make_block(columns)
    (done,) = resolver.resolve([block])
    resolver.close()
    assert done.rows.equals(block.rows)
    assert done.model_rows.schema == resolver.model_schema(block.rows.schema)
    assert done.model_rows.schema == pa.schema({"Messages": pa.large_string(), "x": pa.int64(), "file": pa.binary()})
    assert {row: error.reference for row, error in done.errors.items()} == {1: f"{root}/lost.png", 2: f"{root}/gone"}
    assert done.model_rows.column("file").to_pylist() == [PNG, PNG, None, None]
    cells = done.model_rows.column("Messages").to_pylist()
    assert json.loads(cells[0]) == user(image(png()))
    assert json.loads(cells[3]) == [{"role": "user", "content": "hi"}]


def test_links_count_by_where_they_lead(storage: Storage, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (data / "real.png").write_bytes(PNG)
    (data / "in.png").symlink_to(data / "real.png")
    (data / "out.png").symlink_to(tmp_path / "secret.png")
    for fetch_local in (False, True):
        chats = [user(image(f"{data}/{name}.png")) for name in ("in", "out")]
        within, out = resolved(storage, (str(data),), chats, fetch_local=fetch_local)
        assert within == user(image(png()))
        assert out.type == "AccessError"


def test_stage_paths_are_found_in_any_case(s3: Any) -> None:
    storage = Storage(s3.settings)
    storage.write_bytes(f"{s3.root}/a/b.png", PNG)
    chats = [user(image("@DB.Public.BUCKET/a/b.png")), user(image("s3://other/x.png"))]
    found, refused = resolved(storage, (), chats)
    assert found == user(image(png()))
    assert refused.type == "AccessError"


class _Images(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/to-metadata"):
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest")
            self.end_headers()
            return
        self.send_response(200 if self.path == "/cat?size=1" else 404)
        self.send_header("Content-Length", str(len(PNG)))
        self.end_headers()
        self.wfile.write(PNG)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def images() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Images)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_urls_are_read_where_they_are_allowed(storage: Storage, images: str) -> None:
    chats = [user(image(f"{images}{path}")) for path in ("/cat?size=1", "/none", "/to-metadata/cat.png")]
    found, missing, redirected = resolved(storage, (f"{images}/",), chats)
    assert found == user(image(png()))
    assert missing.type == "FileNotFoundError"
    assert redirected.type == "AccessError"
    assert [error.type for error in resolved(storage, (), chats)] == ["AccessError"] * 3


def refused(done: list[Any], place: str) -> bool:
    return all(
        (error.type, error.step) == ("MessagesError", "resolve")
        and error.message.startswith(f"messages[1].content[0].{place}: ")
        for error in done
    )


@pytest.mark.parametrize("name", samples.SCRIPTS)
def test_what_is_no_media_reaches_no_engine_however_it_comes(place: tuple[Storage, str, dict], name: str) -> None:
    storage, root, options = place
    content = samples.SCRIPTS[name]
    files = [f"{root}/a.mp4", f"{root}/a.wav", f"{root}/a.png"]
    for file in files:
        storage.write_bytes(file, content)
    urls = [
        f"data:video/mp4;base64,{b64(content)}",
        f"DATA:image/png;charset=x;BASE64,{b64(content)}",
        f"data:,{quote(content)}",
        f"data:video/mp4;base64,\n{b64(content)}",
        f"data:video/jpeg;base64,{b64(content)}",
    ]
    for part, field in ((image, "image_url.url"), (video, "video_url.url")):
        done = resolved(storage, (root,), [user(part(one)) for one in (*files, *urls)], **options)
        assert len(done) == len(files) + len(urls)
        assert refused(done, field), done
        assert [error.reference for error in done] == [*files, *[None] * len(urls)]
    frames = f"data:video/jpeg;base64,{b64(samples.pictures()['JPEG'])},{b64(content)}"
    assert refused(resolved(storage, (root,), [user(video(frames))], **options), "video_url.url")
    sounds = [audio(one, **more) for one in (*files, b64(content), *urls[:3]) for more in ({}, {"format": "wav"})]
    done = resolved(storage, (root,), [user(one) for one in sounds], **options)
    assert len(done) == len(sounds)
    assert refused(done, "input_audio.data"), done


def test_one_file_may_be_right_for_one_part_and_wrong_for_another(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/a.png", samples.pictures()["JPEG"])
    storage.write_bytes(f"{root}/a.wav", samples.wav())
    picture, sound = f"{root}/a.png", f"{root}/a.wav"
    chats = [user(one) for one in (image(picture), video(picture), audio(picture), audio(sound), image(sound))]
    done = resolved(storage, (root,), chats * 2, **options)
    assert [isinstance(one, RowError) for one in done] == [False, True, True, False, True] * 2


def test_media_of_every_kind_is_let_through_however_it_comes(storage: Storage, tmp_path: Path) -> None:
    chats, films = [], samples.containers() | {kind: samples.animation(kind) for kind in ("GIF", "PNG")}
    for kind, content in films.items():
        (tmp_path / kind).write_bytes(content)
        chats += [user(video(f"{tmp_path}/{kind}")), user(video(f"data:video/x;base64,{b64(content)}"))]
        if kind not in ("GIF", "PNG"):
            chats += [user(audio(f"{tmp_path}/{kind}", format="x")), user(audio(b64(content), format="x"))]
    for kind, content in samples.pictures().items():
        (tmp_path / kind).write_bytes(content)
        chats += [user(image(f"{tmp_path}/{kind}")), user(image(f"data:;base64,{b64(content)}"))]
    (tmp_path / "tagged").write_bytes(samples.mp3(tag=2_000_000))
    jpeg = b64(samples.pictures()["JPEG"])
    chats += [user(audio(f"{tmp_path}/tagged")), user(video(f"data:Video/JPEG;base64,{jpeg},{jpeg},{jpeg}"))]
    done = resolved(storage, (str(tmp_path),), chats)
    assert [one for one in done if isinstance(one, RowError)] == []
    # Content in the messages stays as it is, but for how its type is written, and that of files is the same.
    for chat, one in zip(chats, done, strict=True):
        ((given, *_),), ((made, *_),) = ([message["content"] for message in messages[1:]] for messages in (chat, one))
        kind = given["type"]
        name = "data" if kind == "input_audio" else "url"
        head, _, content = made[kind][name].partition(",")
        if not given[kind][name].startswith(str(tmp_path)):
            assert content == given[kind][name].partition(",")[2]
        else:
            assert base64.b64decode(content or head) == Path(given[kind][name]).read_bytes()
        assert not content or re.fullmatch(r"data:[a-z]+/[a-z0-9.+-]+;base64", head)


def test_data_urls_reach_engines_in_one_form(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    storage.write_bytes(f"{root}/a.png", PNG)
    odd = f"DATA:image/PNG;BASE64,{b64(PNG)[:30]}\n{b64(PNG)[30:].replace('=', '%3D')}"
    broken = f"data:image/png;base64,{b64(PNG)[:40]}?{b64(PNG)[41:]}"
    chats = [user(image(odd)), user(image(odd, detail="low"), text("a"), image(f"{root}/a.png")), user(image(broken))]
    first, second, third = resolved(storage, (root,), chats, **options)
    assert first == user(image(png()))
    assert second == user(image(png(), detail="low"), text("a"), image(png()))
    assert refused([third], "image_url.url")
    assert "is not base64" in third.message


PART = pa.struct(
    {
        "type": pa.string(),
        "text": pa.string(),
        "image_url": pa.struct({"url": pa.string(), "detail": pa.string()}),
        "input_audio": pa.struct({"data": pa.string(), "format": pa.string()}),
    }
)
PLAIN = pa.struct({"role": pa.string(), "content": pa.string(), "name": pa.string()})
PARTS = pa.struct({"role": pa.dictionary(pa.int8(), pa.string()), "content": pa.list_(PART)})


@pytest.mark.parametrize(
    "kind", [pa.list_(PARTS), pa.large_list(PARTS), pa.list_view(PARTS), pa.list_(PARTS, 1)], ids=str
)
def test_structured_parts_become_json_text_with_content(storage: Storage, tmp_path: Path, kind: pa.DataType) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "a.wav").write_bytes(WAV)
    chats = [
        [{"role": "user", "content": [text("see"), image(f"{tmp_path}/a.png"), audio(f"{tmp_path}/a.wav")]}],
        None,
        [{"role": "user", "content": [text("only text")]}],
        [{"role": "user", "content": None}],
    ]
    resolver = make_resolver(storage, (str(tmp_path),))
    (done,) = resolver.resolve([make_block({"messages": pa.array(chats, kind)})])
    resolver.close()
    assert done.model_rows.schema == pa.schema({"messages": pa.large_string()})
    assert outcome([done])[:3] == [
        [{"role": "user", "content": [text("see"), image(png()), audio(b64(WAV), format="wav")]}],
        None,
        [{"role": "user", "content": [text("only text")]}],
    ]
    assert done.errors[3].message == "messages[0].content: must be text or a list of parts (given: None)"


def test_structured_texts_and_maps_become_json_text(storage: Storage) -> None:
    chats = [[{"role": "system", "content": "a"}, {"role": "user", "content": "b"}], None, []]
    maps = [None if chat is None else [list(message.items()) for message in chat] for chat in chats]
    for column in (pa.array(chats, pa.list_(PLAIN)), pa.array(maps, pa.list_(pa.map_(pa.string(), pa.string())))):
        resolver = make_resolver(storage, ())
        (done,) = resolver.resolve([make_block({"messages": column})])
        assert outcome([done])[:2] == chats[:2]
        assert done.errors[2].type == "MessagesError"


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.json_()]
)
def test_every_text_type_holds_messages(storage: Storage, tmp_path: Path, kind: pa.DataType) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    texts = pa.array([json.dumps(user(image(f"{tmp_path}/a.png"))), None])
    column = pa.ExtensionArray.from_storage(kind, texts) if isinstance(kind, pa.JsonType) else texts.cast(kind)
    resolver = make_resolver(storage, (str(tmp_path),))
    (done,) = resolver.resolve([make_block({"messages": column})])
    assert outcome([done]) == [user(image(png())), None]


def test_text_that_is_none_is_its_rows_error(storage: Storage) -> None:
    good, bad = b'[{"role":"user","content":"a"}]', b'[{"role":"user","content":"\xff"}]'
    texts = pa.array([good, bad, None, good], pa.binary()).view(pa.string())
    nested = pa.array([[{"role": b"user", "content": b"a"}], [{"role": b"user", "content": b"\xff"}], None],
                      pa.list_(pa.struct({"role": pa.binary(), "content": pa.binary()})))  # fmt: skip
    struct = nested.values
    strings = pa.StructArray.from_arrays([struct.field(0).view(pa.string()), struct.field(1).view(pa.string())],
                                         names=["role", "content"])  # fmt: skip
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2, 2], pa.int32()), strings)
    for column, failed, rows in ((texts, [1], 4), (lists, [1, 2], 3)):
        resolver = make_resolver(storage, ())
        (done,) = resolver.resolve([make_block({"messages": column})])
        assert done.model_rows.num_rows == rows
        assert sorted(done.errors) == failed
        assert done.errors[1].type == "UnicodeDecodeError"


def test_columns_that_are_no_messages_are_refused(storage: Storage) -> None:
    resolver = make_resolver(storage, ())
    with pytest.raises(SchemaError, match="messages"):
        resolver.model_schema(pa.schema({"a": pa.string()}))
    with pytest.raises(SchemaError, match="int64"):
        resolver.model_schema(pa.schema({"messages": pa.int64()}))


def test_a_stream_left_in_the_middle_leaves_the_resolver_usable(place: tuple[Storage, str, dict]) -> None:
    storage, root, options = place
    for number in range(30):
        storage.write_bytes(f"{root}/{number}.png", PNG)
    blocks = [
        make_block({"messages": [json.dumps(user(image(f"{root}/{number}.png"), image(f"{root}/0.png")))] * 2})
        for number in range(30)
    ]
    resolver = make_resolver(storage, (root,), **options)
    stream = resolver.resolve(blocks)
    next(stream)
    stream.close()
    assert outcome(list(resolver.resolve(blocks))) == [user(image(png()), image(png()))] * 60
    resolver.close()


texts = st.text(max_size=6) | st.sampled_from(
    ["{root}/a.png", "{root}/empty", "{root}/../x", "{root}", "", "@x", "@x/y", "data:", "data:,", "//", "/", "/+AA",
     "A", "data:audio/wav;base64,AA==", "file:/", "http://", "http://[", "http://10.0.0.1/x", "memory://a", "AAAA",
     "\0", "/a\0", "é", "s3://", "s3://b/../k", " ", "x://y::z://"]
)  # fmt: skip
media = st.fixed_dictionaries({}, optional={"url": texts, "data": texts, "format": texts, "detail": texts}) | texts
kinds = ["text", "image_url", "video_url", "input_audio"]
parts = st.fixed_dictionaries({"type": st.sampled_from(kinds)}, optional=dict.fromkeys(kinds, media | st.none())) | (
    st.sampled_from(kinds).flatmap(lambda kind: texts.map(lambda text: {"type": kind, kind: text}))
)
message = st.fixed_dictionaries({"role": st.just("user"), "content": texts | st.lists(parts, min_size=1, max_size=3)})


@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chats=st.lists(st.lists(message, min_size=1, max_size=3), max_size=4), fetch_local=st.booleans())
def test_what_the_resolver_lets_pass_is_ready_for_an_engine(
    storage: Storage, tmp_path: Path, chats: list[Any], fetch_local: bool
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "empty").write_bytes(b"")
    cells = [json.dumps(chat).replace("{root}", str(tmp_path)) for chat in chats]
    resolver = make_resolver(storage, (str(tmp_path),), fetch_local=fetch_local)
    (done,) = resolver.resolve([make_block({"messages": pa.array(cells, pa.string())})])
    resolver.close()
    for row, cell in enumerate(done.model_rows.column("messages").to_pylist()):
        if row in done.errors:
            assert cell is None
            assert done.errors[row].step == "resolve"
        elif may_hold_media(cells[row]):
            assert parse_messages(cell, resolved=True)
        else:
            assert cell == cells[row]
