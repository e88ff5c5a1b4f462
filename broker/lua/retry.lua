-- retry: jobfiles that ended badly wait again, with their failures and losses forgiven.
--
-- ARGV 2… ids (at most 100)
--
-- Returns one word per id: 'queued' (now), 'waiting' or 'running' (they are anyway), 'done', 'unknown'.
local B = beat()
if not B then return stale() end
local out = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local state = fields(id, 'state')[1]
  local word = state or 'unknown'
  if state == 'queued' then
    word = 'waiting'
  elseif ENDED[state] and state ~= 'done' then
    redis.call('HDEL', 'job:' .. id, 'failures', 'losses', 'lost_on', 'loss_counted', 'hand_backs', 'last_token', 'cancel',
      'quick_on', 'taken_off', 'worn_out')
    wait(id, false, B.max_losses)
    event('retried', id)
    word = 'queued'
  end
  out[#out + 1] = word
end
return out
