"""Files become exact texts, texts become passages that are slices of them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors.documents.corpus import write_corpus
from pockethive.actors.documents.passages import LARGEST, plain, split
from pockethive.actors.documents.reading import MAX_FILE_BYTES, File, find, read
from pockethive.core.errors import DocumentError, Problem

GUIDE = """# Coffee machine

Fill the tank before the first cup. The lamp turns green when the water is hot.

## Cleaning

descale(minutes)

   Run the descaler through the machine. It takes the given number of minutes.

   Rinse twice afterwards, or the coffee tastes of vinegar for a day or more, as many have found.

+--------+------------------------------+
| Lamp   | Meaning                      |
+========+==============================+
| red    | The tank is empty and has to |
|        | be filled.                   |
+--------+------------------------------+
| blue   | Descale the machine soon.    |
+--------+------------------------------+
"""


def only(path: Path) -> str | Problem:
    (file,) = find([path])
    return read(file)


def test_a_markdown_guide_splits_under_its_headings_terms_and_table_rows() -> None:
    passages = split(GUIDE, "guide")
    told = [(p.title, p.heading, plain(p.text)) for p in passages]
    assert told[0][:2] == ("Coffee machine", "Coffee machine")
    assert told[0][2].startswith("Fill the tank before the first cup.")
    assert told[1][1] == "descale(minutes)"
    assert told[1][2].startswith("descale(minutes) Run the descaler")
    assert ("Coffee machine", "Cleaning", "blue Descale the machine soon.") in told
    assert any("The tank is empty and has to be filled." in text for _, _, text in told)


def test_reading_a_slice_leaves_drawn_lines_out() -> None:
    assert plain("one\n\n======\n\ntwo -- three") == "one two -- three"
    assert plain("| a | b |\n+---+---+\n| c | d |") == "a b c d"


def test_a_rst_heading_is_a_title_and_a_text_without_one_is_called_by_its_file() -> None:
    rst = "Bridges\n*******\n\nA bridge carries a road over water and has stood here since 1910.\n"
    assert split(rst, "x")[0].title == "Bridges"
    assert split("Just one paragraph of text, without any heading.", "notes")[0].title == "notes"


@given(st.text(alphabet=st.sampled_from("ab .\n#=-*|+`:\té"), max_size=400))
def test_every_passage_is_a_slice_in_order(text: str) -> None:
    at = 0
    for number, passage in enumerate(split(text, "t")):
        assert passage.index == number
        assert passage.text.strip()
        at = text.index(passage.text, at) + len(passage.text)


def test_a_text_without_sentences_is_still_cut_into_bounded_passages() -> None:
    passages = split("word " * 4000, "t")
    assert len(passages) > 5
    assert max(len(p.text) for p in passages) <= 2 * LARGEST


def test_the_shipped_corpus_splits_without_losing_words(tmp_path: Path) -> None:
    folders = write_corpus(tmp_path)
    before = {path: path.stat().st_mtime_ns for folder in folders for path in folder.iterdir()}
    assert len(folders) == 3
    assert len(before) > 60
    text = next(p for p in before if p.name == "string-methods.txt").read_text()
    kept = " ".join(plain(p.text) for p in split(text, "x")).split()
    assert len(kept) > 0.97 * len(plain(text).split())
    write_corpus(tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_sources_are_relative_and_hidden_files_stay_out(tmp_path: Path) -> None:
    for name in ("a.txt", "sub/b.md", ".secret", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("words of some kind")
    assert [file.source for file in find([tmp_path])] == ["a.txt", "sub/b.md"]


def test_equal_names_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.txt").write_text(folder)
    found = find([tmp_path / "one", tmp_path / "two"])
    assert [file.source for file in found] == ["notes.txt", "two/notes.txt"]


def test_links_in_a_circle_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("words")
    (tmp_path / "loop.md").symlink_to("loop.md")
    assert [file.source for file in find((tmp_path,))] == ["a.md"]


def test_a_link_out_of_the_folder_is_left_out(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "private.txt").write_text("private words")
    (inside / "mine.txt").write_text("shared words")
    (inside / "link.txt").symlink_to(tmp_path / "private.txt")
    assert [file.source for file in find([inside])] == ["mine.txt"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"  \n\t", "empty"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "not UTF-8"),
        (b"text\0text", "binary"),
        (b"x" * (MAX_FILE_BYTES + 1), "at most"),
    ],
)
def test_a_file_that_is_no_text_is_a_problem_with_place_and_cure(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    problem = only(path)
    assert isinstance(problem, Problem)
    assert problem.where == str(path)
    assert reason in problem.what
    assert problem.cure


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "locked.txt"
    path.write_text("words")
    path.chmod(0)
    problem = only(path)
    assert isinstance(problem, Problem)
    assert "cannot be read" in problem.what


def test_a_file_that_vanished_is_a_problem(tmp_path: Path) -> None:
    problem = read(File(path=tmp_path / "gone.txt", source="gone.txt"))
    assert isinstance(problem, Problem)
    assert "cannot be read" in problem.what


def test_line_ends_and_byte_order_marks_are_evened(tmp_path: Path) -> None:
    path = tmp_path / "dos.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree")
    assert only(path) == "one\ntwo\nthree"


def test_a_name_that_is_not_text_becomes_one(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("words of some kind")
    assert [file.source for file in find([tmp_path])] == ["caf\ufffd.txt"]


def test_no_path_and_a_missing_path_say_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no documents were given"):
        find([])
    with pytest.raises(DocumentError, match="does not exist"):
        find([tmp_path / "nowhere"])


def test_a_first_heading_is_the_title_even_where_another_follows_at_once() -> None:
    passages = split("# Register of Norby\n\n## Entry 1\n\nA lamp.\n\n## Entry 2\n\nA bell.\n", "x")
    assert [(each.title, each.heading) for each in passages] == [
        ("Register of Norby", "Entry 1"),
        ("Register of Norby", "Entry 2"),
    ]
