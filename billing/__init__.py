"""Money: every call of the provider, reserved, made and recorded. Modules by what they are for:

- a call: `metering` (enter here), `metered_call`, `calls`, `charging`, `errors`; `gateway` alone talks to the provider
- the ledger: `ledger`, `ledger_writes`, `ledger_fields`, `reconciliation`
- what is called and what it costs: `model_choice`, `tokens`, `prices`, `price_refresh`, `checkup`
- limits: `alerts`, `alert_banner`
- reports: `reports`, `performance`, `percentiles`, `rollup`, `rollup_models`, `charts`, `periods`, `csv_export`
- edges: `admin` and the files named after it, `api`, `tasks`; tables: `models`
"""
