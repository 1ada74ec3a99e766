"""Tables are read as JSON lines, one per row, whatever their format and compression."""

import csv
import hashlib
import io
import itertools
import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import chunks, decompress
from rejoinder.pipelines.dumps.chunks import FileSummary
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.pair_files import delimited
from rejoinder.pipelines.pair_files.extractor import PairFiles, PairOptions
from rejoinder.pipelines.testing import COMPRESS

ROWS = [
    ("a question", "an answer"),
    ('with "quotes", and a comma', "two\nlines"),
    ("naïve 東京 😀", "tab\there"),
]


def read(path, columns=(), *, begin=0, end=None, limit=0, checksum=True):
    """Returns the pairs, the reasons of rejects by row, the counts and the summary of a file."""
    extractor = PairFiles(PairOptions(columns=tuple(columns)))
    summary = FileSummary()
    pairs, rejects, counts = [], {}, {}
    for chunk in extractor.read_chunks(
        str(path),
        summary,
        begin=begin,
        end=end,
        checksum=checksum,
        keep_damaged=False,
        limit=limit,
        progress=lambda stored: None,
    ):
        rows, bad, ended = extractor.read(str(path), chunk, ReadNotes())
        assert rows.height - ended.get("further_pair", 0) + len(bad) + ended["blank_line"] == (
            chunk.lines
        )
        pairs += rows.rows()
        rejects |= {reject.line: reject.reason for reject in bad}
        counts |= ended
    return pairs, rejects, counts, summary


def as_csv(rows, header=("context", "response"), **options):
    text = io.StringIO()
    csv.writer(text, **options).writerows([*([header] if header else []), *rows])
    return text.getvalue().encode()


@pytest.mark.parametrize("ending", COMPRESS)
def test_csv_of_every_compression_is_read(tmp_path, ending):
    path = tmp_path / f"pairs.csv{ending}"
    path.write_bytes(COMPRESS[ending](as_csv(ROWS)))
    pairs, rejects, _, summary = read(path)
    assert (pairs, rejects) == (ROWS, {})
    assert summary.lines == 3
    assert summary.stored_bytes == path.stat().st_size
    assert summary.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_csv_of_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "PAIRS.CSV"
    path.write_bytes(b'\xef\xbb\xbfquestion,id,answer\r\nq,1,"a ""b"""\r\n\r\nr,2,c')
    pairs, rejects, counts, _ = read(path)
    assert (pairs, rejects, counts) == ([("q", 'a "b"'), ("r", "c")], {}, {"blank_line": 1})


