-- give_back: the holder hands its jobfile back unfinished, every process of it being dead (LEASES rule 19).
--
-- ARGV 2 id, 3 token, 4 '1' if it is free (deadline, drain, launcher or user asked for it: no delivery counted, and it goes to the head of its
--      lane) or '0' (counts as a loss, and goes to the tail),
--      5 reason, 6 elapsed_ms ('' = never started)
--
-- Returns 1, also when repeated; 0 if the claim is not the caller's: nothing changed.
local B = beat()
if not B then return stale() end
local id, token, free = ARGV[2], ARGV[3], ARGV[4] == '1'
local v = fields(id, 'token', 'settled_token', 'cancel')
if v[1] ~= token then return v[2] == token and 1 or 0 end
local key = 'job:' .. id
end_claim(id, token)
if ARGV[6] ~= '' then
  mark_started(id, tonumber(ARGV[6]))
  redis.call('HSET', key, 'ended_at', int(NOW), 'ending', 'handed_back', 'reason', ARGV[5], 'elapsed_ms', ARGV[6])
end
if free then
  redis.call('HINCRBY', key, 'hand_backs', 1)
  redis.call('HINCRBY', key, 'deliveries', -1)
else
  count_loss(id)
end
if v[3] then
  set_state(id, 'cancelled')
  redis.call('HDEL', key, 'cancel')
  redis.call('HSET', key, 'ended_at', int(NOW), 'ending', 'cancelled', 'reason', 'cancelled while it ran')
else
  wait(id, free, B.max_losses)
end
event('handed_back', id, 'reason', ARGV[5], 'free', ARGV[4], 'elapsed_ms', ARGV[6])
return 1
