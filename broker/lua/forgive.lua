-- forgive: a person's word that a node is well again; it is judged anew.
--
-- ARGV 2 node, 3 block ('' for all that it is bad in)
--
-- Returns in how many blocks it was bad.
local B = beat()
if not B then return stale() end
local forgiven = 0
for _, place in ipairs(redis.call('HKEYS', 'bad_nodes')) do
  if place == ARGV[2] .. ' ' .. ARGV[3] or (ARGV[3] == '' and node_of(place) == ARGV[2]) then
    forgive(place, 'by a person')
    forgiven = forgiven + 1
  end
end
return forgiven
