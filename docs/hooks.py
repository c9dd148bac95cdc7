"""MkDocs hooks: pages from outside docs/, a navigation filled from READMEs, equations.

MkDocs sees every page under its path in the repository, so links work on the site and in the repository alike.
"""

from pathlib import Path

from mathml import Equations
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nav import ROOT, complete, outside


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation; draw equations."""
    config.nav = complete(config.nav or [])
    config.markdown_extensions.append(f"{Equations.__module__}:{Equations.__name__}")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Give every file its path in the repository; URLs omit docs/."""
    added = [File.generated(config, page, abs_src_path=str(ROOT / page)) for page in [*outside(), "CITATION.cff"]]
    return Files([*(_moved(file, config) for file in files), *added])


def _moved(file: File, config: MkDocsConfig) -> File:
    """A file of docs/ under its path in the repository; the theme's own files stay as they are."""
    if file.src_dir != config.docs_dir:
        return file
    docs = Path(config.docs_dir)
    moved = File.generated(config, f"{docs.name}/{file.src_uri}", abs_src_path=str(docs / file.src_uri))
    moved.dest_uri, moved.inclusion = file.dest_uri, file.inclusion
    return moved
