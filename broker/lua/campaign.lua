-- campaign: create a campaign, or change the options that are given.
--
-- ARGV 2 name, then pairs of option, value ('' removes the option)
--
-- Returns {number, 1 if it is new}.
local B = beat()
if not B then return stale() end
local number = redis.call('HGET', 'campaigns', ARGV[2])
local new = not number
if new then
  number = redis.call('INCR', 'campaign_serial')
  redis.call('HSET', 'campaigns', ARGV[2], number)
  redis.call('HSET', 'campaign:' .. number, 'name', ARGV[2], 'created_at', int(NOW))
  event('campaign', '', 'campaign', number, 'name', ARGV[2])
end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', 'campaign:' .. number, ARGV[i])
  else
    redis.call('HSET', 'campaign:' .. number, ARGV[i], ARGV[i + 1])
  end
end
return {tostring(number), new and 1 or 0}
