-- Takes, gives back or renews: every limit of a request in one step, by the server's clock.
--
-- KEYS      one counter each
-- ARGV      what to do ('take', 'correct', 'renew'), the lease's name, its length in seconds,
--           then five for each key: kind ('minute', 'day', 'once'), amount, size (burst, the
--           day's cap, slots), seconds until a unit is back, UTC day
-- take      all amounts or none -> {day, then for each key: remaining, reset, wait in us};
--           wait is 0 where it passes, -1 where it never will
-- correct   adds the amounts (less, mostly) to what is there; frees the lease's slots
-- renew     for each key: the lease's name stands in place of the kind
--
-- A level is kept as in `limits.py`: the moment at which a minute's units are all back; the day
-- and what was used of it; a slot's lease and its end. It is forgotten when it is full again.

local clock = redis.call('TIME')
local micros = clock[2] / 1000000
-- Seconds since 2025: the fewer of them, the finer a double.
local now = clock[1] - 1735689600 + micros
local day = math.floor(clock[1] / 86400)
local left = (day + 1) * 86400 - clock[1] - micros
local SLACK, FREE_SOON = 0.000001, 1
-- What is full again is kept for a minute more: another server's clock may be a little behind.
local KEEP_MS = 60000

local what, lease, lease_s = ARGV[1], ARGV[2], tonumber(ARGV[3])

local function exact(number) return string.format('%.17g', number) end

local function keep(key, value, seconds)
  redis.call('SET', key, value, 'PX', math.ceil(seconds * 1000) + KEEP_MS)
end

local function demand(at)
  local from = 4 + (at - 1) * 5
  return ARGV[from], tonumber(ARGV[from + 1]), tonumber(ARGV[from + 2]),
    tonumber(ARGV[from + 3]), tonumber(ARGV[from + 4])
end

local function day_and_used(key)
  local value = redis.call('GET', key)
  if not value then return nil, 0 end
  local its_day, used = string.match(value, '(%d+) (%d+)')
  return tonumber(its_day), tonumber(used)
end

-- What is used of it now, in seconds or units; and the most that may be.
local function level(at)
  local key, kind, _, size, unit = KEYS[at], demand(at)
  if kind == 'minute' then
    local full = tonumber(redis.call('GET', key) or now)
    return math.min(math.max(full - now, 0), size * unit), size * unit
  elseif kind == 'day' then
    local its_day, used = day_and_used(key)
    return its_day == day and used or 0, size
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', exact(now))
  return redis.call('ZCARD', key), size
end

local function wait(at, after, most)
  local kind, amount, size = demand(at)
  if amount > size then return -1 end
  if amount == 0 then return 0 end
  if kind == 'minute' then
    return after > most + SLACK and math.ceil((after - most) * 1000000) or 0
  end
  if after <= most then return 0 end
  return (kind == 'day' and math.ceil(left * 1000000)) or FREE_SOON * 1000000
end

local function told(at, used, most)
  local kind, _, _, unit = demand(at)
  if kind == 'minute' then
    return math.max(0, math.floor((most - used + SLACK) / unit)), math.ceil(used * 1000000)
  end
  return math.max(0, most - used), kind == 'day' and math.ceil(left * 1000000) or 0
end

local function count(at, after)
  local key, kind = KEYS[at], demand(at)
  if kind == 'minute' then
    keep(key, exact(now + after), after)
  elseif kind == 'day' then
    keep(key, string.format('%.0f %.0f', day, after), left)
  else
    redis.call('ZADD', key, exact(now + lease_s), lease)
    redis.call('PEXPIRE', key, math.ceil(lease_s * 1000) + KEEP_MS)
  end
end

local function take()
  local used, after, most, waits, passes = {}, {}, {}, {}, true
  for at = 1, #KEYS do
    local _, amount, _, unit = demand(at)
    local kind = ARGV[4 + (at - 1) * 5]
    used[at], most[at] = level(at)
    after[at] = used[at] + (kind == 'minute' and amount * unit or amount)
    waits[at] = wait(at, after[at], most[at])
    passes = passes and waits[at] == 0
  end
  local reply = {day}
  for at = 1, #KEYS do
    local _, amount = demand(at)
    if passes and amount > 0 then count(at, after[at]) end
    local remaining, reset = told(at, passes and after[at] or used[at], most[at])
    reply[#reply + 1] = remaining
    reply[#reply + 1] = reset
    reply[#reply + 1] = waits[at]
  end
  return reply
end

local function correct()
  for at = 1, #KEYS do
    local key, kind, by, _, unit, its_day = KEYS[at], demand(at)
    if kind == 'once' then
      redis.call('ZREM', key, lease)
    elseif kind == 'minute' then
      local full = tonumber(redis.call('GET', key) or now) + by * unit
      if full > now then keep(key, exact(full), full - now) else redis.call('DEL', key) end
    else
      local kept_day, used = day_and_used(key)
      if kept_day == its_day and its_day == day then
        keep(key, string.format('%.0f %.0f', day, math.max(0, used + by)), left)
      end
    end
  end
end

local function renew()
  for at = 1, #KEYS do
    redis.call('ZADD', KEYS[at], exact(now + lease_s), ARGV[3 + at])
    redis.call('PEXPIRE', KEYS[at], math.ceil(lease_s * 1000) + KEEP_MS)
  end
end

if what == 'take' then return take() end
if what == 'correct' then correct() else renew() end
return {}