def test_csv_with_line_ends_of_old_systems_is_read(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes(b"context,response\ra,b\rc,d\r")
    assert read(path)[0] == [("a", "b"), ("c", "d")]


def test_tsv_keeps_single_quotes_and_removes_enclosing_ones(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text('sentence1\tsentence2\tscore\n"Hi" he said\tsaid "Hi"\t5\n"a ""b"" c"\td\t0\n')
    assert read(path)[0] == [('"Hi" he said', 'said "Hi"'), ('a "b" c', "d")]


@pytest.mark.parametrize(("name", "separator"), [("pairs.csv", ","), ("pairs.tsv", "\t")])
def test_columns_are_read_by_name_or_by_position(tmp_path, name, separator):
    path = tmp_path / name
    path.write_text("\n".join(separator.join(row) for row in [("p", "x", "r"), ("a", "b", "c")]))
    assert read(path, ["r", "p"])[0] == [("c", "a")]
    assert read(path, ["1", "3"])[0] == [("p", "r"), ("a", "c")]
    with pytest.raises(UserError, match=r"has the keys p, x, r, not both p, q"):
        read(path, ["p", "q"])
    with pytest.raises(UserError, match=r"has the keys p, x, r; wanted are set or context"):
        read(path)


def test_a_header_may_consist_of_numbers(tmp_path):
    (tmp_path / "pairs.csv").write_text("2,1\na,b\n")
    assert read(tmp_path / "pairs.csv", ["1", "2"])[0] == [("b", "a")]


def test_a_column_that_occurs_twice_is_an_error(tmp_path):
    (tmp_path / "pairs.csv").write_text("context,response,context\na,b,c\n")
    with pytest.raises(UserError, match="has two columns 'context'; rename one"):
        read(tmp_path / "pairs.csv")


def test_rows_that_cannot_be_read_are_rejected_one_by_one(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes(
        b"context,response\na,b\nan unquoted, comma,c\nalone\n\xff,d\ne,\x00\nf,\n"
        b'"g"h,i\nj,k\n"never closed,l\nm,n\n'
    )
    pairs, rejects, _, summary = read(path)
    assert pairs == [("a", "b"), ("j", "k")]
    assert rejects == {
        2: "wrong_number_of_fields",
        3: "wrong_number_of_fields",
        4: "invalid_utf8",
        5: "nul",
        6: "empty_text",
        7: "broken_row",
        9: "broken_row",
    }
    assert summary.lines == 9


def test_a_quote_that_is_never_closed_takes_only_the_length_limit_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_MAX_ROW_CHARS", 1000)
    path = tmp_path / "pairs.csv"
    rows = [f"context {number},response {number}" for number in range(200)]
    rows[3] = f'"{rows[3]}'
    path.write_text("\n".join(["context,response", *rows, "x" * 5000]))
    pairs, rejects, _, _ = read(path)
    assert len(pairs) > 150
    assert set(rejects.values()) == {"line_too_long", "wrong_number_of_fields"}


@pytest.mark.parametrize("text", ["", "\n\n", "context,response\n"])
def test_a_table_without_rows_gives_no_pairs(tmp_path, text):
    (tmp_path / "pairs.csv").write_text(text)
    assert read(tmp_path / "pairs.csv")[0] == []


def test_parquet_is_read_by_its_content(tmp_path):
    path = tmp_path / "train-00000-of-00001"
    frame = pl.DataFrame(ROWS, ["context", "response"], orient="row")
    frame.with_columns(id=pl.lit(1)).write_parquet(path, row_group_size=2)
    pairs, rejects, _, summary = read(path)
    assert (pairs, rejects) == (ROWS, {})
    assert summary.stored_bytes == path.stat().st_size
    assert summary.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_parquet_may_hold_lists_categories_and_nulls(tmp_path):
    path = tmp_path / "pairs.parquet"
    table = pa.table(
        {
            "query": pa.array(["a", "b", None]).dictionary_encode(),
            "pos": [["c", "d"], ["e"], ["f"]],
            "neg": [["x"], [], None],
        }
    )
    pq.write_table(table, path)
    pairs, rejects, counts, _ = read(path)
    assert pairs == [("a", "c"), ("a", "d"), ("b", "e")]
    assert rejects == {3: "wrong_type"}
    assert counts["further_pair"] == 1
    pq.write_table(pa.table({"set": [["a", "b"], ["c"]]}), path)
    assert read(path)[:2] == ([("a", "b")], {2: "not_a_pair"})


def test_parquet_that_holds_no_pairs_is_an_error(tmp_path):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"prompt": ["a"], "n": [1]}), path)
    with pytest.raises(UserError, match=r"has the keys prompt, n; wanted are set or context"):
        read(path)
    with pytest.raises(UserError, match="the column 'n' holds int64, not text"):
        read(path, ["prompt", "n"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"pairs\.parquet: cannot be read as Parquet"):
        read(path)
    path.write_bytes(b"\x1f\x8b")
    with pytest.raises(UserError, match=r"is not a Parquet file; if it is compressed, decompress"):
        read(path)


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.csv", "pairs.parquet"])
def test_workers_that_share_a_file_read_each_row_once(tmp_path, monkeypatch, name):
    monkeypatch.setitem(chunks.cut_chunks.__kwdefaults__, "chunk_bytes", 2000)
    monkeypatch.setitem(chunks.read_chunks.__kwdefaults__, "chunk_bytes", 2000)
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 500)
    monkeypatch.setattr(decompress, "_MAX_OUTPUT", 5000)
    rows = [(f"context {number}", f"response {number} " * 20) for number in range(2000)]
    path = tmp_path / name
    if name == "pairs.parquet":
        frame = pl.DataFrame(rows, ["context", "response"], orient="row")
        frame.write_parquet(path, row_group_size=100, compression="uncompressed")
    elif name == "pairs.csv":
        path.write_bytes(as_csv(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    size = path.stat().st_size
    bounds = [0, size // 3, size // 2, None]
    parts = [
        read(path, begin=begin, end=end, checksum=end is None)
        for begin, end in itertools.pairwise(bounds)
    ]
    assert [pair for pairs, *_ in parts for pair in pairs] == rows
    assert all(pairs for pairs, *_ in parts)
    assert parts[-1][3].lines == 2000
    assert len(read(path, limit=150)[0]) == 150
