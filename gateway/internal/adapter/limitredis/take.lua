-- Charges one request to each of KEYS. What a key holds is the instant at which its debt is paid off, as package gcra has
-- it: "units frac", units in microseconds of this server's clock.
-- ARGV: the time, empty for the server's own, then for each key interval units and frac, tolerance units and frac, limit,
-- and 1 for a rule in shadow. Answers for each key: 1 if allowed, and units and frac of the debt.
local now, linger
if ARGV[1] == '' then
  local t = redis.call('TIME')
  now, linger = t[1] * 1000000 + t[2], 0
else
  now, linger = tonumber(ARGV[1]), 3600000
end

local function add(u, f, v, g, limit)
  u, f = u + v, f + g
  if f >= limit then return u + 1, f - limit end
  return u, f
end

local function later(u, f, v, g)
  return u > v or (u == v and f > g)
end

local stored = redis.call('MGET', unpack(KEYS))
local seats, pass = {}, true
for i = 1, #KEYS do
  local at = (i - 1) * 6 + 1
  local s = { limit = tonumber(ARGV[at + 5]), shadow = ARGV[at + 6] == '1', units = now, frac = 0 }
  local deepU, deepF = add(now, 0, tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), s.limit)
  if stored[i] then
    local u, f = string.match(stored[i], '^(%d+) (%d+)$')
    if u then
      u, f = tonumber(u), math.min(tonumber(f), s.limit - 1)
      if later(u, f, deepU, deepF) then u, f = deepU, deepF end
      if later(u, f, now, 0) then s.units, s.frac = u, f end
    end
  end
  s.afterU, s.afterF = add(s.units, s.frac, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), s.limit)
  s.allowed = not later(s.afterU, s.afterF, deepU, deepF)
  pass = pass and (s.allowed or s.shadow)
  seats[i] = s
end

local answer = {}
for i, s in ipairs(seats) do
  if s.allowed and (pass or s.shadow) then
    s.units, s.frac = s.afterU, s.afterF
    local lives = math.ceil((s.units + 1 - now) / 1000) + linger
    redis.call('SET', KEYS[i], string.format('%.0f %.0f', s.units, s.frac), 'PX', string.format('%.0f', lives))
  end
  answer[i * 3 - 2] = s.allowed and 1 or 0
  answer[i * 3 - 1] = s.units - now
  answer[i * 3] = s.frac
end
return answer
