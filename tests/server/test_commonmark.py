"""The 652 examples of CommonMark's specification (https://spec.commonmark.org): each is safe, none loses its text.

The specification is CC BY-SA, so it is not in this repository, and no wheel has it. The examples are in the source
archive of markdown-it-py. pip downloads that, as the other packages, and checks it against Pipfile.lock.
"""

import json
import tarfile
from pathlib import Path

from comment import WHITE_SPACE
from markup import render

from support.html import Document
from support.markdown import is_kept, is_safe
from support.processes import PYTHON, ROOT, run

LOCKED = json.loads((ROOT / "Pipfile.lock").read_text())["develop"]["markdown-it-py"]
DOWNLOAD = ("-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "--require-hashes")


def examples(directory: Path) -> list[str]:
    """What the examples have as Markdown, without white space at the ends, as comment.py takes it."""
    hashes = " ".join(f"--hash={found}" for found in LOCKED["hashes"])
    (directory / "requirements.txt").write_text(f"markdown-it-py{LOCKED['version']} {hashes}")
    done = run([PYTHON, *DOWNLOAD, "--requirement=requirements.txt"], directory)
    assert done.returncode == 0, done.stderr
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        (name,) = (name for name in files.getnames() if name.endswith("/commonmark.json"))
        file = files.extractfile(name)
        assert file
        return [example["markdown"].strip(WHITE_SPACE) for example in json.load(file)]


def test_every_example_is_safe_and_kept(tmp_path: Path) -> None:
    texts = examples(tmp_path)
    assert len(texts) == 652
    documents = {text: Document(render(text)) for text in texts}
    assert [text for text, document in documents.items() if not is_safe(document)] == []
    assert [text for text, document in documents.items() if not is_kept(text, document)] == []
