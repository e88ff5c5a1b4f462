-- claim: hand the first waiting jobfile that fits to a new holder, for one lease.
--
-- ARGV 2 token (made by the caller, kept until answered), 3 worker, 4 node, 5 block, 6 free share of the node (0..1),
--      7 share of one slot (for jobfiles without per_node), 8 remaining_s of the block ('' = no end), 9… campaign numbers (none: all)
--
-- Returns {'claimed', safe_ms, id, record (JSON), campaign (JSON)}, {'unfit'} if something waits but nothing fits here, {'empty'},
-- {'again'} if the work was cut short, or {'drain', ''} or {'bad', why} if this node of this block gets nothing more. A token that holds a
-- claim gets the same one back.
--
-- In this order: suspects, if the node is empty; the lanes; then what was lost with its node a short while ago and may come back with it
-- (LEASES rule 20), which becomes an ordinary ticket when its time is over.
local B = beat()
if not B then return stale() end
local token, free, slot_share = ARGV[2], tonumber(ARGV[6]) + 1e-9, tonumber(ARGV[7])
local remaining = ARGV[8] ~= '' and tonumber(ARGV[8]) or math.huge
local bound = {}
for i = 9, #ARGV do bound[ARGV[i]] = true end

-- As JSON, which costs the worker a tenth of what reading dozens of replies does. Names pass through as they are, UTF-8 or not.
local function map_of(key)
  local flat, map = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

local function answer(id)
  local record = map_of('job:' .. id)
  record.directory_path = redis.call('HGET', 'directories', record.directory)
  return {'claimed', int(B.safe_ms), id, cjson.encode(record), cjson.encode(map_of('campaign:' .. record.campaign))}
end

-- A pause for one node leaves a few jobfiles to the others, to see whose fault it is (streak.lua).
local function is_paused(campaign, node)
  local v = redis.call('HMGET', 'campaign:' .. campaign, 'paused', 'paused_for')
  return v[1] and (not v[2] or v[2] == node)
end

local function fits(lane)
  local _, per_node, estimate, campaign = lane_parts(lane)
  if #ARGV >= 9 and not bound[campaign] then return false end
  local share = per_node > 0 and 1 / per_node or slot_share
  if share > free or estimate > remaining then return false end
  return not is_paused(campaign, ARGV[4])
end

local function quarantine(id, losses)
  archive_attempt(id)
  set_state(id, 'quarantined')
  redis.call('HSET', 'job:' .. id, 'ended_at', int(NOW), 'reason', 'lost ' .. losses .. ' times with its node or worker')
  event('quarantined', id, 'losses', losses)
end

local function count_probe(campaign)
  local ledger = 'campaign:' .. campaign
  if not redis.call('HGET', ledger, 'paused_for') then return end
  if redis.call('HINCRBY', ledger, 'probes', -1) <= 0 then redis.call('HDEL', ledger, 'paused_for', 'probes') end
end

local function hold(id, alone)
  archive_attempt(id)
  set_state(id, 'running')
  redis.call('HDEL', 'job:' .. id, 'last_token', 'loss_counted', 'alone', 'outlived')
  if alone then redis.call('HSET', 'job:' .. id, 'alone', 1) end
  redis.call('HSET', 'job:' .. id, 'token', token, 'worker', ARGV[3], 'node', ARGV[4], 'block', ARGV[5], 'claimed_at', int(NOW))
  redis.call('HINCRBY', 'job:' .. id, 'deliveries', 1)
  count_probe(fields(id, 'campaign')[1])
  redis.call('HSET', 'tokens', token, id)
  redis.call('ZADD', 'leases', int(NOW + B.lease_ms), id)
  return answer(id)
end

local held = redis.call('HGET', 'tokens', token)
if held then
  redis.call('ZADD', 'leases', int(NOW + B.lease_ms), held)
  return answer(held)
end
local refusal, why = refusal_of(ARGV[4], ARGV[5])
if refusal ~= '' then return {refusal, why} end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'returning', '-inf', int(NOW), 'LIMIT', 0, 100)) do
  redis.call('ZREM', 'returning', id)
  push_ticket(id, fields(id, 'lane')[1], true)
end

for _, id in ipairs(redis.call('ZRANGE', 'suspects', 0, 99)) do
  local v = fields(id, 'lane', 'losses')
  if fits(v[1]) then
    if tonumber(v[2]) >= B.max_losses then
      quarantine(id, v[2])
    elseif free >= 1 then
      return hold(id, true)
    end
  end
end

local budget = 1000
for _, lane in ipairs(redis.call('ZREVRANGE', 'lanes', 0, -1)) do
  if fits(lane) then
    local id = redis.call('LPOP', 'lane:' .. lane)
    while id do
      local v = fields(id, 'state', 'lane')
      if v[1] == 'queued' and v[2] == lane and not redis.call('ZSCORE', 'suspects', id) and not redis.call('ZSCORE', 'returning', id) then
        return hold(id, false)
      end
      budget = budget - 1
      if budget <= 0 then return {'again'} end
      id = redis.call('LPOP', 'lane:' .. lane)
    end
    redis.call('ZREM', 'lanes', lane)
  end
end
for _, id in ipairs(redis.call('ZRANGE', 'returning', 0, 99)) do
  if fits(fields(id, 'lane')[1]) then return hold(id, false) end
end
for _ = 1, 10 do
  if not redis.call('RPOPLPUSH', 'jobfiles', 'rejected') then break end
  event('rejected', '')
  redis.call('LTRIM', 'rejected', 0, 999)
end
-- What is paused rings when it is resumed: nobody need ask for it meanwhile.
if redis.call('ZCARD', 'suspects') + redis.call('ZCARD', 'returning') > 0 then return {'unfit'} end
for _, lane in ipairs(redis.call('ZRANGE', 'lanes', 0, -1)) do
  local _, _, _, campaign = lane_parts(lane)
  if not is_paused(campaign, nil) then return {'unfit'} end
end
redis.call('DEL', 'bell')
return {'empty'}
