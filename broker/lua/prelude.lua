-- prelude: what the verbs share; put in front of each of them by broker/scripts.py. broker/keys.py is the map of the keys.
--
-- ARGV[1] is the clock in every script: '' for the server's own; only tests and the simulator hand over another time (ms).
-- A script is not rolled back when it fails: each decides first and writes last.

local function server_ms()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local NOW = server_ms()

-- Lua prints large numbers as 1.7e+12.
local function int(n) return string.format('%.0f', n) end

-- The gate (LEASES rule 8): without a fresh beat nothing may happen here. nil: refuse.
local function beat()
  local v = redis.call('HMGET', 'beat', 'at', 'lease_ms', 'fresh_ms', 'max_losses', 'grace_until', 'counter', 'margin_ms', 'quick_ms')
  if not v[1] then return nil end
  local age = NOW - tonumber(v[1])
  if age < 0 or age >= tonumber(v[3]) then return nil end
  -- safe_ms: how long after it asked a holder may let its jobfile run without hearing more (LEASES rule 10).
  return {lease_ms = tonumber(v[2]), safe_ms = tonumber(v[2]) - tonumber(v[7]), fresh_ms = tonumber(v[3]), max_losses = tonumber(v[4]), grace_until = tonumber(v[5]), counter = v[6],
    quick_ms = tonumber(v[8] or '60000')}
end

local function stale() return redis.error_reply('STALE the supervisor has not beaten lately') end

local function fields(id, ...) return redis.call('HMGET', 'job:' .. id, ...) end

local function event(name, id, ...) redis.call('XADD', 'events', '*', 'event', name, 'at', int(NOW), 'id', id, ...) end

local function ring(times)
  for _ = 1, math.min(times, 1000) do redis.call('RPUSH', 'bell', '1') end
  redis.call('LTRIM', 'bell', -1000, -1)
end

-- Beside the lanes, what waits may stand in one of two zsets; as soon as it waits there no more it is in neither.
local function leave_sidings(id)
  redis.call('ZREM', 'suspects', id)
  redis.call('ZREM', 'returning', id)
end

local ENDED = {done = true, failed = true, quarantined = true, cancelled = true}

-- The one place where a state changes: the record, the campaign's counts and the index of bad ends stay together.
local function set_state(id, to)
  local v = fields(id, 'state', 'campaign')
  local from, campaign = v[1], v[2]
  if from == to then return end
  if from == 'queued' then leave_sidings(id) end
  if from then redis.call('HINCRBY', 'counts:' .. campaign, from, -1) end
  redis.call('HINCRBY', 'counts:' .. campaign, to, 1)
  if ENDED[from] then redis.call('ZREM', 'ended:' .. from, id) end
  if ENDED[to] and to ~= 'done' then redis.call('ZADD', 'ended:' .. to, int(NOW), id) end
  redis.call('HSET', 'job:' .. id, 'state', to)
end

-- A lane's name says what a claim must know of it: priority.per_node.estimate_s.campaign
local function lane_parts(lane)
  local p, n, e, c = string.match(lane, '^(%d+)%.(%d+)%.(%d+)%.(%d+)$')
  return tonumber(p), tonumber(n), tonumber(e), c
end

local function push_ticket(id, lane, head)
  redis.call(head and 'LPUSH' or 'RPUSH', 'lane:' .. lane, id)
  local priority, _, estimate, campaign = lane_parts(lane)
  redis.call('ZADD', 'lanes', int(priority * 1e12 + estimate * 1e5 + 99999 - tonumber(campaign) % 1e5), lane)
end

local function drop_lease(id, token)
  redis.call('ZREM', 'leases', id)
  redis.call('HDEL', 'tokens', token)
  redis.call('HDEL', 'job:' .. id, 'token')
end

-- The holder itself ends its claim: repeating that must change nothing, and nobody may take it back.
local function end_claim(id, token)
  drop_lease(id, token)
  redis.call('HDEL', 'job:' .. id, 'last_token')
  redis.call('HSET', 'job:' .. id, 'settled_token', token)
