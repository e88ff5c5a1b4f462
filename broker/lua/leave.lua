-- leave: a worker that holds nothing says goodbye, so that nobody waits for it.
--
-- ARGV 2 worker
--
-- Returns 1 if it was known.
local B = beat()
if not B then return stale() end
return redis.call('HDEL', 'workers', ARGV[2])
