from nnunetv2_hypersort.files.text_tables import markdown_table, plain_columns


def test_markdown_is_aligned():
    assert markdown_table(["label", "DSC"], [["liver", "0.9"], ["a|b", "1"]]) == (
        "| label | DSC |\n|-------|-----|\n| liver | 0.9 |\n| a\\|b  | 1   |"
    )


def test_markdown_without_padding():
    assert markdown_table(["label", "n"], [["liver", ""]], aligned=False) == "| label | n |\n|---|---|\n| liver |  |"


def test_plain_columns():
    assert plain_columns([("style", "cases"), ("a", "10")]) == "style  cases\na      10"


def test_a_cell_cannot_break_its_line():
    table = plain_columns([("a\rb\u2028c\n\x1b[2Jd\udcff", "ü e\xa0f")])
    assert table == "a\\rb\\u2028c\\n\\x1b[2Jd\\udcff  ü e\xa0f"
