-- cancel: waiting jobfiles are cancelled at once; running ones get a flag that their holder obeys at its next renewal (LEASES rule 2).
--
-- ARGV 2… ids (at most 100)
--
-- Returns one word per id: 'cancelled', 'asked' (running), 'ended' (nothing to cancel), 'unknown'.
local B = beat()
if not B then return stale() end
local out = {}
for i = 2, #ARGV do
  local id, word = ARGV[i], 'ended'
  local state = fields(id, 'state')[1]
  if not state then
    word = 'unknown'
  elseif state == 'queued' then
    archive_attempt(id)
    set_state(id, 'cancelled')
    redis.call('HSET', 'job:' .. id, 'ended_at', int(NOW), 'reason', 'cancelled by its user')
    event('cancelled', id)
    word = 'cancelled'
  elseif state == 'running' then
    redis.call('HSET', 'job:' .. id, 'cancel', 1)
    word = 'asked'
  end
  out[#out + 1] = word
end
return out
