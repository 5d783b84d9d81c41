"""Lua as Argo CD runs it: version 5.1, `obj` as a global; basic functions, table, and require("os") with two functions; nothing else.

https://github.com/argoproj/argo-cd/blob/master/util/lua/lua.go
"""

from __future__ import annotations

import json
from typing import Any

import lupa.lua51
import yaml
from tests.support.repository import ROOT

Object = dict[str, Any]
COMPONENT = ROOT / "config" / "argocd" / "component"

# Argo CD registers its two functions in the wrong global table, so that `os` is nil without require.
_SANDBOX = """
local date, time = os.date, os.time
for _, name in ipairs({"string", "math", "io", "os", "debug", "coroutine", "python"}) do _G[name] = nil end
getmetatable("").__index = nil
package = nil
require = function(name)
  assert(name == "os", "Argo CD has no module " .. name)
  return {date = date, time = time}
end
"""


def run(script: str, resource: Object) -> Any:
    """What the script returns, as JSON knows it. `resource` is not changed."""
    lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.execute(_SANDBOX)
    lua.globals()["obj"] = _to_lua(lua, json.loads(json.dumps(resource)))
    return _from_lua(lua.execute(script))


def health(resource: Object) -> tuple[str, str]:
    """Status and message."""
    told = run((COMPONENT / "health.lua").read_text(), resource)
    return told["status"], told["message"]


def actions(kind: str) -> tuple[str, dict[str, str]]:
    """The script that finds out which actions there are, and that of each action."""
    document = yaml.safe_load((COMPONENT / f"actions-{kind.lower()}.yaml").read_text())
    return document["discovery.lua"], {one["name"]: one["action.lua"] for one in document["definitions"]}


def enabled(resource: Object) -> set[str]:
    """The actions that are offered for this resource as it is."""
    discovery, _ = actions(resource["kind"])
    return {name for name, one in run(discovery, resource).items() if not one["disabled"]}


def act(resource: Object, name: str) -> Object:
    """The resource after an action."""
    changed: Object = _cleaned(run(actions(resource["kind"])[1][name], resource), resource)
    return changed


def _cleaned(new: Any, old: Any) -> Any:
    """As Argo CD does it: an empty list where an object was is taken for that object, as it was before."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: _cleaned(value, old.get(key)) for key, value in new.items()}
    return old if new == [] and isinstance(old, dict) else new


def _to_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: _to_lua(lua, one) for key, one in value.items() if one is not None})
    return lua.table_from([_to_lua(lua, one) for one in value]) if isinstance(value, list) else value


def _from_lua(value: Any) -> Any:
    """An empty table is a list: Lua does not tell, and neither does Argo CD."""
    if lupa.lua51.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys == list(range(1, len(keys) + 1)):
        return [_from_lua(value[key]) for key in keys]
    return {key: _from_lua(value[key]) for key in keys}
