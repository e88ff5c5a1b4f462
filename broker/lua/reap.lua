-- reap: jobfiles whose lease has run out wait again.
--
-- ARGV 2 limit (at most 100: a script must not hold up the renewals of the living)
--
-- Returns {grace_until if it is not over yet, else 0, then id, worker, node of each}. Nothing is reaped within the grace after a gap
-- (LEASES rule 7). When many nodes fall silent at once it is rather the fabric than they: their jobfiles are held for one more lease (rule 22).
local B = beat()
if not B then return stale() end
if NOW < B.grace_until then return {int(B.grace_until)} end

local HOUR = 3600000
local expired = redis.call('ZRANGEBYSCORE', 'leases', '-inf', '(' .. int(NOW), 'LIMIT', 0, 2000)

local nodes, node_of = {}, {}
local silent = 0
for _, id in ipairs(expired) do
  local node = fields(id, 'node')[1]
  node_of[id] = node
  if not nodes[node] then
    nodes[node] = true
    silent = silent + 1
  end
end

local held_before = NOW
if silent >= 5 and silent * 4 >= redis.call('HLEN', 'workers') then
  held_before = NOW - B.lease_ms
  redis.call('HSETNX', 'beat', 'hold_since', int(NOW))
else
  redis.call('HDEL', 'beat', 'hold_since')
end

-- Nodes that were lost within a fifth of a lease (a minute) of each other went for one reason, which is none of the jobfiles'.
redis.call('ZREMRANGEBYSCORE', 'lost_nodes', '-inf', '(' .. int(NOW - B.lease_ms / 5))
for node in pairs(nodes) do redis.call('ZADD', 'lost_nodes', int(NOW), node) end
local together = redis.call('ZCARD', 'lost_nodes') >= 2

-- Its node may come back with the work: while anything else fits it waits for a quarter of what it had run, an hour at most (rule 20).
local function wait_for_return(id, ran_ms)
  redis.call('ZADD', 'returning', int(NOW + math.min(HOUR, ran_ms / 4)), id)
  set_state(id, 'queued')
  ring(1)
end

local function reap(id)
  local v = fields(id, 'worker', 'node', 'claimed_at', 'cancel', 'started_at')
  local key = 'job:' .. id
  local ran_ms = v[5] and NOW - tonumber(v[5]) or 0
  -- It may have started without the broker hearing of it: the next attempt must not take its number.
  mark_started(id, NOW - tonumber(v[3]))
  redis.call('HSET', key, 'ended_at', int(NOW), 'ending', 'lost', 'reason', 'lost with ' .. v[2])
  redis.call('HDEL', key, 'loss_counted')
  if not together then count_loss(id) end
  lose_claim(id)
  if v[4] then
    set_state(id, 'cancelled')
    redis.call('HDEL', key, 'cancel')
  elseif ran_ms > 0 and tonumber(fields(id, 'losses')[1] or '0') < math.max(1, B.max_losses - 1) then
    wait_for_return(id, ran_ms)
  else
    wait(id, true, B.max_losses)
  end
  event('lost', id, 'node', v[2], 'worker', v[1])
end

local out = {'0'}
for _, id in ipairs(expired) do
  if #out >= 1 + 3 * tonumber(ARGV[2]) then break end
  if tonumber(redis.call('ZSCORE', 'leases', id)) < held_before then
    out[#out + 1] = id
    out[#out + 1] = fields(id, 'worker')[1]
    out[#out + 1] = node_of[id]
    reap(id)
  end
end
return out
