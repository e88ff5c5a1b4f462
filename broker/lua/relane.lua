-- relane: waiting jobfiles of a campaign whose options changed go to other lanes, at their tails.
--
-- ARGV 2… pairs of id, lane (at most 100 pairs)
--
-- Returns how many waited and moved; whatever runs or has ended keeps its lane until it waits again.
local B = beat()
if not B then return stale() end
local moved = 0
for i = 2, #ARGV, 2 do
  local v = fields(ARGV[i], 'state', 'lane', 'campaign')
  local _, _, _, campaign = lane_parts(ARGV[i + 1])
  -- It may have gone over to another campaign since the caller read it.
  if v[3] == campaign and v[2] ~= ARGV[i + 1] then
    redis.call('HSET', 'job:' .. ARGV[i], 'lane', ARGV[i + 1])
    if v[1] == 'queued' then
      push_ticket(ARGV[i], ARGV[i + 1], false)
      moved = moved + 1
    end
  end
end
ring(moved)
return moved
