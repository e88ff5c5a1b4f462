-- enqueue: put jobfiles of one directory into the queue; what is there already stays as it is.
--
-- ARGV 2 batch (repeating a batch returns its first answer), 3 campaign number, 4 directory, 5 '1' for a dry run, 6 '1' to start ended ones again,
--      then for each jobfile: id, name, lane, options of its own header (names, blank between), outputs ('present', 'absent', 'unknown')
--
-- Returns one word per jobfile: 'enqueued', 'already_queued', 'changed' (waits; its options are new), 'already_done', 'failed_before' (ended badly
-- or was cancelled; waits for --again or retry), 'elsewhere <campaign number>' (is active in another campaign: LEASES rule 23).
local B = beat()
if not B then return stale() end
local campaign, dry, again = ARGV[3], ARGV[5] == '1', ARGV[6] == '1'
local batch = 'batch:' .. ARGV[2]
local earlier = redis.call('GET', batch)
if earlier then return cjson.decode(earlier) end

-- It may have been forgotten between the caller's look and now.
if not dry and redis.call('HEXISTS', 'campaign:' .. campaign, 'name') == 0 then
  return redis.error_reply('NOCAMPAIGN campaign ' .. campaign .. ' was forgotten meanwhile')
end

local function directory_number()
  local number = redis.call('HGET', 'directory_numbers', ARGV[4])
  if number or dry then return number end
  number = redis.call('HLEN', 'directories') + 1
  redis.call('HSET', 'directory_numbers', ARGV[4], number)
  redis.call('HSET', 'directories', number, ARGV[4])
  return number
end
local directory = directory_number()

local function decide(id, lane, outputs)
  local v = fields(id, 'state', 'campaign', 'lane')
  local state = v[1]
  if not state then return outputs == 'present' and 'already_done' or 'enqueued' end
  if not ENDED[state] then
    if v[2] ~= campaign then return 'elsewhere ' .. v[2] end
    return (state == 'queued' and v[3] ~= lane) and 'changed' or 'already_queued'
  end
  if again then return 'enqueued' end
  if outputs == 'present' then return 'already_done' end
  if state ~= 'done' then return 'failed_before' end
  return outputs == 'absent' and 'enqueued' or 'already_done'
end

-- An ended jobfile may be enqueued by another campaign: the record, and the count, go over to it.
local function adopt(id)
  local v = fields(id, 'state', 'campaign')
  if v[2] == campaign then return end
  if v[1] then
    redis.call('HINCRBY', 'counts:' .. v[2], v[1], -1)
    redis.call('HINCRBY', 'counts:' .. campaign, v[1], 1)
  end
  redis.call('HSET', 'job:' .. id, 'campaign', campaign)
  redis.call('RPUSH', 'campaign:' .. campaign .. ':jobs', id)
end

local function unskip(id)
  if redis.call('HDEL', 'job:' .. id, 'skipped') == 1 then redis.call('HINCRBY', 'counts:' .. fields(id, 'campaign')[1], 'skipped', -1) end
end

local fresh = 0
local function apply(word, id, name, lane, own)
  local key = 'job:' .. id
  if word == 'enqueued' or word == 'changed' or word == 'already_queued' then
    if own == '' then redis.call('HDEL', key, 'own') else redis.call('HSET', key, 'own', own) end
  end
  if word == 'enqueued' then
    unskip(id)
    adopt(id)
    redis.call('HDEL', key, 'failures', 'losses', 'lost_on', 'loss_counted', 'hand_backs', 'last_token', 'quick_on', 'taken_off', 'worn_out')
    redis.call('HSET', key, 'name', name, 'directory', directory, 'lane', lane, 'queued_at', int(NOW))
    set_state(id, 'queued')
    push_ticket(id, lane, false)
    fresh = fresh + 1
  elseif word == 'changed' then
    redis.call('HSET', key, 'lane', lane)
    push_ticket(id, lane, false)
    fresh = fresh + 1
  elseif word == 'already_done' and fields(id, 'state')[1] ~= 'done' then
    adopt(id)
    archive_attempt(id)
    redis.call('HSET', key, 'name', name, 'directory', directory, 'lane', lane, 'queued_at', int(NOW), 'ended_at', int(NOW), 'ending', 'skipped',
      'reason', 'outputs were there', 'skipped', 1)
    redis.call('HINCRBY', 'counts:' .. campaign, 'skipped', 1)
    set_state(id, 'done')
  end
end

local out, seen = {}, {}
for i = 7, #ARGV, 5 do
  local word = decide(ARGV[i], ARGV[i + 2], ARGV[i + 4])
  if not dry then apply(word, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
  out[#out + 1] = word
  seen[word] = (seen[word] or 0) + 1
end
if dry then return out end
ring(fresh)
redis.call('SET', batch, cjson.encode(out), 'EX', 86400)
event('enqueued', '', 'campaign', campaign, 'enqueued', seen.enqueued or 0, 'changed', seen.changed or 0, 'already_done', seen.already_done or 0)
return out
