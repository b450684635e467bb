"""An OpenAPI 3.1 document from a table of operations and the structs they read and answer with.

spectree makes it. Its decorators stay off the responders: they would read every body again, and
they know one operation per responder, where ours stand behind a token and behind a key alike. So
the table takes the place of a web framework: its rows are the routes spectree goes through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast, get_args, get_origin

import falcon
from spectree import Response, SpecTree
from spectree.model_adapter.msgspec_adapter import MsgspecModelAdapter
from spectree.plugins.base import BasePlugin
from typing_extensions import override

if TYPE_CHECKING:
    from http import HTTPStatus

    from spectree import SecurityScheme, Tag
    from spectree.model_adapter.protocol import SchemaMode

    Json = dict[str, Any]

Security = Sequence[Mapping[str, Sequence[str]]]
"""Alternatives, each the schemes that are needed together; none means that anybody may."""

VERSION: Final = "3.1.0"
ID: Final = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}

_PARAMETER: Final = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes with one status: a body of one of these kinds, or text when there are none.

    `lines` is a media type that it may have instead, with an object in each line.
    """

    kinds: tuple[type, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    """What each header of its own says."""

    lines: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path; a parameter of a path is an id unless `parameters` has its schema."""

    summary: str
    description: str = ""
    tag: Tag
    security: Security = ()
    body: type | None = None
    form: type | None = None
    query: type | None = None
    headers: type | None = None
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    answers: Mapping[HTTPStatus, Answer]


Operations = dict[tuple[str, str], Operation]
"""By method and path, the path written as falcon's router has it."""


def document(
    operations: Operations,
    *,
    schemes: Sequence[SecurityScheme],
    title: str,
    version: str,
    description: str,
) -> dict[str, Any]:
    """Return the document."""
    spectree = SpecTree(
        backend=_Table,
        model_adapter=_Schemas(),  # type: ignore[arg-type]  # its own adapter is narrower, too
        naming_strategy=_name,
        nested_naming_strategy=lambda _parent, child: child,
        annotations=False,
        openapi_version=VERSION,
        security_schemes=list(schemes),
        title=title,
        version=version,
        description=description,
    )
    spectree.register(operations)
    return cast("dict[str, Any]", spectree.spec)


def _name(kind: Any) -> str:  # noqa: ANN401  a class or an alias of a generic one
    """Return `Data_Totals` for `Data[Totals]`, `Data_list_SmppLink` for `Data[list[SmppLink]]`."""
    origin: type = get_origin(kind) or kind
    return "_".join([origin.__name__, *map(_name, get_args(kind))])


def _require_defaults(schema: Json) -> None:
    for name, member in schema.get("properties", {}).items():
        if "default" in member:
            del member["default"]
            schema["required"].append(name)


class _Schemas(MsgspecModelAdapter):
    """msgspec's schemas, under titles without the modules of type arguments.

    What is left out of a body has its default; in an answer it is there.
    """

    @override
    def json_schema(
        self, model: type[Any], *, ref_template: str, mode: SchemaMode = "validation"
    ) -> Json:
        schema = super().json_schema(model, ref_template=ref_template, mode=mode)
        if mode == "serialization":
            for one in (schema, *schema.get("$defs", {}).values()):
                _require_defaults(one)
        return {**schema, "title": _name(model)}


class _Table(BasePlugin[Any]):
    """Stands where spectree expects a web framework."""

    @override
    def register_route(self, app: Operations) -> None:
        self._rows = [(*route, one.parameters, self._described(one)) for route, one in app.items()]

    @override
    def find_routes(self) -> Iterable[Any]:
        return self._rows

    @override
    def bypass(self, func: Callable[[], None], method: str) -> bool:
        return False

    @override
    def parse_path(self, route: Any, _descriptions: object) -> tuple[str, list[Json]]:
        path: str = route[1]
        return path, [
            {"name": n, "in": "path", "required": True, "schema": route[2].get(n, ID)}
            for n in _PARAMETER.findall(path)
        ]

    @override
    def parse_func(self, route: Any) -> list[tuple[str, Callable[[], None]]]:
        method, _, _, documented = route
        return [(method, documented)]

    @override
    def get_func_operation_id(self, func: Callable[[], None], path: str, method: str) -> str:
        # Not shortened: /dashboard/stats and /api/v1/dashboard/stats are two operations.
        words = re.findall(r"\w+", path)
        return "-".join([method.lower(), *words])

    def _described(self, one: Operation) -> Callable[[], None]:
        def operation() -> None:
            raise AssertionError("described, never called")

        operation.__doc__ = f"{one.summary}\n\n{one.description}"
        validate = self.spectree.validate(
            query=one.query,
            json=one.body,
            form=one.form,
            headers=one.headers,
            resp=_Answers(one.answers),
            tags=(one.tag,),
            security=[dict(alternative) for alternative in one.security],
        )
        described: Callable[[], None] = validate(operation)
        return described


class _Answers(Response):
    """The answers of an operation; a status may have several kinds of bodies."""

    def __init__(self, answers: Mapping[HTTPStatus, Answer]) -> None:
        super().__init__()
        self._answers = answers

    @property
    @override
    def models(self) -> list[type]:
        return [kind for answer in self._answers.values() for kind in answer.kinds]

    @override
    def add_model(self, *_: object, **__: object) -> None:
        """Leave out what spectree itself would answer: it is never asked."""

    @override
    def generate_spec(self, naming_strategy: Callable[[Any], str] = _name) -> Json:
        return {
            str(status.value): {
                "description": status.phrase,
                "headers": {
                    name: {"description": text, "schema": {"type": "string"}}
                    for name, text in answer.headers.items()
                },
                "content": {
                    **_content(answer.kinds, naming_strategy),
                    **({answer.lines: {"schema": {"type": "string"}}} if answer.lines else {}),
                },
            }
            for status, answer in self._answers.items()
        }


def _content(kinds: Sequence[type], name: Callable[[type], str]) -> Json:
    schemas = [{"$ref": f"#/components/schemas/{name(kind)}"} for kind in kinds]
    match schemas:
        case []:
            return {"text/plain": {"schema": {"type": "string"}}}
        case [schema]:
            return {falcon.MEDIA_JSON: {"schema": schema}}
        case _:
            return {falcon.MEDIA_JSON: {"schema": {"anyOf": schemas}}}
