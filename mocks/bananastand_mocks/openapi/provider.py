"""An OpenAPI document of the user's as a provider."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from bananastand.contracts.contract import Contract
from bananastand.contracts.errors import Problem
from bananastand.contracts.operation import Operation
from bananastand.contracts.published import servers
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall, EndpointFunction
from ..kernel.http_request import HttpRequest
from ..kernel.provider import Provider
from ..kernel.world import World
from ..kernel.worlds import Kind
from .answers import Answers, preferences
from .document import DocumentError, compile_contract, read_document
from .errors import refusal
from .listing import list_page
from .patching import JSON_PATCH
from .requests import check_type, credential_of, read_form, regroup_query
from .roles import Collection, Role, find_roles
from .schema_shapes import Shapes, json_media
from .store import Resource, Store
from .upgrade import resolve
from .values import MISSING

__all__ = ["OpenApiProvider"]

RESERVED = frozenset(("w", "lowcodeapi"))
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class OpenApiProvider(Provider):
    """Any API, at /NAME.

    Args:
        path: The OpenAPI document, of version 3.0 or 3.1, in YAML or JSON.
        name: Its name and path; by default the name of the file.

    Raises:
        DocumentError: The document cannot be served, or the name is no part of a path.
    """

    is_checked = False  # examples of real documents do not always fit their own schemas

    def __init__(self, path: Path, name: str = "") -> None:
        self.contract_file = path
        self.document = read_document(path)
        info = self.document["info"]
        self.name = name or _slug(path.stem)
        if not NAME.fullmatch(self.name) or self.name in RESERVED:
            raise DocumentError(f"{path}: {self.name} cannot be its path: add another name, such as {path},shop")
        self.mount = f"/{self.name}"
        self.title, self.summary = str(info["title"]), str(info.get("summary") or info["title"])
        addresses = [urlsplit(_address(server)) for server in self.document.get("servers", [])]
        self.hosts = {address.hostname: self.mount for address in addresses if address.hostname}
        self._bases = tuple(base for address in addresses if (base := address.path.rstrip("/")))
        contract = self.contract
        self._shapes, self._answers = Shapes(contract.document), Answers(contract.document)
        self._roles = find_roles(contract)
        collections = {
            role.collection.template: role.collection for role in self._roles.values() if role.collection is not None
        }
        self._store = Store(self.name, collections, self._shapes, self._examples(contract))
        self.endpoints: Mapping[str, EndpointFunction] = {
            operation.id: self._endpoint(operation) for operation in contract.by_id.values()
        }

    @classmethod
    def from_option(cls, text: str | Path) -> OpenApiProvider:
        """Build it from FILE or FILE,NAME. Raises DocumentError."""
        file, comma, name = str(text).rpartition(",")
        return cls(Path(file), name) if comma and not Path(text).exists() else cls(Path(text))

    @cached_property
    def contract(self) -> Contract:
        """The contract that the document was made into."""
        return compile_contract(self.contract_file, self.document)

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """Refuse a call without a credential where the document wants one; any is right, and none opens a world."""
        call.credential = credential_of(call, self.contract.document) or ""
        return None

    def prepare(self, call: ApiCall) -> None:
        """Read forms and objects in the query."""
        check_type(call)
        if not call.raw:
            call.body = None
        regroup_query(call, self.contract.document, self._shapes)
        read_form(call, self.contract.document, self._shapes)

    def rewrite(self, path: str, query: str, world: World) -> tuple[str, str]:
        """Leave out the path of the document's server address, as clients of the real service send it."""
        for base in self._bases:
            if path.startswith(f"{base}/"):
                return path.removeprefix(base), query
        return path, query

    def early(self, request: HttpRequest) -> ApiResponse | None:
        """Return the document as it was read, but for this server, which comes first."""
        if request.path != "/openapi.json" or request.method != "GET":
            return None
        return ApiResponse({**self.document, "servers": servers(self.document, request.base)})

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Render a problem as the document does."""
        return refusal(call, problem, self._answers)

    def fill(self, world: World, kind: Kind) -> None:
        """Fill nothing: collections are filled when they are first used."""

    def _endpoint(self, operation: Operation) -> EndpointFunction:
        role = self._roles[operation.id]

        def answer(call: ApiCall) -> ApiResponse:
            return self._answer(call, role)

        answer.__qualname__ = f"{role.kind} ({operation.id})"
        return answer

    def _answer(self, call: ApiCall, role: Role) -> ApiResponse:
        if preferences(call):
            return self._answers.respond(call)
        self._store.check_parents(call)
        collection = role.collection
        if collection is None or role.kind == "other":
            return self._answers.respond(call)
        if role.kind == "list":
            return list_page(call, collection, self._store, self._shapes, self._answers)
        body = call.body if isinstance(call.body, dict) else {}
        if role.kind == "change" and call.headers.get("content-type", "").lower().startswith(JSON_PATCH):
            return self._with_resource(call, collection, self._store.patch(call, collection, call.body), is_new=False)
        act = {
            "create": partial(self._store.create, body=body),
            "replace": partial(self._store.replace, body=body),
            "change": partial(self._store.change, body=body),
            "read": self._store.read,
            "remove": self._store.remove,
        }[role.kind]
        resource = act(call, collection)
        return self._with_resource(call, collection, resource, is_new=role.kind == "create")

    def _with_resource(self, call: ApiCall, collection: Collection, resource: Resource, *, is_new: bool) -> ApiResponse:
        """The operation's success, with the resource where its schema has it."""
        response = self._answers.respond(call)
        schema = self._shapes.success(call.operation)
        if is_new and response.status == 201 and collection.id_field in resource:
            path = f"{call.root}{call.target.rstrip('/')}/{resource[collection.id_field]}"
            response.headers.setdefault("location", f"{call.origin}{quote(path, errors='replace')}")
        if isinstance(response.body, dict) and self._shapes.properties(schema):
            place = self._shapes.inner_path(schema, collection.parameter)
            response.body = self._fitting(call, response, place, resource)
        return response

    def _fitting(self, call: ApiCall, response: ApiResponse, place: tuple[str, ...], resource: Resource) -> Any:
        """The body of a response with a resource in its place; fields that do not fit there stay as they were drawn."""
        drawn = response.body
        for name in place:
            drawn = drawn.get(name) if isinstance(drawn, dict) else None
        expected = call.operation.expected(response.status)
        schema = expected.content.get(response.content_type) if expected is not None else None
        body = _placed(response.body, place, resource)
        if schema is None or schema.fits(body):
            return body
        wrong = {violation.field.split(".")[len(place)] for violation in schema.violations("", body)
                 if len(violation.field.split(".")) > len(place)}  # fmt: skip
        healed = {name: value for name, value in resource.items() if name not in wrong}
        if isinstance(drawn, dict):
            healed |= {name: drawn[name] for name in wrong if name in drawn}
        return _placed(response.body, place, healed)

    def _examples(self, contract: Contract) -> dict[str, list[Resource]]:
        """The resources of the document's examples, by the template of their collection."""
        found: dict[str, list[Resource]] = {}
        for operation in contract.by_id.values():
            role = self._roles[operation.id]
            if role.collection is None or role.kind not in ("list", "read") or found.get(role.collection.template):
                continue
            key = next((key for key in operation.statuses if key.startswith("2")), "default")
            media = json_media(resolve(contract.document, operation.spec["responses"].get(key, {})))
            example, schema = self._answers.example(media), self._shapes.success(operation)
            if example is MISSING:
                continue
            is_list = role.kind == "list"
            place = (
                self._shapes.list_path(schema)
                if is_list
                else self._shapes.inner_path(schema, role.collection.parameter)
            )
            for name in place or ():
                example = example.get(name) if isinstance(example, dict) else None
            rows: Sequence[Any] = example if is_list and isinstance(example, list) else [example]
            found[role.collection.template] = [row for row in rows if isinstance(row, dict)]
        return found


def _placed(body: Any, place: tuple[str, ...], resource: Resource) -> Any:
    return {**body, place[0]: _placed(body.get(place[0], {}), place[1:], resource)} if place else dict(resource)


def _address(server: Mapping[str, Any]) -> str:
    """The URL of a server with its variables filled in."""
    address = str(server["url"])
    for name, variable in server.get("variables", {}).items():
        address = address.replace(f"{{{name}}}", str(variable.get("default", "")))
    return address


def _slug(stem: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "api"
