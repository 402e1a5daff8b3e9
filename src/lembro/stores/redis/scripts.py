"""The verbs as Lua scripts. One script for each verb makes it atomic, in one round trip.

Keys, where ``P`` is the prefix:

* ``P .. "s:" .. key``: the record (``record.py`` has its layout). It expires in Redis at its idle
  deadline, and each script compares the deadline too.
* ``P .. "u:" .. user``: the index of a user, a sorted set of keys by birth. The score has three
  digits more than the milliseconds, to order keys of the same millisecond. The index contains every
  live record and rotated key of the user. It may also contain keys that no longer exist. ``enter``
  removes some of those each time, so that they stay fewer than the live ones. The index expires
  with its last record.

The first two arguments of each script are the prefix, and the time in milliseconds or "" for the
server's clock. If a test gives the time, nothing expires in Redis.

If Redis has no memory left, a script fails at its first write or not at all. So a script that fails
has changed nothing.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

from .record import HEAD, NEVER, TIMES

PAGE: Final = 256
"""Keys in a page of an iteration."""

_PARTS: Final = {
    "base": f"""
local HEAD, TIMES, NEVER = {HEAD}, {TIMES}, {NEVER}
local P, now = ARGV[1], tonumber(ARGV[2])
local real = not now
if real then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function digits(time)
    return string.format('%013d', time)
end
local function soonest(time, limit)
    return math.min(time, limit, NEVER)
end
local function alive(data)
    local expires = data and tonumber(data:sub(1, 13))
    return expires and expires > now and data or nil
end
local function rotated(data)
    return data:sub(48, 48) == '1'
end
""",
    "record": """
local function user_of(data)
    local length = tonumber(data:sub(40, 47), 16)
    return length and data:sub(HEAD + 1, HEAD + length)
end
local function payload_at(data)
    local length = tonumber(data:sub(40, 47), 16) or 0
    return HEAD + 1 + length + (data:sub(49, 49) == '1' and 16 or 0)
end
""",
    "extend": """
local function extend(user, expires)
    if user and real then
        local index = P .. 'u:' .. user
        local left = redis.call('PTTL', index)
        if left < 0 or now + left < expires then
            redis.call('PEXPIREAT', index, digits(expires))
        end
    end
end
""",
    "put": """
local function put(key, expires, death, born, rest)
    local data = digits(expires) .. digits(death) .. digits(born) .. rest
    if real then
        redis.call('SET', key, data, 'PXAT', digits(expires))
    else
        redis.call('SET', key, data)
    end
    return data
end
local function enter(user, key, born, expires)
    if user then
        local index = P .. 'u:' .. user
        local number = redis.call('ZCARD', index) % 1000
        redis.call('ZADD', index, digits(born) .. string.format('%03d', number), key:sub(-32))
        extend(user, expires)
        for _, member in ipairs(redis.call('ZRANDMEMBER', index, 4)) do
            if redis.call('EXISTS', P .. 's:' .. member) == 0 then
                redis.call('ZREM', index, member)
            end
        end
    end
end
""",
    "admit": """
