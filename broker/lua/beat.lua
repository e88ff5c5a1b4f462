-- beat: the supervisor's word that the server's time, the heartbeat file and the server itself were seen alive together (LEASES rule 7).
--
-- ARGV 2 at_ms: server time of the supervisor's PING, before it wrote the file; 3 counter and 4 epoch, as written in the file;
--      5 run_id of the server process; 6 '1' if the clocks of server and supervisor drifted apart; 7 lease_ms, 8 margin_ms, 9 fresh_ms, 10 max_losses, 11 quick_ms
--
-- Returns {gap (1 or 0), grace_until}. After a gap nothing is reaped before at + lease + margin: whoever could not renew gets the time to.
local at, lease = tonumber(ARGV[2]), tonumber(ARGV[7])
local v = redis.call('HMGET', 'beat', 'at', 'run_id', 'grace_until', 'epoch')
local previous, epoch = tonumber(v[1] or '-1'), tonumber(v[4] or '0')
if tonumber(ARGV[4]) < epoch then return redis.error_reply('OLDEPOCH this server has beaten for epoch ' .. int(epoch)) end
local between = at - previous
local gap = previous < 0 or between > tonumber(ARGV[9]) or between < 0 or v[2] ~= ARGV[5] or ARGV[6] == '1'
local grace_until = tonumber(v[3] or '0')
if gap then
  grace_until = at + lease + tonumber(ARGV[8])
  -- A clock that jumped back must not leave leases that outlive everybody.
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'leases', '(' .. int(NOW + lease), '+inf')) do
    redis.call('ZADD', 'leases', int(NOW + lease), id)
  end
end
redis.call('HSET', 'beat', 'at', int(at), 'counter', ARGV[3], 'epoch', ARGV[4], 'run_id', ARGV[5], 'lease_ms', ARGV[7], 'margin_ms', ARGV[8],
  'fresh_ms', ARGV[9], 'max_losses', ARGV[10], 'quick_ms', ARGV[11], 'grace_until', int(grace_until))
return {gap and 1 or 0, int(grace_until)}
