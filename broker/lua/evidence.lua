-- evidence: which nodes are bad, by how jobfiles end there and elsewhere; put before the verbs that hear of it (broker/scripts.py; "Bad nodes"
-- in docs/leases.md).
--
-- A *place* is "node block". place:<place> holds what failed quickly there in a row: id -> kind, '#' .. kind -> how many, '#' -> how many in
-- all, 'well' if it has done something well before. A *kind* is "campaign reason", or '-' for what failed elsewhere too and is held against no
-- node. Per campaign, the latest 16 of each: well:<n> "id node", what did well; failing:<n> "place\nreason", where it failed quickly; own:<n>
-- "id reason", what failed quickly on two places, the second of which was well.
local LATELY_MS, DAY_S, WEEK_MS = 3600000, 86400, 604800000
local ROW, ENDS_ELSEWHERE, OWN, AT_MOST = 3, 3, 2, 100

local function note(key, member)
  redis.call('ZADD', key, int(NOW), member)
  redis.call('ZREMRANGEBYRANK', key, 0, -17)
end

local function lately(key) return redis.call('ZRANGEBYSCORE', key, int(NOW - LATELY_MS), '+inf') end

local function node_of(place) return string.match(place, '^(%S*)') end

local function count(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

-- The marks without those of one place, and how many those were.
local function without(marks, mark) return string.gsub(marks, string.gsub(mark, '%W', '%%%0'), '') end

local function is_bad(place) return redis.call('HEXISTS', 'bad_nodes', place) == 1 end

-- Has it been shown that jobfiles of this campaign fail so by themselves?
local function is_own(campaign, reason)
  local ids = {}
  for _, entry in ipairs(lately('own:' .. campaign)) do
    local id, why = string.match(entry, '^(%S+) (.*)$')
    if why == reason then ids[id] = true end
  end
  return count(ids) >= OWN
end

-- Others of the campaign did well on other nodes lately, on more of them than have failed so.
local function is_well_elsewhere(campaign, reason, node)
  local ids, well, failing = {}, {}, {}
  for _, entry in ipairs(lately('well:' .. campaign)) do
    local id, where = string.match(entry, '^(%S+) (.*)$')
    if where ~= node then ids[id], well[where] = true, true end
  end
  for _, entry in ipairs(lately('failing:' .. campaign)) do
    local place, why = string.match(entry, '^([^\n]*)\n(.*)$')
    if why == reason and node_of(place) ~= node then failing[node_of(place)] = true end
  end
  return count(ids) >= ENDS_ELSEWHERE and count(well) > count(failing)
end

-- A failure of a bad node does not count, and its jobfile waits at the head of its lane: the next node shows whose fault it was.
local function take_off(id, mark, max_losses)
  local v = fields(id, 'campaign', 'state', 'quick_on', 'taken_off', 'node', 'block', 'worn_out')
  local left, n = without(v[3] or '', mark)
  if n == 0 then return nil end
  local key, was_final = 'job:' .. id, v[2] == 'failed' and (place_of(v[5], v[6]) == mark or v[7])
  redis.call('HINCRBY', key, 'failures', -n)
  redis.call('HSET', key, 'quick_on', left, 'taken_off', (v[4] or '') .. mark)
  take_off_streak(v[1], id, node_of(string.sub(mark, 2)), was_final)
  if was_final then
    redis.call('HDEL', key, 'worn_out')
    wait(id, true, max_losses)
  elseif v[2] == 'queued' and not redis.call('ZSCORE', 'suspects', id) and not redis.call('ZSCORE', 'returning', id) then
    push_ticket(id, fields(id, 'lane')[1], true)
  end
  return v[1]
end

local function call_bad(place, campaign, reason, max_losses)
  local node, block = string.match(place, '^(%S*) (.*)$')
  local told = redis.call('HGETALL', 'bad_nodes')
  for i = 1, #told, 2 do
    if cjson.decode(told[i + 1]).since < NOW - WEEK_MS then redis.call('HDEL', 'bad_nodes', told[i]) end
  end
  local why = 'jobfiles that do well elsewhere fail here at once: ' .. reason
  redis.call('HSET', 'bad_nodes', place, cjson.encode({since = NOW, kind = campaign .. ' ' .. reason, reason = why}))
  local campaigns, taken = {}, 0
  for _, id in ipairs(redis.call('HKEYS', 'place:' .. place)) do
    local of = string.sub(id, 1, 1) ~= '#' and id ~= 'well' and take_off(id, ';' .. place .. ';', max_losses)
    if of then campaigns[of], taken = true, taken + 1 end
  end
  redis.call('DEL', 'place:' .. place)
  event('node_bad', '', 'node', node, 'block', block, 'campaign', campaign, 'reason', reason, 'taken_off', taken)
  for of in pairs(campaigns) do resume_if_no_longer_due(of) end
end

-- A new chance; what had failed there was forgotten with the verdict.
local function forgive(place, why)
  local node, block = string.match(place, '^(%S*) (.*)$')
  redis.call('HDEL', 'bad_nodes', place)
  ring(1000)
  event('node_forgiven', '', 'node', node, 'block', block, 'reason', why)
end

local function judge(place, campaign, reason, max_losses)
  local row = tonumber(redis.call('HGET', 'place:' .. place, '#' .. campaign .. ' ' .. reason) or '0')
  if row < ROW or is_bad(place) or is_own(campaign, reason) then return end
  if is_well_elsewhere(campaign, reason, node_of(place)) then call_bad(place, campaign, reason, max_losses) end
end

-- Two jobfiles that failed so on two places each, the second of which was well: no node is to blame for it.
local function testify(id, campaign, reason)
  note('own:' .. campaign, id .. ' ' .. reason)
  if not is_own(campaign, reason) then return end
  local told = redis.call('HGETALL', 'bad_nodes')
  for i = 1, #told, 2 do
    if cjson.decode(told[i + 1]).kind == campaign .. ' ' .. reason then forgive(told[i], 'its jobfiles fail on other nodes too') end
  end
end

-- It has failed on another place before: it is held against none.
local function withdraw(id, marks)
  for place in string.gmatch(marks, ';([^;]*);') do
    local kind = redis.call('HGET', 'place:' .. place, id)
    if kind and kind ~= '-' then
      redis.call('HSET', 'place:' .. place, id, '-')
      redis.call('HINCRBY', 'place:' .. place, '#', -1)
      if redis.call('HINCRBY', 'place:' .. place, '#' .. kind, -1) == 0 then
        local campaign, reason = string.match(kind, '^(%S+) (.*)$')
        redis.call('ZREM', 'failing:' .. campaign, place .. '\n' .. reason)
      end
    end
  end
end

local function enter(id, place, kind)
  local key = 'place:' .. place
  if redis.call('HLEN', key) >= AT_MOST or redis.call('HSETNX', key, id, kind) == 0 then return end
  if kind ~= '-' then
    redis.call('HINCRBY', key, '#' .. kind, 1)
    redis.call('HINCRBY', key, '#', 1)
  end
  redis.call('EXPIRE', key, DAY_S)
end

local function is_well(place)
  local v = redis.call('HMGET', 'place:' .. place, 'well', '#')
  return v[1] and (v[2] or '0') == '0'
end

-- A jobfile does well: others that fail may be judged by it.
local function note_doing_well(id, campaign, node, max_losses)
  note('well:' .. campaign, id .. ' ' .. node)
  for _, entry in ipairs(lately('failing:' .. campaign)) do
    local place, reason = string.match(entry, '^([^\n]*)\n(.*)$')
    judge(place, campaign, reason, max_losses)
  end
end

-- It ended well, or has outlived the time within which what fails fails quickly: what failed in a row at this place is forgotten.
local function note_well(id, campaign, node, place, max_losses)
  local key = 'place:' .. place
  if redis.call('HLEN', key) ~= 1 or redis.call('HEXISTS', key, 'well') == 0 then
    redis.call('DEL', key)
    redis.call('HSET', key, 'well', 1)
    redis.call('EXPIRE', key, DAY_S)
  end
  note_doing_well(id, campaign, node, max_losses)
end

-- A jobfile failed, and quickly.
local function note_quick(id, reason, max_losses)
  local v = fields(id, 'campaign', 'node', 'block', 'quick_on', 'taken_off')
  local campaign, mark = v[1], place_of(v[2], v[3])
  local place, before = string.sub(mark, 2, -2), (v[4] or '') .. (v[5] or '')
  redis.call('HSET', 'job:' .. id, 'quick_on', (v[4] or '') .. mark)
  if without(before, mark) == '' then
    enter(id, place, campaign .. ' ' .. reason)
    note('failing:' .. campaign, place .. '\n' .. reason)
  else
    withdraw(id, before)
    enter(id, place, '-')
    if is_well(place) then testify(id, campaign, reason) end
  end
  judge(place, campaign, reason, max_losses)
end

-- Whether enough has failed so on this place that it may be to blame.
local function is_suspect(place, campaign, reason)
  return tonumber(redis.call('HGET', 'place:' .. place, '#' .. campaign .. ' ' .. reason) or '0') >= ROW
end
