-- pause: no jobfile of the campaign is claimed any more; what runs goes on, and is renewed and settled (LEASES rule 25).
--
-- ARGV 2 campaign number, 3 reason ('' resumes it, with its failure streak forgiven)
--
-- Returns 1 if that changed anything, 0 if it was so already.
local B = beat()
if not B then return stale() end
local key = 'campaign:' .. ARGV[2]
if redis.call('HEXISTS', key, 'name') == 0 then return redis.error_reply('NOCAMPAIGN campaign ' .. ARGV[2] .. ' was forgotten meanwhile') end
local paused = redis.call('HGET', key, 'paused')
if ARGV[3] == '' then
  redis.call('HDEL', key, 'streak_reason', 'succeeded', 'fails_since_resume', 'paused_by_itself', 'paused_for', 'probes')
  redis.call('DEL', 'streak:' .. ARGV[2])
  if not paused then return 0 end
  redis.call('HDEL', key, 'paused')
  ring(1000)
  event('resumed', '', 'campaign', ARGV[2])
  return 1
end
if paused then
  -- From now on it is a person's: the broker does not lift it, and nobody is given a probe.
  redis.call('HDEL', key, 'paused_by_itself', 'paused_for', 'probes')
  return 0
end
redis.call('HSET', key, 'paused', ARGV[3])
event('paused', '', 'campaign', ARGV[2], 'reason', ARGV[3])
return 1
