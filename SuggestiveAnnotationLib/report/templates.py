"""Templates of pages. All words that are filled in are escaped."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template


def template(name: str, *, package: str = "SuggestiveAnnotationLib.report") -> Template:
    """A template of a package; it may include `style.html` and `macros.html` of this one."""

    def source(wanted: str) -> str:
        return files(package if wanted == name else "SuggestiveAnnotationLib.report").joinpath(wanted).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)
