"""The platform around the apps. Modules by what they are for:

- the web process: `web`, `asgi`, `event_loop`, `startup`, `shutdown`, `supervisor`
- what stands before every request: `edge`, `daphne_requests`, `slow_clients`, `origins`, `security`, `error_pages`
- what the processes share: `threads`, `logs`, `memory_layer`, `redis_layer`, `shared_cache`, `job_queue`, `database`
- settings: `settings`, `environment`, `checks`, `reference_data`
- what needs every app: `urls`, `api` with `api_input` and `api_schema`, `admin`, `dashboard`, `metrics`, `health`,
  `privacy`, `demo`
- people and keys, the lowest app: `accounts`
- the provider that is used when no key is set: `local_ai`
"""
