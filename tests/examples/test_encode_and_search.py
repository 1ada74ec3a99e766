def test_the_nearest_line_of_the_file_is_printed_first(run_example, tiny_export, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("cats eat fish\n\npay your taxes\nthe bread is fresh\n")
    printed = run_example(
        *("encode_and_search.py", "--model", tiny_export, "--texts", texts),
        *("--index", tmp_path / "index", "fresh bread", "taxes"),
    )
    lines = printed.splitlines()
    assert lines[0] == "fresh bread"
    assert lines[1].endswith("the bread is fresh")
    assert lines[4] == "taxes"
    assert lines[5].endswith("pay your taxes")
    assert lines[-1].startswith(f"wrote {tmp_path / 'index'}; next: rejoinder search")
