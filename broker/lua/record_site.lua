-- record_site: change some of what launchers remember of a site; the other fields stay, so that two launchers do not undo each other's.
--
-- ARGV 2 name, then pairs of field, value ('' removes the field)
--
-- Returns 1.
local B = beat()
if not B then return stale() end
redis.call('SADD', 'sites', ARGV[2])
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', 'site:' .. ARGV[2], ARGV[i])
  else
    redis.call('HSET', 'site:' .. ARGV[2], ARGV[i], ARGV[i + 1])
  end
end
return 1
