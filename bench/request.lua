-- The requests of a workload: wrk … -- METHOD PATH BODY [TAG] or, for a mix, wrk … -- MIX PATH BODY PATH.
-- Ends with one line of JSON: requests, seconds, errors, and the latencies in microseconds.

local turn = 0

function init(args)
  local method, path, body, other = args[1], args[2], args[3], args[4]
  local json = {["Content-Type"] = "application/json"}
  if method == "MIX" then
    local get, post = wrk.format("GET", path), wrk.format("POST", other, json, body)
    request = function()
      turn = turn + 1
      return turn % 10 == 0 and post or get
    end
  else
    local headers = method == "POST" and json or {["If-None-Match"] = other}  -- none where there is no other
    local always = wrk.format(method, path, headers, method == "POST" and body or nil)
    request = function() return always end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests": %d, "seconds": %f, "errors": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
