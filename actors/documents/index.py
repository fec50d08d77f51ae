"""The searchable index of a device's documents: SQLite FTS5, ranked by BM25.

Rule guarded here: what is searched is what is attested. A passage, its salt and its leaf are
written in one transaction with the signed root; a document that did not change is not touched.
The database may be `:memory:`; its format is versioned and rebuilt when it is not ours.
"""

import hashlib
import math
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pockethive.actors.documents.attestation import Proof, passage_leaf, statement
from pockethive.actors.documents.passages import Passage, plain, split
from pockethive.actors.documents.query import Query, analyse, symbol_token, symbol_tokens
from pockethive.actors.documents.reading import File, find, read
from pockethive.core import merkle
from pockethive.core.errors import DocumentError, Problem, StorageError

SCHEMA_VERSION = 2
MAX_PASSAGES = 500_000
_MATCHES_READ = 20_000  # a word in more passages than this says little
_WEIGHTS = (2.0, 2.0, 1.0, 2.0)  # title, heading, body, symbols
_LEAST_TEXT = 24  # characters of readable text; less is no passage to quote

_FOUND = "s.rowid, d.source, d.size, p.place, d.title, s.heading, s.body"
_FROM = "FROM search s JOIN passages p ON p.id = s.rowid JOIN documents d ON d.id = p.document"
_SCORED = f"SELECT {_FOUND}, -bm25(search, ?, ?, ?, ?) AS score {_FROM} WHERE search MATCH ?"
_UNSCORED = f"SELECT {_FOUND}, 0.0 AS score {_FROM}"
_SCHEMA = """
CREATE TABLE owner (version INTEGER NOT NULL, device TEXT NOT NULL);
CREATE TABLE documents (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, title TEXT NOT NULL,
  size INTEGER NOT NULL, root BLOB NOT NULL, signature BLOB NOT NULL);
CREATE TABLE passages (
  id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  place INTEGER NOT NULL, salt BLOB NOT NULL, leaf BLOB NOT NULL, UNIQUE (document, place));
CREATE VIRTUAL TABLE search USING fts5(
  title, heading, body, symbols, tokenize = 'porter unicode61 remove_diacritics 2');
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who vouches for an index: a device id and its Ed25519 signing function.

    `randbytes` makes the salts that hide the passages which are not quoted.
    """

    device: str
    sign: Callable[[bytes], bytes]
    randbytes: Callable[[int], bytes] = os.urandom


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage found. `bm25`: larger is better. `coverage`: share of the question's information
    (inverse document frequencies) whose terms stand in the passage or its headings, 0 to 1."""

    key: int
    source: str
    size: int  # passages in the document
    passage: Passage
    bm25: float
    coverage: float


class DocumentIndex:
    """Search over one device's documents. Any thread; calls wait for one another."""

    def __init__(self, database: sqlite3.Connection, device: str) -> None:
        self._db = database
        self._busy = threading.RLock()  # one connection: a skill and a checker may both look up
        self.device = device
        self.skipped: tuple[Problem, ...] = ()

    @classmethod
    def build(cls, paths: Sequence[Path], database: Path | str, signer: Signer) -> "DocumentIndex":
        """Open the index at `database` and bring it in line with the files under `paths`.

        Files that cannot be used are listed in `skipped` as long as others can.

        Raises:
            DocumentError: no paths, a missing path, too much text, or not one usable file.
            StorageError: the database cannot be opened or written.
        """
        files = find(paths)
        try:
            index = cls(_open(database, signer.device), signer.device)
            index._update(files, signer)
        except sqlite3.Error as error:
            raise StorageError(
                f"the document index cannot be written: {error}",
                where=str(database),
                cure="delete this file; it is made again from the documents",
            ) from error
        if index.documents == 0:
            index.close()
            raise _nothing_usable(paths, index.skipped)
        return index

    @property
    def documents(self) -> int:
        """Documents in the index."""
        with self._busy:
            return int(self._db.execute("SELECT count(*) FROM documents").fetchone()[0])

    @property
    def passages(self) -> int:
        """Passages in the index."""
        with self._busy:
            return int(self._db.execute("SELECT count(*) FROM passages").fetchone()[0])

    def sources(self) -> tuple[str, ...]:
        """Names of the indexed documents, sorted."""
        with self._busy:
            rows = self._db.execute("SELECT source FROM documents ORDER BY source").fetchall()
        return tuple(str(row[0]) for row in rows)

    def search(self, question: str, limit: int = 8, also: Sequence[int] = ()) -> tuple[Hit, ...]:
        """The passages that fit a question best by BM25, best first; ties go to small documents.

        `also`: keys of others that are wanted, whatever they have in common with the question.
        """
        with self._busy:
            return self._search(question, limit, also)

    def texts(self) -> dict[int, Passage]:
        """All passages that are searched, by key."""
        with self._busy:
            rows = self._db.execute(f"SELECT {_FOUND} {_FROM}").fetchall()
        return {
            key: Passage(index=place, title=title, heading=heading, text=body)
            for key, _, _, place, title, heading, body in rows
        }

    def _search(self, question: str, limit: int, also: Sequence[int]) -> tuple[Hit, ...]:
        query = analyse(question)
        terms = _terms(query)
        if not terms:
            return ()
        matches = {term: self._matching(term) for term in terms}
        weights = self._weights(matches)
        asked = (*_WEIGHTS, " OR ".join(terms))
        rows = self._db.execute(
            f"{_SCORED} ORDER BY score DESC, d.size, d.source, p.place LIMIT ?", (*asked, limit)
        ).fetchall()
        if others := set(also).difference(row[0] for row in rows):
            marks = ",".join(map(str, others))  # whole numbers
            rows += self._db.execute(f"{_SCORED} AND s.rowid IN ({marks})", asked).fetchall()
            marks = ",".join(map(str, others.difference(row[0] for row in rows)))
            rows += self._db.execute(f"{_UNSCORED} WHERE s.rowid IN ({marks})").fetchall()
        total = sum(weights.values())
        return tuple(
            Hit(
                key=key,
                source=source,
                size=size,
                passage=Passage(index=place, title=title, heading=heading, text=body),
                bm25=score,
                coverage=sum(w for term, w in weights.items() if key in matches[term]) / total,
            )
            for key, source, size, place, title, heading, body, score in rows
        )

    def known(self, question: str) -> float:
        """The share of a question's words that stand anywhere in the documents, 0 to 1."""
        terms = _terms(analyse(question))
        with self._busy:
            found = [bool(self._matching(term)) for term in terms]
        return sum(found) / len(found) if found else 0.0

    def prove(self, hit: Hit) -> Proof:
        """The path of a passage under its document's signed root."""
        with self._busy:
            document, place, salt, root, size, signature = self._db.execute(
                "SELECT d.id, p.place, p.salt, d.root, d.size, d.signature FROM passages p"
                " JOIN documents d ON d.id = p.document WHERE p.id = ?",
                (hit.key,),
            ).fetchone()
            rows = self._db.execute(
                "SELECT leaf FROM passages WHERE document = ? ORDER BY place", (document,)
            ).fetchall()
        siblings = merkle.path([row[0] for row in rows], place)
        return Proof(salt=salt, path=siblings, root=root, size=size, signature=signature)

    def pick(self, seed: bytes, count: int, without: Set[int]) -> tuple[Passage, ...]:
        """Passages other than the hits `without`; the same ones for the same seed."""
        with self._busy:
            keys = [row[0] for row in self._db.execute("SELECT rowid FROM search ORDER BY rowid")]
            chosen = random.Random(seed).sample(  # noqa: S311 a choice to repeat, not a secret
                keys, min(len(keys), count + len(without))
            )
            found = []
            for key in [key for key in chosen if key not in without][:count]:
                title, heading, text, place = self._db.execute(
                    "SELECT d.title, s.heading, s.body, p.place FROM search s"
                    " JOIN passages p ON p.id = s.rowid JOIN documents d ON d.id = p.document"
                    " WHERE s.rowid = ?",
                    (key,),
                ).fetchone()
                found.append(Passage(index=place, title=title, heading=heading, text=text))
        return tuple(found)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def __enter__(self) -> "DocumentIndex":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _matching(self, term: str) -> frozenset[int]:
        rows = self._db.execute(
            "SELECT rowid FROM search WHERE search MATCH ? LIMIT ?", (term, _MATCHES_READ)
        )
        return frozenset(row[0] for row in rows)

    def _weights(self, matches: Mapping[str, frozenset[int]]) -> dict[str, float]:
        """Inverse document frequency of each term, as BM25 counts it."""
        total = self.passages
        return {
            term: math.log(1 + (total - len(found) + 0.5) / (len(found) + 0.5))
            for term, found in matches.items()
        }

    def _update(self, files: Sequence[File], signer: Signer) -> None:
        known = {
            source: (key, digest)
            for key, source, digest in self._db.execute("SELECT id, source, digest FROM documents")
        }
        skipped: list[Problem] = []
        kept: set[str] = set()
        with self._db:
            for file in files:
                text = read(file)
                if isinstance(text, Problem):
                    skipped.append(text)
                    continue
                kept.add(file.source)
                digest = hashlib.sha256(text.encode()).digest()
                key, before = known.get(file.source, (None, None))
                if before != digest:
                    self._remove(key)
                    self._add(file.source, digest, split(text, Path(file.source).stem), signer)
            for source in known.keys() - kept:
                self._remove(known[source][0])
        self.skipped = tuple(skipped)

    def _add(self, source: str, digest: bytes, passages: Sequence[Passage], signer: Signer) -> None:
        if not passages:
            return
        if self.passages + len(passages) > MAX_PASSAGES:
            raise DocumentError(
                f"more than {MAX_PASSAGES} passages", where=source, cure="index fewer documents"
            )
        salts = [signer.randbytes(merkle.SALT_SIZE) for _ in passages]
        leaves = [passage_leaf(salt, item) for salt, item in zip(salts, passages, strict=True)]
        root = merkle.root(leaves)
        signature = signer.sign(statement(signer.device, source, len(passages), root))
        document = self._db.execute(
            "INSERT INTO documents (source, digest, title, size, root, signature)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (source, digest, passages[0].title, len(passages), root, signature),
        ).lastrowid
        name = " ".join(Path(source).stem.replace("_", " ").replace("-", " ").split())
        for passage, salt, leaf in zip(passages, salts, leaves, strict=True):
            key = self._db.execute(
                "INSERT INTO passages (document, place, salt, leaf) VALUES (?, ?, ?, ?)",
                (document, passage.index, salt, leaf),
            ).lastrowid
            if len(plain(passage.text)) >= _LEAST_TEXT:
                self._db.execute(
                    "INSERT INTO search (rowid, title, heading, body, symbols)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (
                        key,
                        f"{passage.title} {name}",
                        passage.heading,
                        passage.text,
                        symbol_tokens(passage.text),
                    ),
                )

    def _remove(self, document: int | None) -> None:
        self._db.execute(
            "DELETE FROM search WHERE rowid IN (SELECT id FROM passages WHERE document = ?)",
            (document,),
        )
        self._db.execute("DELETE FROM documents WHERE id = ?", (document,))


def _terms(query: Query) -> list[str]:
    quoted = [f'"{word}"' for word in query.words]
    return quoted + [f'"{symbol_token(run)}"' for run in query.symbols]


def _open(database: Path | str, device: str) -> sqlite3.Connection:
    path = str(database)
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not _is_ours(path, device):
            for name in (path, f"{path}-wal", f"{path}-shm"):
                Path(name).unlink(missing_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level="IMMEDIATE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'owner'").fetchone():
        connection.executescript(_SCHEMA)
        with connection:
            connection.execute("INSERT INTO owner VALUES (?, ?)", (SCHEMA_VERSION, device))
    return connection


def _is_ours(path: str, device: str) -> bool:
    """False when the file is missing, damaged, of another version or of another device."""
    if not Path(path).exists():
        return False
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT version, device FROM owner").fetchone()
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()
    return bool(found == (SCHEMA_VERSION, device))


def _nothing_usable(paths: Sequence[Path], skipped: Sequence[Problem]) -> DocumentError:
    where = ", ".join(str(path) for path in paths)
    if not skipped:
        return DocumentError("no files here", where=where, cure="put text files into it")
    told = "; ".join(str(problem) for problem in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return DocumentError(f"no usable document: {told}{more}", where=where)
