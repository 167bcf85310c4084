"""YAML as a configuration is written in it: nothing in it may be dropped in silence, and none may grow without end."""

from __future__ import annotations

from typing import Any

import yaml

MOST_VALUES = 100_000
"""Values that a text may stand for, those behind aliases counted each time."""
_LARGEST = 2**64


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Refuses keys that stand twice in a mapping, of which PyYAML takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = dict[tuple[str, str], int]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in seen:
                raise ValueError(f"'{key.value}' stands twice, in lines {seen[name]} and {line}; keep one of them")
            seen[name] = line
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = int(super().construct_yaml_int(node))
        if abs(value) >= _LARGEST:
            raise ValueError(f"the number in line {node.start_mark.line + 1} has too many digits")
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def parse_yaml(text: str) -> Any:
    """Return what a text of YAML holds.

    Raises:
        ValueError: It is not YAML, a key stands twice, or aliases make it grow without end; the text is one line.
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:  # a character that no YAML may hold
        raise ValueError(" ".join(str(error).split())) from error
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count_values(node, {}) > MOST_VALUES:
            raise ValueError(f"its aliases stand for more than {MOST_VALUES:,} values")
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    # PyYAML reads what looks like a date or a number by Python's own means and lets their errors through.
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (LookupError, AttributeError, TypeError) as error:
        raise ValueError("a value does not fit its tag") from error
    finally:
        loader.dispose()


def _count_values(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node stands for; what an alias names is counted wherever it stands.

    Raises:
        ValueError: A node holds itself.
    """
    count = known.get(id(node))
    if count is not None:
        if count == 0:
            raise ValueError(f"what the alias in line {node.start_mark.line + 1} names holds itself")
        return count
    known[id(node)] = 0
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [item for pair in node.value for item in pair]
    known[id(node)] = count = 1 + sum(_count_values(item, known) for item in inner)
    return count
