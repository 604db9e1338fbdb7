"""What makes a file no YAML, in words for somebody who has never read its specification."""

import re

import yaml

from bridge.config.faults import Fault

_FORBIDDEN = re.compile(r"found character '(.+)' that cannot start any token")
_INDENTED = ("'<block mapping start>'", "'<block sequence start>'", "'-'", "'?'")
"""What stands where a group should end: settings and entries that are indented unlike those before them."""

_TAB = "a tab stands here, and YAML is indented with spaces alone"
_INDENTATION = "this line is not indented like the lines that it belongs to"
_NOT_HERE = "no setting can stand here: is the line indented like those above, has each setting a space after ':', and "
_NOT_HERE += "is a value with ': ' in quotes?"
_UNMARKED = "this line has no setting: 'name: value', with a space after the ':'"
_UNCLOSED_QUOTE = "the quotation mark that begins here is never closed"
_UNCLOSED_LIST = "the bracket that opens here is not closed, or a comma is missing in between"
_QUOTE_IT = "a value that begins with '*', '&' or '!' must be put in quotes"
_PART_QUOTED = "something follows that does not belong here: put the whole value in quotes"


def syntax_fault(error: yaml.YAMLError) -> Fault:
    """One fault, with its line. YAML's own words may quote a password, and so are never repeated as they are."""
    mark = _mark(error)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return Fault(path="", message="not valid YAML: it has characters that no text has")
    return Fault(path="", message=f"not valid YAML: {_problem(error)} (column {mark.column + 1})", line=mark.line + 1)


def _mark(error: yaml.YAMLError) -> yaml.Mark | None:
    """Where the mistake was made; what never ends is noticed far behind that."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return None
    begins = str(error.context).endswith(("simple key", "quoted scalar", "flow sequence", "flow mapping"))
    return error.context_mark if begins and error.context_mark is not None else error.problem_mark


def _problem(error: yaml.MarkedYAMLError) -> str:
    context, problem = str(error.context), str(error.problem)
    if forbidden := _FORBIDDEN.match(problem):
        sign = forbidden[1]
        return _TAB if sign == r"\t" else f"a value that begins with '{sign}' must be put in quotes"
    if any(word in problem for word in ("alias", "anchor", "tag")) or "anchor" in context:
        return _QUOTE_IT
    if "scalar" in context and "end of stream" in problem:
        return _UNCLOSED_QUOTE
    return _misplaced(context, problem)


def _misplaced(context: str, problem: str) -> str:
    """Something stands where something else has to."""
    if "escape" in problem:
        return r"write \ twice between double quotes, or use single quotes"
    if context.endswith("simple key"):
        return _UNMARKED
    if "flow" in context:
        return _UNCLOSED_LIST
    if "mapping values" in problem:
        return _NOT_HERE
    return _INDENTATION if problem.endswith(_INDENTED) else _PART_QUOTED
