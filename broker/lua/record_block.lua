-- record_block: add or change what is known of a block. Several launchers write the same record, and one of them may be slow.
--
-- ARGV 2 block id, then pairs of field, value
--
-- Returns 'recorded'; 'outdated' if the caller had read the record before the block was cancelled or drained, or its job id was found: that is
-- kept, and the state too if it follows from it; 'over' if the block had ended: it stays as it is, but for a job id that was not known, because
-- the caller may be the only one who knows that the scheduler has such a job.
local B = beat()
if not B then return stale() end
local key, given = 'block:' .. ARGV[2], {}
for i = 3, #ARGV, 2 do given[ARGV[i]] = ARGV[i + 1] end

local function known(name)
  local value = redis.call('HGET', key, name)
  return value and value ~= ''
end

redis.call('SADD', 'blocks', ARGV[2])
if known('ended_at') then
  if (given.job_id or '') ~= '' and not known('job_id') then redis.call('HSET', key, 'job_id', given.job_id) end
  return 'over'
end
-- A writer that has not heard of a worker does not make it unheard.
if given.heard_at == '' then given.heard_at = nil end
local word, keeps_state = 'recorded', false
for _, name in ipairs({'job_id', 'cancelled_at', 'drained_at'}) do
  if given[name] == '' and known(name) then
    given[name], word = nil, 'outdated'
    if name ~= 'drained_at' then keeps_state = true end
  end
end
if keeps_state and (given.ended_at or '') == '' then given.state, given.reason = nil, nil end
for name, value in pairs(given) do redis.call('HSET', key, name, value) end
return word
