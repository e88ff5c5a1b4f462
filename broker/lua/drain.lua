-- drain: blocks whose workers are given nothing more; what runs there goes on, and then they leave.
--
-- ARGV 2… block ids (at most 100)
--
-- Returns one word per block: 'draining' (now), 'already', 'over' (it has ended), 'unknown'.
local B = beat()
if not B then return stale() end
local out, rung = {}, false
for i = 2, #ARGV do
  local key, word = 'block:' .. ARGV[i], 'draining'
  local v = redis.call('HMGET', key, 'drained_at', 'ended_at')
  if redis.call('SISMEMBER', 'blocks', ARGV[i]) == 0 then
    word = 'unknown'
  elseif (v[2] or '') ~= '' then
    word = 'over'
  elseif (v[1] or '') ~= '' then
    word = 'already'
  else
    redis.call('HSET', key, 'drained_at', string.format('%.3f', NOW / 1000))
    event('block_draining', '', 'block', ARGV[i])
    rung = true
  end
  out[#out + 1] = word
end
-- Whoever is idle asks, and is told.
if rung then ring(1000) end
return out
