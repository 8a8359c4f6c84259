"""Turns the roles and equations of the docstrings into Markdown for the reference (an extension of griffe)."""

import re
import textwrap
from typing import Any

import griffe

ROLE = re.compile(r":(\w+):`~?([^`]+)`")
SEVERAL = re.compile(r"^( +)(\w+(?:, \w+)+): (.*(?:\n\1 +\S.*)*)", re.MULTILINE)
EQUATION = re.compile(r"^( *)\.\. math::[ ]?(.*)\n((?:(?:\1 +\S.*)?\n)*)", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites every docstring.

    `:class:` and its kin become links, `:math:` and `.. math::` become MathJax, arguments that share a line
    (`train, test: The sessions.`) get one each, and an example becomes code.
    """

    def on_object(self, *, obj: griffe.Object, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        if obj.docstring is None:
            return
        text = EQUATION.sub(_equation, obj.docstring.value + "\n")
        text = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)
        text = SEVERAL.sub(
            lambda match: "\n".join(f"{match[1]}{name}: {match[3]}" for name in match[2].split(", ")), text
        )
        obj.docstring.value = ROLE.sub(lambda match: _role(match[1], match[2], obj, loader), text).rstrip()


def _equation(match: re.Match[str]) -> str:
    indent, first, rest = match.groups()
    lines = textwrap.dedent(rest).strip()
    if lines:  # an alignment, whose lines are separated by blank ones
        first = r"\begin{aligned}" + re.sub(r"\n\s*\n", r" \\\\[0.6em] ", lines).replace("\n", " ") + r"\end{aligned}"
    return f"{indent}\\[{first.strip()}\\]\n\n"


def _role(role: str, name: str, obj: griffe.Object, loader: griffe.GriffeLoader) -> str:
    if role == "math":
        return f"*{name}*" if len(name) == 1 else rf"\({name}\)"
    text = f"<code>{name.rpartition('.')[2] if name.startswith(('srgnn.', 'torch')) else name}</code>"
    target = _target(name, obj, loader)
    return f'<autoref optional identifier="{target}">{text}</autoref>' if target else text


def _target(name: str, obj: griffe.Object, loader: griffe.GriffeLoader) -> str | None:
    """The full name of the object that a role names; None if it is not part of this project."""
    first, _, rest = name.partition(".")
    try:
        path = name if first == "srgnn" else ".".join(filter(None, [obj.resolve(first), rest]))
        return str(loader.modules_collection[path].canonical_path)
    except (KeyError, griffe.NameResolutionError, griffe.AliasResolutionError):
        return None
