#!/usr/bin/env python3
"""The documentation as a site: .ci/book.py [FOLDER] builds it with mdBook and follows every link of it.

It goes into FOLDER, else into a folder that is removed. Says that it was skipped where no mdBook is installed (`cargo install mdbook`).
mdBook itself calls this file as a preprocessor (book.toml): a link to a file of the project that is no page becomes the file's path,
since the site has no such file.
"""

import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

PROJECT = pathlib.Path(__file__).resolve().parent.parent
OUTSIDE = re.compile(r"\[([^\]\[]*)\]\(\.\./([^)\s]*)\)")


def inside(text):
    """The text of a page without links that lead out of docs/."""

    def path(link):
        words, file = link.group(1), link.group(2).partition("#")[0]
        return f"`{file}`" if words.strip("`") in (file, file.rsplit("/", 1)[-1]) else f"{words} (`{file}`)"

    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else OUTSIDE.sub(path, part) for part in parts)


def each(items):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter:
            chapter["content"] = inside(chapter["content"])
            each(chapter["sub_items"])


def preprocess():
    _, book = json.load(sys.stdin)
    each(book.get("items") or book.get("sections") or [])
    json.dump(book, sys.stdout)


def broken(folder):
    """Links of the site that lead nowhere, and how many there are."""
    pages = {page.name: page.read_text(encoding="utf-8") for page in folder.glob("*.html")}
    named = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in pages.items()}
    wrong, count = [], 0
    for name, text in pages.items():
        # the page for printing has all others in one, the other two are frames
        if name in ("print.html", "toc.html", "404.html"):
            continue
        main = text[text.index("<main") : text.index("</main>")]
        for link in map(html.unescape, re.findall(r'href="([^"]+)"', main)):
            if "://" in link or link.startswith("mailto:"):
                continue
            count += 1
            file, _, place = link.partition("#")
            target = urllib.parse.unquote(file) or name
            if not (folder / target).exists():
                wrong.append(f"{name}: {link}: there is no such file")
            elif place and target in named and place not in named[target]:
                wrong.append(f"{name}: {link}: there is no such heading")
    return wrong, count


def main(arguments):
    if "supports" in arguments:
        return 0
    if arguments[:1] == ["preprocess"]:
        preprocess()
        return 0
    mdbook = shutil.which("mdbook")
    if not mdbook:
        print("skipped: the site is built with mdbook, which is not here")
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(arguments[0] if arguments else place).resolve()
        built = subprocess.run([mdbook, "build", "-d", str(folder)], cwd=PROJECT, capture_output=True, text=True)
        told = built.stdout + built.stderr
        if built.returncode != 0 or "WARN" in told or "ERROR" in told:
            print(told, file=sys.stderr)
            return 1
        wrong, count = broken(folder)
    print("\n".join(wrong) or f"book: {count} links of the site lead somewhere", file=sys.stderr if wrong else sys.stdout)
    return 1 if wrong or count < 100 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
