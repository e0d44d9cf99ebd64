"""A process of its own that makes parallel metered calls:
`python -m billing.tests.caller DATABASE BASE_URL CALLS [stream]`.
"""

import asyncio
import os
import sys
from typing import Any

import django
from django.conf import settings


def main(*, database: str, base_url: str, calls: int, is_stream: bool) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloneai.settings")
    settings.DATABASES["default"]["NAME"] = database
    settings.AI_OFFLINE = False
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "sk-secret", base_url
    settings.DAILY_COST_LIMIT = 1
    django.setup()

    from billing.metering import ChatMessage, MeteredCallError, Payer, complete_chat, stream_chat

    parameters: Any = {
        "payer": Payer(user_id=None, clone_id=None),
        "purpose": "check",
        "model": "gpt-4.1",
        "messages": [ChatMessage("user", "Hello")],
        "max_output_tokens": 4000,
        "temperature": 0,
    }

    async def call() -> bool:
        try:
            if is_stream:
                async for _ in stream_chat(**parameters):
                    sys.stdout.write("piece\n")
                    sys.stdout.flush()
            else:
                await complete_chat(**parameters)
        except MeteredCallError:
            return False
        return True

    async def call_at_once() -> list[bool]:
        return await asyncio.gather(*(call() for _ in range(calls)))

    sys.stdout.write(f"{asyncio.run(call_at_once()).count(True)}\n")


if __name__ == "__main__":
    main(database=sys.argv[1], base_url=sys.argv[2], calls=int(sys.argv[3]), is_stream="stream" in sys.argv)