end

-- The lease ran out: until somebody else starts the jobfile its holder may take it back or settle it late (LEASES rule 3).
local function lose_claim(id)
  local token = fields(id, 'token')[1]
  drop_lease(id, token)
  redis.call('HSET', 'job:' .. id, 'last_token', token)
end

-- Into the queue again. One loss from the limit it is a suspect: it waits apart, for a node of its own (see claim), because whatever runs
-- beside a jobfile that takes its node down is lost with it each time.
local function wait(id, head, max_losses)
  set_state(id, 'queued')
  leave_sidings(id)
  local v = fields(id, 'lane', 'losses')
  if tonumber(v[2] or '0') >= math.max(1, max_losses - 1) then
    redis.call('ZADD', 'suspects', int(NOW), id)
  else
    push_ticket(id, v[1], head)
  end
  ring(1)
end

local function place_of(node, block) return ';' .. (node or '') .. ' ' .. (block or '') .. ';' end

-- Whether a node of a block is given nothing more, and why: 'drain', 'bad', or ''.
local function refusal_of(node, block)
  local v = redis.call('HMGET', 'block:' .. block, 'drained_at', 'cancelled_at')
  -- A node of a cancelled block that its scheduler could not reach has not heard of it, and may be somebody else's by now.
  if (v[1] or '') ~= '' or (v[2] or '') ~= '' then return 'drain', '' end
  local bad = redis.call('HGET', 'bad_nodes', node .. ' ' .. block)
  if bad then return 'bad', cjson.decode(bad).reason end
  return '', ''
end

-- A loss counts against the jobfile once for each node of each block (LEASES rule 21): a bad node must not use up its chances alone.
local function count_loss(id)
  local v = fields(id, 'node', 'block', 'lost_on')
  local place = place_of(v[1], v[2])
  if string.find(v[3] or '', place, 1, true) then return end
  redis.call('HSET', 'job:' .. id, 'lost_on', (v[3] or '') .. place, 'loss_counted', 1)
  redis.call('HINCRBY', 'job:' .. id, 'losses', 1)
end

-- It came back after all: what its last reaping counted is taken off again.
local function forgive_loss(id)
  if redis.call('HDEL', 'job:' .. id, 'loss_counted') == 0 then return end
  redis.call('HINCRBY', 'job:' .. id, 'losses', -1)
  local v = fields(id, 'node', 'block', 'lost_on')
  local place = place_of(v[1], v[2])
  redis.call('HSET', 'job:' .. id, 'lost_on', string.sub(v[3], 1, #v[3] - #place))
end

-- A start is counted once, when the broker first hears of it; age_ms is how long it has run by then.
local function mark_started(id, age_ms)
  if fields(id, 'started_at')[1] then return end
  local attempt = redis.call('HINCRBY', 'job:' .. id, 'attempt', 1)
  redis.call('HSET', 'job:' .. id, 'started_at', int(NOW - age_ms))
  local v = fields(id, 'node', 'block', 'worker')
  event('started', id, 'attempt', attempt, 'node', v[1] or '', 'block', v[2] or '', 'worker', v[3] or '')
end

-- What is said of an attempt while it is the latest; moved to `attempt:<n>` when the next one begins.
local OF_ATTEMPT = {'node', 'block', 'worker', 'started_at', 'ended_at', 'ending', 'exit_code', 'signal', 'reason', 'elapsed_ms', 'cpu_s', 'max_rss_mb',
  'fingerprint'}

local function archive_attempt(id)
  local v = fields(id, 'attempt', unpack(OF_ATTEMPT))
  local number, kept = v[1], {}
  local has_started = false
  for i, name in ipairs(OF_ATTEMPT) do
    if v[i + 1] then kept[name] = v[i + 1] end
    if name == 'started_at' and v[i + 1] then has_started = true end
  end
  if has_started then redis.call('HSET', 'job:' .. id, 'attempt:' .. number, cjson.encode(kept)) end
  redis.call('HDEL', 'job:' .. id, unpack(OF_ATTEMPT))
end
