"""The notebooks of docs/notebooks: run again, and shown on the site.

`python bench/notebook_page.py` runs each and writes its outputs into it. For mkdocs this is a hook
that makes a page of each, so that what is shown is what was committed.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
TIME_LIMIT = 300  # seconds for a cell


def notebooks() -> list[Path]:
    """All notebooks of the docs."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path) -> Any:
    """Return a notebook with the outputs that it has here, and nothing of when that was."""
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:  # of sockets, which no other user may reach
        sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}
        client = NotebookClient(
            notebook,
            timeout=TIME_LIMIT,
            startup_timeout=TIME_LIMIT,
            record_timing=False,
            config=Config(AsyncKernelManager=sockets),
        )
        client.execute(cwd=folder)
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def markdown(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as the text of a page, and its pictures by file name."""
    parts, pictures = [], {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            if text := "".join(output.get("text", [])):
                parts.append(f"```text\n{text.rstrip()}\n```")
            if picture := output.get("data", {}).get("image/png"):
                file = f"{name}-{len(pictures)}.png"
                pictures[file] = base64.b64decode("".join(picture))
                parts.append(f"![Output of the cell above]({file})")
    download = f"This page is a notebook: [{name}.ipynb]({name}.ipynb)."
    return "\n\n".join([*parts, download, ""]), pictures


def on_files(files: Any, config: Any) -> Any:
    """Give mkdocs a page and the pictures of every notebook."""
    for uri, content in _generated():
        from mkdocs.structure.files import File

        files.append(File.generated(config, uri, content=content))
    return files


def _generated() -> Iterator[tuple[str, str | bytes]]:
    for path in notebooks():
        text, pictures = markdown(json.loads(path.read_text()), path.stem)
        yield f"{FOLDER.name}/{path.stem}.md", text
        yield from ((f"{FOLDER.name}/{file}", content) for file, content in pictures.items())


if __name__ == "__main__":
    import nbformat

    for each in notebooks():
        nbformat.write(executed(each), each)