local function admit(user, limit, at_limit, but)
    if not user or limit == '' then
        return true
    end
    local index, live = P .. 'u:' .. user, {}
    for _, member in ipairs(redis.call('ZRANGE', index, 0, -1)) do
        local data = alive(redis.call('GET', P .. 's:' .. member))
        if data and member ~= but and not rotated(data) and user_of(data) == user then
            live[#live + 1] = member
        end
    end
    if #live >= tonumber(limit) and at_limit == 'refuse' then
        return false
    end
    for n = 1, #live - limit + 1 do
        redis.call('DEL', P .. 's:' .. live[n])
        redis.call('ZREM', index, live[n])
    end
    return true
end
""",
}


class Script:
    """A Lua script. Redis identifies it by the hash of its text."""

    def __init__(self, parts: str, text: str) -> None:
        pieces = [_PARTS[name] for name in ("base", *parts.split())]
        self.text: str = "--!df flags=allow-undeclared-keys\n" + "".join([*pieces, text])
        self.sha: str = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


ADD: Final = Script(
    "record extend put admit",
    """
local key, idle, life, age, rest, limit, at_limit = KEYS[1], unpack(ARGV, 3)
if alive(redis.call('GET', key)) then
    return {now, 0}
end
local user = user_of(string.rep('0', TIMES) .. rest)
if not admit(user, limit, at_limit) then
    return {now, 0}
end
local death = soonest(now + life, math.huge)
local expires = soonest(now + idle, death)
put(key, expires, death, now - age, rest)
enter(user, key, now - age, expires)
return {now, 1}
""",
)
"""Arguments: idle, life, age, the record without its times, limit or "", "oldest" or
"refuse". Returns 1 if added."""

SET: Final = Script(
    "record extend",
    """
local key, idle, expected, payload = KEYS[1], unpack(ARGV, 3)
local data = alive(redis.call('GET', key))
if not data then
    return {now}
end
local at = payload_at(data)
if rotated(data) or data:sub(at) ~= expected then
    return {now, data}
end
local expires = soonest(now + idle, tonumber(data:sub(14, 26)))
local head = digits(expires) .. data:sub(14, at - 1)
if real then
    redis.call('SET', key, head .. payload, 'PXAT', digits(expires))
else
    redis.call('SET', key, head .. payload)
end
extend(user_of(data), expires)
return {now, head, 1}
""",
)
"""Arguments: idle, expected, payload. Returns the record if nothing was written; otherwise the part
of the record before its payload, and 1."""

REPLACE: Final = Script(
    "record extend put admit",
    """
local old_key, new_key = KEYS[1], KEYS[2]
local idle, life, grace, age, rest, limit, at_limit, expected = unpack(ARGV, 3)
local old = alive(redis.call('GET', old_key))
if expected then
    if not old then
        return {now}
    end
    if rotated(old) or old:sub(payload_at(old)) ~= expected then
        return {now, old}
    end
elseif old then
    return {now, old}
end
if alive(redis.call('GET', new_key)) then
    return {now}
end
local user = user_of(string.rep('0', TIMES) .. rest)
if not admit(user, limit, at_limit, old_key:sub(-32)) then
    return {now, old}
end
local born, death = now - age, soonest(now + life, math.huge)
if life == '-1' then
    born, death = tonumber(old:sub(27, TIMES)), tonumber(old:sub(14, 26))
end
local expires = soonest(now + idle, death)
local times = put(new_key, expires, death, born, rest):sub(1, TIMES)
enter(user, new_key, born, expires)
local until_, left, old_user = now + grace, NEVER, nil
born = now
if old then
    left, old_user = tonumber(old:sub(1, 13)), user_of(old)
    born = tonumber(old:sub(27, TIMES))
end
until_ = soonest(until_, left)
if until_ > now then
    local pointer = (old and old:sub(40, 47) or '--------') .. '10' .. (old_user or '')
    put(old_key, until_, until_, born, pointer .. new_key:sub(-32))
else
    redis.call('DEL', old_key)
    if old_user then
        redis.call('ZREM', P .. 'u:' .. old_user, old_key:sub(-32))
    end
end
return {now, times, 1}
""",
)
"""Arguments: idle, life or -1 to keep it, grace, age, the record without its times, limit or "",
"oldest" or "refuse", and optionally the expected payload. Returns the old record if nothing was
changed; otherwise the times of the new record, and 1."""

TOUCH: Final = Script(
    "record extend",
    """
local key, idle = KEYS[1], ARGV[3]
local data = alive(redis.call('GET', key))
if not data or rotated(data) then
    return {now, 0}
end
local expires = soonest(now + idle, tonumber(data:sub(14, 26)))
if real then
    redis.call('PEXPIREAT', key, digits(expires))
end
redis.call('SETRANGE', key, 0, digits(expires))
extend(user_of(data), expires)
return {now, 1}
""",
)
"""Arguments: idle. Returns 1 if there was such a session."""

DESTROY: Final = Script(
    "record",
    """
local key, expected = KEYS[1], ARGV[3]
local data = alive(redis.call('GET', key))
if not data then
    return {now}
end
if expected and (rotated(data) or data:sub(payload_at(data)) ~= expected) then
    return {now}
end
redis.call('DEL', key)
local user = user_of(data)
if user then
    redis.call('ZREM', P .. 'u:' .. user, key:sub(-32))
end
return {now, data}
""",
)
"""Arguments: optionally the expected payload. Returns the record that was removed."""

OF_USER: Final = Script(
    "record",
    """
local reply, user = {now}, ARGV[3]
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local data = alive(redis.call('GET', P .. 's:' .. member))
    if data and not rotated(data) and user_of(data) == user then
        reply[#reply + 1] = member
        reply[#reply + 1] = data
    end
end
return reply
""",
)
"""Arguments: the user. Returns keys and records, the oldest first."""

DESTROY_USER: Final = Script(
    "record",
    """
local reply, user, keep = {now}, ARGV[3], ARGV[4]
local members, successors, live = redis.call('ZRANGE', KEYS[1], 0, -1), {}, {}
for _, member in ipairs(members) do
    local head = HEAD + #user
    local data = alive(redis.call('GETRANGE', P .. 's:' .. member, 0, head + 31))
    if data and user_of(data) == user then
        live[member] = true
        if rotated(data) then
            successors[member] = data:sub(head + 1)
        end
    end
end
local function is_rotated_to_keep(member)
    for _ = 1, #members + 1 do
        if not member or member == keep then
            break
        end
        member = successors[member]
    end
    return member and member == keep
end
for _, member in ipairs(members) do
    if not is_rotated_to_keep(member) then
        if live[member] then
            redis.call('DEL', P .. 's:' .. member)
            if not successors[member] then
                reply[#reply + 1] = member
            end
        end
        redis.call('ZREM', KEYS[1], member)
    end
end
return reply
""",
)
"""Arguments: the user, and optionally a key to keep. Returns the keys of the removed sessions."""

PAGE_OF_ALL: Final = Script(
    "",
    """
local cursor, pattern, count, wanted, spared = unpack(ARGV, 3)
local found = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', count)
local reply = {now, found[1]}
for _, key in ipairs(found[2]) do
    if wanted == 'clear' then
        if key:sub(1, #P + 2 + #spared) ~= P .. 's:' .. spared then
            redis.call('UNLINK', key)
        end
    else
        local data = #key == #P + 34 and alive(redis.call('GET', key))
        if data and not rotated(data) then
            reply[#reply + 1] = key:sub(-32)
            if wanted == 'all' then
                reply[#reply + 1] = data
            end
        end
    end
end
return reply
""",
)
"""Arguments: cursor, pattern, how many keys to scan, then "all", "count" or "clear", and the prefix
of the keys that are never cleared. Returns the next cursor, keys, and with "all" their records. It
is a script, so that a Cluster runs it on the node that holds the sessions."""

STATE: Final = Script(
    "",
    """
local reply = {now}
for _, section in ipairs({'server', 'memory', 'stats'}) do
    local info = redis.pcall('INFO', section)
    reply[#reply + 1] = type(info) == 'string' and info or ''
end
return reply
""",
)
"""No arguments. Returns three sections of INFO; each is empty if the user may not read it."""

TIME: Final = Script("", "return {now}\n")
