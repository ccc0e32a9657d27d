-- Usage: wrk -s load.lua URL -- METHOD FILE AUTHORIZATION
-- GET, and PROPFIND with Depth 1 and the properties that a client usually asks for: over and over through the paths in FILE.
-- PUT: what is in FILE, under a new name each time, and with other first bytes.
local threads, count, requests = 0, 0, {}
local wanted = '<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
  .. "<resourcetype/><getcontentlength/><getetag/><getlastmodified/></prop></propfind>"

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  method = args[1]
  headers = { ["Authorization"] = args[3] }
  if method == "PUT" then
    headers["Content-Type"] = "image/jpeg"
    local file = assert(io.open(args[2], "rb"))
    tail = file:read("*a"):sub(17)
    file:close()
    return
  end
  local body
  if method == "PROPFIND" then
    headers["Content-Type"] = "application/xml; charset=utf-8"
    headers["Depth"] = "1"
    body = wanted
  end
  for path in io.lines(args[2]) do
    requests[#requests + 1] = wrk.format(method, wrk.path .. path, headers, body)
  end
end

function request()
  count = count + 1
  if method == "PUT" then
    local name = string.format("%02d-%06d.jpg", number, count)
    return wrk.format(method, wrk.path .. name, headers, string.format("%04d%012d", number, count) .. tail)
  end
  return requests[count % #requests + 1]
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("result %d %d %d\n", summary.requests, summary.duration, failed))
end
