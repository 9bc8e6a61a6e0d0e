-- wrk: POST /jobs, over so many queues and priorities in turn; the payload comes from a file.
dofile(os.getenv("GROWTH_RIVALS") .. "/post.lua")

local queues, priorities = tonumber(os.getenv("GROWTH_QUEUES")), tonumber(os.getenv("GROWTH_PRIORITIES"))
local payload = io.open(os.getenv("GROWTH_PAYLOAD")):read("*a")
local turns, turn, requests = math.max(queues, priorities), 0, {}

function init()
  for n = 0, turns - 1 do
    local queue = queues == 1 and "default" or "queue-" .. n % queues
    local priority = priorities == 1 and 5 or n % priorities
    local head = string.format('{"task":"noop","queue":"%s","priority":%d,"payload":', queue, priority)
    requests[n] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, head .. payload .. "}")
  end
end

function request()
  turn = (turn + 1) % turns
  return requests[turn]
end
