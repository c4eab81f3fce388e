"""Requests out of bytes: the same in any pieces, within limits, and nothing that two readers could read in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiced.api.http1 import CHUNKED, END, Head, Reader
from undiced.core.errors import InvalidRequestError

HOST = b"Host: localhost\r\n"
MOST = 65536


def read(stream, pieces=None, most=MOST):
    """Everything that a reader makes of a stream, bodies joined."""
    reader, out = Reader(most), []
    for piece in pieces or [stream]:
        reader.feed(piece)
        while (event := reader.next()) is not None:
            if isinstance(event, bytes) and out and isinstance(out[-1], bytes):
                out[-1] += event
            else:
                out.append(event)
    return out


def head(text, most=MOST):
    return read(text + b"\r\n", most=most)[0]


def refusal(stream, most=MOST):
    with pytest.raises(InvalidRequestError) as caught:
        read(stream, most=most)
    return caught.value.status


def post(*lines, version=b"1.1"):
    return b"POST /a HTTP/%b\r\n%b%b\r\n" % (version, HOST, b"".join(line + b"\r\n" for line in lines))


def test_a_head_is_read_as_it_is():
    found = head(b"GET /v1/models/a%2Fb%20c?x=1&y HTTP/1.1\r\n" + HOST + b"X-A:\t b, c \r\nx-a: d\r\n")
    assert (found.method, found.path, found.raw_path, found.query) == (
        *("GET", "/v1/models/a/b c"),
        *(b"/v1/models/a%2Fb%20c", b"x=1&y"),
    )
    assert found.headers == [(b"host", b"localhost"), (b"x-a", b"b, c"), (b"x-a", b"d")]
    assert (found.version, found.length, found.keep_alive, found.continues) == ("1.1", 0, True, False)


@pytest.mark.parametrize(("version", "connection", "goes_on"), [
    (b"1.1", b"", True), (b"1.1", b"close", False), (b"1.1", b"Keep-Alive, Close", False), (b"1.1", b"Upgrade", True),
    (b"1.0", b"", False), (b"1.0", b"keep-alive", True), (b"1.2", b"", True),
])  # fmt: skip
def test_who_ends_the_connection(version, connection, goes_on):
    assert head(b"GET / HTTP/%b\r\n%bConnection: %b\r\n" % (version, HOST, connection)).keep_alive is goes_on


STREAMS = st.lists(
    st.sampled_from(
        [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
            b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            b"POST /d HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\n{}",
            b"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n00A\r\n0123456789\r\n"
            b"0\r\nT: u\r\n\r\n",
        ]
    ),
    min_size=1,
    max_size=4,
).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 500)))
def test_pieces_change_nothing(stream, cuts):
    at = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[a:b] for a, b in zip([0, *at], [*at, len(stream)], strict=True)]
    whole = read(stream)
    assert read(stream, pieces) == whole == read(stream, [stream[i : i + 1] for i in range(len(stream))])
    assert whole.count(END) == sum(isinstance(event, Head) for event in whole) == stream.count(b" HTTP/1.")


@pytest.mark.parametrize("lines", [
    [b"Content-Length: 5", b"Content-Length: 5"], [b"Content-Length: 5, 5"], [b"Content-Length: -1"],
    [b"Content-Length: +5"], [b"Content-Length: 5x"], [b"Content-Length:"], [b"Content-Length: 0x5"],
    [b"Content-Length: 5 5"], [b"Content-Length: \xb2"], [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
    [b"Transfer-Encoding: identity"], [b"Transfer-Encoding: chunked, gzip"], [b"Transfer-Encoding: chunked, chunked"],
    [b"Transfer-Encoding: xchunked"], [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    [b"Transfer-Encoding:"], [b"X: a", b" folded"], [b"X : a"], [b": a"], [b"no colon"], [b"X: a\x00b"],
    [b"X: a\rb"], [b"X: a\nb"], [b"X\x80: a"], [b"Host: localhost"], [b"X: a\x7f"],
])  # fmt: skip
def test_what_two_readers_could_read_in_two_ways_is_refused(lines):
    assert refusal(post(*lines) + b"hello") == 400


def test_transfer_codings_that_are_not_served_are_told_so():
    assert refusal(post(b"Transfer-Encoding: gzip, chunked")) == 501
    assert refusal(post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked")) == 501
    assert refusal(post(b"Transfer-Encoding: chunked", version=b"1.0")) == 400
    assert head(post(b"Transfer-Encoding: Chunked")[:-2]).length == CHUNKED


@pytest.mark.parametrize(("digits", "length"), [
    (b"0", 0), (b"005", 5), (b"00000000000000000000000007", 7), (b"9" * 30, int("9" * 19)),
])  # fmt: skip
def test_lengths_are_whole_numbers(digits, length):
    assert head(post(b"Content-Length: " + digits)[:-2]).length == length


@pytest.mark.parametrize("line", [
    b"GET / HTTP/1.1 ", b"GET  / HTTP/1.1", b"GET /", b"GET / http/1.1", b"GET a HTTP/1.1", b"GET /\xe9 HTTP/1.1",
    b"GET /a b HTTP/1.1", b"G(T / HTTP/1.1", b" GET / HTTP/1.1", b"GET /#a HTTP/1.1", b"GET http:/// HTTP/1.1",
    b"GET * HTTP/1.1", b"GET ftp://a/ HTTP/1.1", b"GET / HTTP/1.x", b"GET http://a@b/ HTTP/1.1",
])  # fmt: skip
def test_request_lines_that_are_none(line):
    assert refusal(line + b"\r\n" + HOST + b"\r\n") == 400


def test_other_versions_and_tunnels_are_told_so():
    assert refusal(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505
    assert refusal(b"GET / HTTP/3.0\r\n\r\n") == 505
    assert refusal(b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n") == 405
    assert head(b"OPTIONS * HTTP/1.1\r\n" + HOST).path == "*"


@pytest.mark.parametrize(
    "start", [b"\x16\x03\x01\x02", b"\x00", b"{", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nHost: a\n"]
)
def test_what_can_become_no_request_is_refused_at_once(start):
    assert refusal(start) == 400


@pytest.mark.parametrize("host", [b"", b"a b", b"a@b", b"a/b", b"[::1", b"a:b", b"a:99999", b"a,b", b"\xe9", b"a\\b"])
def test_hosts_that_are_none(host):
    assert refusal(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host) == 400


def test_one_host_unless_the_version_knows_none():
    assert refusal(b"GET / HTTP/1.1\r\n\r\n") == 400
    assert refusal(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n") == 400
    assert head(b"GET / HTTP/1.0\r\n").headers == []


def test_the_target_s_host_is_the_host():
    found = head(b"GET HTTP://other:80/a?b HTTP/1.1\r\n" + HOST)
    assert (found.headers, found.path, found.query) == ([(b"host", b"other:80")], "/a", b"b")
    assert head(b"GET http://other HTTP/1.1\r\n" + HOST).path == "/"


def test_expectations():
    assert head(post(b"Expect: 100-Continue")[:-2]).continues
    assert not head(post(b"Expect: 100-continue", version=b"1.0")[:-2]).continues
    assert refusal(post(b"Expect: tea")) == 417
    assert refusal(post(b"Expect: 100-continue, tea")) == 417


@pytest.mark.parametrize("step", [1 << 20, 40000, 9])
def test_a_head_may_have_its_limit_and_not_a_byte_more(step):
    start = b"GET / HTTP/1.1\r\n" + HOST + b"X: "
    for size, fits in ((3000, True), (3001, False)):
        stream = start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"
        pieces = [stream[at : at + step] for at in range(0, size, step)]
        if fits:
            assert read(stream, pieces, 3000)[1] == END
        else:
            with pytest.raises(InvalidRequestError) as caught:
                read(stream, pieces, 3000)
            assert caught.value.status == 431


def test_many_headers_and_blank_lines_are_too_large():
    assert head(b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 255)
    assert refusal(b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 256 + b"\r\n") == 431
    assert refusal(b"\r\n" * 2000 + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", 3000) == 431
    assert refusal(b"\r\n" * 2000, 3000) == 431


CHUNKS = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("body", [
    b"x\r\n", b"-1\r\na", b"+1\r\na", b"0x1\r\na", b" 1\r\na", b"1 x\r\na", b"\r\n", b"1\na", b"2\r\nabc", b"1\r\na\n",
    b"1\r\nab\r\n", b"1" * 16 + b"\r\n", b"1;" + b"e" * 1100, b"0\r\n bad\r\n\r\n", b"0\r\nbad\r\n\r\n", b"1;a\nb\r\na",
    b"0\r\na: b\nc: d\r\n\r\n", b"1;\x00\r\na",
])  # fmt: skip
def test_chunks_that_are_none(body):
    assert refusal(CHUNKS + body) == 400


def test_trailers_have_the_head_s_limit_in_any_pieces():
    for line, status in ((b"t: u\r\n", 431), (b"t: " + b"u" * 400 + b"\r\n", 431)):
        assert refusal(CHUNKS + b"0\r\n" + line * 600, 3000) == status
    assert refusal(CHUNKS + b"0\r\nt: " + b"u" * 3001, 3000) == 431
    assert read(CHUNKS + b"2\r\n{}\r\n0\r\n" + b"t: u\r\n" * 499 + b"\r\n", most=3000)[1:] == [b"{}", END]
    with pytest.raises(InvalidRequestError):
        read(b"", [CHUNKS + b"0\r\nt: ", *[b"u" * 100] * 40], 3000)


def test_a_chunk_has_1024_bytes_of_size_and_extensions():
    line = b"1;" + b"a" * 1022
    assert read(CHUNKS + line + b"\r\n \r\n0\r\n\r\n")[1:] == [b" ", END]
    assert refusal(CHUNKS + line + b"a\r\n \r\n0\r\n\r\n") == 400


def test_chunks_must_hold_data():
    assert refusal(CHUNKS + b"1;extension=of-many-bytes\r\na\r\n" * 200, 3000) == 413
    assert read(CHUNKS + b"1\r\na\r\n" * 5000 + b"0\r\n\r\n", most=3000)[1:] == [b"a" * 5000, END]


def test_many_small_chunks_are_read_in_short_turns():
    reader = Reader(MOST)
    reader.feed(CHUNKS + b"1\r\na\r\n" * 5000)
    reader.next()
    assert 0 < len(reader.next()) <= 1024 and reader.held > 10000


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(stream):
    try:
        read(stream)
        read(CHUNKS + stream)
    except InvalidRequestError as error:
        assert error.status in (400, 405, 413, 417, 431, 501, 505)
