-- The health of an S3Orchestrator, a StorageBackend or a VirtualBucket, out of its conditions. Children need no script: our Ready speaks for them.
-- A drain is Progressing here, while Ready stays True: the resource serves, and something is under way.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local function said(kind, otherwise)
  local condition = conditions[kind]
  if condition ~= nil and condition.message ~= nil and condition.message ~= "" then
    return condition.message
  end
  return otherwise
end

local function health(word, message)
  return {status = word, message = message}
end

if obj.metadata.deletionTimestamp ~= nil then
  if holds("DeletionBlocked") then
    return health("Degraded", said("DeletionBlocked", "the deletion is blocked"))
  end
  return health("Progressing", said("DeletionBlocked", "being deleted"))
end
if holds("Paused") then
  return health("Suspended", said("Paused", "paused"))
end
if status.conditions == nil or status.observedGeneration == nil or status.observedGeneration < obj.metadata.generation then
  return health("Progressing", "waiting for the operator")
end
if holds("Stalled") then
  return health("Degraded", said("Stalled", "nothing will change until somebody acts"))
end
if holds("Draining") then
  return health("Progressing", "draining: " .. ((status.drain or {}).summary or "has begun"))
end
if holds("Reconciling") then
  return health("Progressing", said("Reconciling", "at work"))
end
if holds("Ready") then
  if holds("Drained") then
    return health("Healthy", "drained")
  end
  return health("Healthy", said("Ready", "ready"))
end
return health("Degraded", said("Ready", "not ready"))
